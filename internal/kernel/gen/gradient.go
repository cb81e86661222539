package main

import (
	"fmt"
	"unsafe"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"coar/internal/kernel/abi"
)

// Field offsets of abi.Gradient.
var gradient struct {
	g, y, raw, rawLen, h, hLen, d, sum, rows, n, gRow, yRow, rawRow, hRow, dRow, relu, scale int
}

func init() {
	var g abi.Gradient
	const word = int(unsafe.Sizeof(uintptr(0)))
	gradient.g, gradient.y, gradient.d, gradient.sum = int(unsafe.Offsetof(g.G)), int(unsafe.Offsetof(g.Y)), int(unsafe.Offsetof(g.D)), int(unsafe.Offsetof(g.Sum))
	gradient.raw, gradient.rawLen = int(unsafe.Offsetof(g.Raw)), int(unsafe.Offsetof(g.Raw))+word
	gradient.h, gradient.hLen = int(unsafe.Offsetof(g.H)), int(unsafe.Offsetof(g.H))+word
	gradient.rows, gradient.n = int(unsafe.Offsetof(g.Rows)), int(unsafe.Offsetof(g.N))
	gradient.gRow, gradient.yRow, gradient.rawRow = int(unsafe.Offsetof(g.GRow)), int(unsafe.Offsetof(g.YRow)), int(unsafe.Offsetof(g.RawRow))
	gradient.hRow, gradient.dRow = int(unsafe.Offsetof(g.HRow)), int(unsafe.Offsetof(g.DRow))
	gradient.relu, gradient.scale = int(unsafe.Offsetof(g.ReLU)), int(unsafe.Offsetof(g.Scale))
}

// gradientLoop is one of the loops over a channel: with or without the ReLU's mask, the residual's gradient and the sums.
type gradientLoop struct {
	s             isa
	tables        tables
	relu, h, dot  bool
	scale, zero   reg.VecPhysical
	tail          reg.VecPhysical // AVX2: which lanes of the last vector are written
	at, left, end reg.GPPhysical  // byte offset in the row, rows left, bytes in whole vectors
}

// The pointers to the current row of each operand, and to the sums.
var gradPtr = struct{ g, y, raw, h, d, sum reg.GPPhysical }{reg.RAX, reg.RBX, reg.RCX, reg.RDX, reg.RSI, reg.RDI}

// emitGradient writes the backward pass of one channel of a layer.
func emitGradient(s isa, t tables) {
	text(s, "gradient", "func(a *Gradient)", gradientDoc)
	arg, n, mask := reg.R15, reg.R8, reg.R9
	l := gradientLoop{s: s, tables: t, scale: s.regs[0], zero: s.regs[1], tail: s.regs[2], at: reg.R10, left: reg.R11, end: reg.R12}
	MOVQ(operand.NewParamAddr("a", 0), arg)
	for _, p := range []struct {
		field int
		r     reg.GPPhysical
	}{{gradient.g, gradPtr.g}, {gradient.y, gradPtr.y}, {gradient.raw, gradPtr.raw}, {gradient.h, gradPtr.h}, {gradient.d, gradPtr.d}, {gradient.sum, gradPtr.sum}, {gradient.rows, l.left}, {gradient.n, n}} {
		MOVQ(mem(arg, p.field), p.r)
	}
	VBROADCASTSS(mem(arg, gradient.scale), l.scale)
	s.zero(l.zero)
	MOVQ(n, l.end)
	ANDQ(operand.I32(-int32(s.lanes)), l.end)
	SUBQ(l.end, n) // lanes in the last vector
	SHLQ(imm(2), l.end)
	if s.wide() {
		MOVQ(operand.U32(1), mask)
		SHLXQ(n, mask, mask)
		DECQ(mask)
		KMOVW(mask.As32(), reg.K1)
	} else {
		LEAQ(t.lanes, mask)
		MOVQ(n, l.at)
		NEGQ(l.at)
		VMOVUPS(memIndex(mask, l.at, 4, 32), l.tail)
	}
	end := fmt.Sprintf("gradient_%s_end", s.name)
	TESTQ(l.left, l.left)
	JZ(operand.LabelRef(end))
	variants := []gradientLoop{}
	for _, v := range [][3]bool{{false, false, false}, {false, false, true}, {true, false, false}, {true, false, true}, {true, true, false}, {true, true, true}} {
		l.relu, l.h, l.dot = v[0], v[1], v[2]
		variants = append(variants, l)
	}
	has := func(field int, there bool, other string) {
		CMPQ(mem(arg, field), imm(0))
		if there {
			JE(operand.LabelRef(other))
		} else {
			JNE(operand.LabelRef(other))
		}
	}
	for i, v := range variants {
		if i > 0 {
			Label(v.label("try"))
		}
		if i+1 < len(variants) {
			other := variants[i+1].label("try")
			has(gradient.relu, v.relu, other)
			has(gradient.hLen, v.h, other)
			has(gradient.rawLen, v.dot, other)
		}
		v.emit(arg, n, end)
	}
	Label(end)
	VZEROUPPER()
	RET()
}

