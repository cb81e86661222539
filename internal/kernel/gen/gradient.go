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
	g, signs, signsLen, raw, rawLen, h, hLen, d, sum, rows, n, gRow, signRow, rawRow, hRow, dRow, scale int
}

// Field offsets of abi.Signs.
var signs struct{ y, bits, rows, n, yRow, bitRow int }

func init() {
	var g abi.Gradient
	const word = int(unsafe.Sizeof(uintptr(0)))
	gradient.g, gradient.d, gradient.sum = int(unsafe.Offsetof(g.G)), int(unsafe.Offsetof(g.D)), int(unsafe.Offsetof(g.Sum))
	gradient.signs, gradient.signsLen = int(unsafe.Offsetof(g.Signs)), int(unsafe.Offsetof(g.Signs))+word
	gradient.raw, gradient.rawLen = int(unsafe.Offsetof(g.Raw)), int(unsafe.Offsetof(g.Raw))+word
	gradient.h, gradient.hLen = int(unsafe.Offsetof(g.H)), int(unsafe.Offsetof(g.H))+word
	gradient.rows, gradient.n = int(unsafe.Offsetof(g.Rows)), int(unsafe.Offsetof(g.N))
	gradient.gRow, gradient.signRow, gradient.rawRow = int(unsafe.Offsetof(g.GRow)), int(unsafe.Offsetof(g.SignRow)), int(unsafe.Offsetof(g.RawRow))
	gradient.hRow, gradient.dRow = int(unsafe.Offsetof(g.HRow)), int(unsafe.Offsetof(g.DRow))
	gradient.scale = int(unsafe.Offsetof(g.Scale))
	var b abi.Signs
	signs.y, signs.bits, signs.rows = int(unsafe.Offsetof(b.Y)), int(unsafe.Offsetof(b.Bits)), int(unsafe.Offsetof(b.Rows))
	signs.n, signs.yRow, signs.bitRow = int(unsafe.Offsetof(b.N)), int(unsafe.Offsetof(b.YRow)), int(unsafe.Offsetof(b.BitRow))
}

// gradientLoop is one of the loops over a channel: with or without the ReLU's mask, the residual's gradient and the sums.
type gradientLoop struct {
	s             isa
	tables        tables
	relu, h, dot  bool
	scale         reg.VecPhysical
	bits          reg.VecPhysical // AVX2: lane i has bit i
	tail          reg.VecPhysical // AVX2: which lanes of the last vector are written
	at, left, end reg.GPPhysical  // byte offset in the row, rows left, bytes in whole vectors
	bit           reg.GPPhysical  // byte offset in the row's signs
}

// The pointers to the current row of each operand, and to the sums.
var gradPtr = struct{ g, signs, raw, h, d, sum reg.GPPhysical }{reg.RAX, reg.RBX, reg.RCX, reg.RDX, reg.RSI, reg.RDI}

// emitGradient writes the backward pass of one channel of a layer.
func emitGradient(s isa, t tables) {
	text(s, "gradient", "func(a *Gradient)", gradientDoc)
	arg, n, mask := reg.R15, reg.R8, reg.R9
	l := gradientLoop{s: s, tables: t, scale: s.regs[0], bits: s.regs[1], tail: s.regs[2], at: reg.R10, left: reg.R11, end: reg.R12, bit: reg.R14}
	MOVQ(operand.NewParamAddr("a", 0), arg)
	for _, p := range []struct {
		field int
		r     reg.GPPhysical
	}{{gradient.g, gradPtr.g}, {gradient.signs, gradPtr.signs}, {gradient.raw, gradPtr.raw}, {gradient.h, gradPtr.h}, {gradient.d, gradPtr.d}, {gradient.sum, gradPtr.sum}, {gradient.rows, l.left}, {gradient.n, n}} {
		MOVQ(mem(arg, p.field), p.r)
	}
	VBROADCASTSS(mem(arg, gradient.scale), l.scale)
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
		VMOVUPS(t.bits, l.bits)
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
			has(gradient.signsLen, v.relu, other)
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
	XORQ(l.bit, l.bit)
	Label(vector)
	CMPQ(l.at, l.end)
	JGE(operand.LabelRef(tail))
	l.vector(false)
	ADDQ(imm(l.s.bytes()), l.at)
	ADDQ(imm(l.s.lanes/8), l.bit)
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
	if l.relu {
		ADDQ(mem(arg, gradient.signRow), gradPtr.signs)
	}
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
	switch {
	case !l.relu:
		VMOVUPS(on(gradPtr.g), h)
	case s.wide():
		KMOVW(memIndex(gradPtr.signs, l.bit, 1, 0), reg.K2)
		VMOVUPS_Z(on(gradPtr.g), reg.K2, h)
	default:
		VPBROADCASTB(memIndex(gradPtr.signs, l.bit, 1, 0), h)
		VPAND(l.bits, h, h)
		VPCMPEQD(l.bits, h, h)
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

// emitSigns writes the bits of a map's elements above zero.
func emitSigns(s isa) {
	text(s, "signs", "func(a *Signs)", signsDoc)
	arg, y, bits, left, n, yRow, bitRow, at, bit, mask := reg.R15, reg.RAX, reg.RBX, reg.RCX, reg.RDX, reg.RSI, reg.RDI, reg.R8, reg.R9, reg.R10
	zero, v := s.regs[0], s.regs[1]
	MOVQ(operand.NewParamAddr("a", 0), arg)
	for _, p := range []struct {
		field int
		r     reg.GPPhysical
	}{{signs.y, y}, {signs.bits, bits}, {signs.rows, left}, {signs.n, n}, {signs.yRow, yRow}, {signs.bitRow, bitRow}} {
		MOVQ(mem(arg, p.field), p.r)
	}
	SHLQ(imm(2), yRow)
	SHLQ(imm(2), n)
	s.zero(zero)
	row, vector, end := fmt.Sprintf("signs_%s_row", s.name), fmt.Sprintf("signs_%s_vector", s.name), fmt.Sprintf("signs_%s_end", s.name)
	TESTQ(left, left)
	JZ(operand.LabelRef(end))
	Label(row)
	XORQ(at, at)
	XORQ(bit, bit)
	Label(vector)
	const lessThan = 17 // quiet: false for NaN
	if s.wide() {
		VCMPPS(imm(lessThan), memIndex(y, at, 1, 0), zero, reg.K1)
		KMOVW(reg.K1, memIndex(bits, bit, 1, 0))
	} else {
		VCMPPS(imm(lessThan), memIndex(y, at, 1, 0), zero, v)
		VMOVMSKPS(v, mask.As32())
		MOVB(mask.As8(), memIndex(bits, bit, 1, 0))
	}
	ADDQ(imm(s.bytes()), at)
	ADDQ(imm(s.lanes/8), bit)
	CMPQ(at, n)
	JLT(operand.LabelRef(vector))
	ADDQ(yRow, y)
	ADDQ(bitRow, bits)
	DECQ(left)
	JNZ(operand.LabelRef(row))
	Label(end)
	VZEROUPPER()
	RET()
}