func (l gradientLoop) label(name string) string {
	bit := map[bool]int{true: 1}
	return fmt.Sprintf("gradient_%s_%d%d%d_%s", l.s.name, bit[l.relu], bit[l.h], bit[l.dot], name)
}

// emit writes the loop over rows; rest is the number of lanes in the last vector of each.
func (l gradientLoop) emit(arg, rest reg.GPPhysical, end string) {
	row, vector, tail, next := l.label("row"), l.label("vector"), l.label("tail"), l.label("next")
	Label(row)
	XORQ(l.at, l.at)
	Label(vector)
	CMPQ(l.at, l.end)
	JGE(operand.LabelRef(tail))
	l.vector(false)
	ADDQ(imm(l.s.bytes()), l.at)
	JMP(operand.LabelRef(vector))
	Label(tail)
	TESTQ(rest, rest)
	JZ(operand.LabelRef(next))
	l.vector(true)
	Label(next)
	step := reg.R13
	advance := func(on bool, field int, p reg.GPPhysical) {
		if on {
			MOVQ(mem(arg, field), step)
			LEAQ(memIndex(p, step, 4, 0), p)
		}
	}
	advance(true, gradient.gRow, gradPtr.g)
	advance(l.relu, gradient.yRow, gradPtr.y)
	advance(l.dot, gradient.rawRow, gradPtr.raw)
	advance(l.h, gradient.hRow, gradPtr.h)
	advance(true, gradient.dRow, gradPtr.d)
	DECQ(l.left)
	JNZ(operand.LabelRef(row))
	JMP(operand.LabelRef(end))
}

// vector computes the vector at offset at, the last of a row where last is set.
func (l gradientLoop) vector(last bool) {
	s, h, t := l.s, l.s.regs[3], l.s.regs[4]
	on := func(p reg.GPPhysical) operand.Mem { return memIndex(p, l.at, 1, 0) }
	const lessThan = 17 // quiet: false for NaN
	switch {
	case !l.relu:
		VMOVUPS(on(gradPtr.g), h)
	case s.wide():
		VCMPPS(imm(lessThan), on(gradPtr.y), l.zero, reg.K2)
		VMOVUPS_Z(on(gradPtr.g), reg.K2, h)
	default:
		VCMPPS(imm(lessThan), on(gradPtr.y), l.zero, h)
		VANDPS(on(gradPtr.g), h, h)
	}
	store := func(v reg.VecPhysical, p reg.GPPhysical) {
		switch {
		case !last:
			VMOVUPS(v, on(p))
		case s.wide():
			VMOVUPS(v, reg.K1, on(p))
		default:
			VMASKMOVPS(v, l.tail, on(p))
		}
	}
	if l.h {
		store(h, gradPtr.h)
	}
	VMULPS(l.scale, h, t)
	store(t, gradPtr.d)
	if l.dot {
		VMOVUPS(on(gradPtr.sum), t)
		VFMADD231PS(on(gradPtr.raw), h, t)
		VMOVUPS(t, on(gradPtr.sum))
	}
}
