package main

import (
	"fmt"
	"unsafe"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"coar/internal/kernel/abi"
)

// Field offsets of abi.Winograd.
var wino struct {
	x, y, res, resLen, scratch, n, plane, xRow, yRow, resRow, xStep, yStep, resStep, rows, cols, relu, scaled, xCol, yCol, resCol, scale, shift int
}

func init() {
	var w abi.Winograd
	const word = int(unsafe.Sizeof(uintptr(0)))
	wino.x, wino.y, wino.scratch = int(unsafe.Offsetof(w.X)), int(unsafe.Offsetof(w.Y)), int(unsafe.Offsetof(w.Scratch))
	wino.res, wino.resLen = int(unsafe.Offsetof(w.Res)), int(unsafe.Offsetof(w.Res))+word
	wino.n, wino.plane = int(unsafe.Offsetof(w.N)), int(unsafe.Offsetof(w.Plane))
	wino.xRow, wino.yRow, wino.resRow = int(unsafe.Offsetof(w.XRow)), int(unsafe.Offsetof(w.YRow)), int(unsafe.Offsetof(w.ResRow))
	wino.xStep, wino.yStep, wino.resStep = int(unsafe.Offsetof(w.XStep)), int(unsafe.Offsetof(w.YStep)), int(unsafe.Offsetof(w.ResStep))
	wino.rows, wino.cols, wino.relu = int(unsafe.Offsetof(w.Rows)), int(unsafe.Offsetof(w.Cols)), int(unsafe.Offsetof(w.ReLU))
	wino.scaled = int(unsafe.Offsetof(w.Scaled))
	wino.xCol, wino.yCol, wino.resCol = int(unsafe.Offsetof(w.XCol)), int(unsafe.Offsetof(w.YCol)), int(unsafe.Offsetof(w.ResCol))
	wino.scale, wino.shift = int(unsafe.Offsetof(w.Scale)), int(unsafe.Offsetof(w.Shift))
}

// points are the constants of the one-dimensional transforms, replicated over the widest vector.
type points struct {
	a, b, a2, b2, a3, b3, sum operand.Mem // PointA, PointB, their squares and cubes, and the sum of the squares
}

func emitPoints() points {
	const a, b = abi.PointA, abi.PointB
	return points{
		a: splat("pointA", bits(a)), b: splat("pointB", bits(b)), a2: splat("pointA2", bits(a*a)), b2: splat("pointB2", bits(b*b)),
		a3: splat("pointA3", bits(a*a*a)), b3: splat("pointB3", bits(b*b*b)), sum: splat("pointSum", bits(a*a+b*b))}
}

// emitWinogradInput writes the input transform: columns into the scratch, then rows.
func emitWinogradInput(s isa, p points) {
	text(s, "winogradInput", "func(w *Winograd)", winogradInputDoc)
	w, x, y, scratch, n, plane, row := reg.R15, reg.RAX, reg.RBX, reg.RCX, reg.RDX, reg.RSI, reg.RDI
	at, row3, row5, step, plane3, plane5, yStep := reg.R8, reg.R9, reg.R10, reg.R11, reg.R12, reg.R13, reg.R14
	MOVQ(operand.NewParamAddr("w", 0), w)
	MOVQ(mem(w, wino.x), x)
	MOVQ(mem(w, wino.y), y)
	MOVQ(mem(w, wino.scratch), scratch)
	MOVQ(mem(w, wino.n), n)
	bytesOf := func(field int, r reg.GPPhysical) {
		MOVQ(mem(w, field), r)
		SHLQ(imm(2), r)
	}
	bytesOf(wino.plane, plane)
	bytesOf(wino.xRow, row)
	bytesOf(wino.xStep, step)
	bytesOf(wino.yStep, yStep)
	LEAQ(memIndex(row, row, 2, 0), row3)
	LEAQ(memIndex(row, row, 4, 0), row5)
	LEAQ(memIndex(plane, plane, 2, 0), plane3)
	LEAQ(memIndex(plane, plane, 4, 0), plane5)

	d, t, s2 := s.regs[0:6], s.regs[6:8], s.regs[8:10]
	a, b, a2, b2, sum, scale := s.regs[10], s.regs[11], s.regs[12], s.regs[13], s.regs[14], s.regs[15]
	for _, c := range []struct {
		r reg.VecPhysical
		m operand.Mem
	}{{a, p.a}, {b, p.b}, {a2, p.a2}, {b2, p.b2}, {sum, p.sum}} {
		VMOVUPS(c.m, c.r)
	}
	VBROADCASTSS(mem(w, wino.scale), scale)
	// oneD replaces d by Bᵀd.
	oneD := func() {
		for i := range 2 {
			VMOVAPS(d[4], t[i])
			VMOVAPS(d[3], s2[i])
		}
		VFNMADD231PS(d[2], b2, t[0])
		VFNMADD231PS(d[1], b2, s2[0])
		VFNMADD231PS(d[2], a2, t[1])
		VFNMADD231PS(d[1], a2, s2[1])
		VADDPS(d[4], d[0], d[0])
		VFNMADD231PS(d[2], sum, d[0])
		VADDPS(d[1], d[5], d[5])
		VFNMADD231PS(d[3], sum, d[5])
		VMOVAPS(t[0], d[1])
		VFMADD231PS(s2[0], a, d[1])
		VMOVAPS(t[0], d[2])
		VFNMADD231PS(s2[0], a, d[2])
		VMOVAPS(t[1], d[3])
		VFMADD231PS(s2[1], b, d[3])
		VMOVAPS(t[1], d[4])
		VFNMADD231PS(s2[1], b, d[4])
	}

	loop, end := fmt.Sprintf("winogradInput_%s_tile", s.name), fmt.Sprintf("winogradInput_%s_end", s.name)
	TESTQ(n, n)
	JZ(operand.LabelRef(end))
	Label(loop)
	for j := range 6 {
		MOVLQSX(mem(w, wino.xCol+4*j), at)
		LEAQ(memIndex(x, at, 4, 0), at)
		for i, m := range []operand.Mem{mem(at, 0), memIndex(at, row, 1, 0), memIndex(at, row, 2, 0), memIndex(at, row3, 1, 0), memIndex(at, row, 4, 0), memIndex(at, row5, 1, 0)} {
			VMOVUPS(m, d[i])
		}
		unscaled := fmt.Sprintf("winogradInput_%s_unscaled%d", s.name, j)
		CMPQ(mem(w, wino.scaled), imm(0))
		JEQ(operand.LabelRef(unscaled))
		for i := range 6 {
			VMULPS(d[i], scale, d[i])
		}
		Label(unscaled)
		oneD()
		for i := range 6 {
			VMOVUPS(d[i], mem(scratch, (6*i+j)*s.bytes()))
		}
	}
	MOVQ(y, at)
	for i := range 6 {
		for j := range 6 {
			VMOVUPS(mem(scratch, (6*i+j)*s.bytes()), d[j])
		}
		oneD()
		for j, m := range []operand.Mem{mem(at, 0), memIndex(at, plane, 1, 0), memIndex(at, plane, 2, 0), memIndex(at, plane3, 1, 0), memIndex(at, plane, 4, 0), memIndex(at, plane5, 1, 0)} {
			VMOVUPS(d[j], m)
		}
		if i < 5 {
			LEAQ(memIndex(at, plane3, 2, 0), at)
		}
	}
	ADDQ(step, x)
	ADDQ(yStep, y)
	DECQ(n)
	JNZ(operand.LabelRef(loop))
	Label(end)
	VZEROUPPER()
	RET()
}

// emitWinogradOutput writes the output transform with its epilogue: columns into the scratch, then rows.
func emitWinogradOutput(s isa, p points) {
	text(s, "winogradOutput", "func(w *Winograd)", winogradOutputDoc)
	w, x, y, scratch, n, plane, plane3, plane5 := reg.R15, reg.RAX, reg.RBX, reg.RCX, reg.RDX, reg.RSI, reg.RDI, reg.R8
	at, row, res, col, rowRes := reg.R9, reg.R10, reg.R11, reg.R12, reg.R13
	MOVQ(operand.NewParamAddr("w", 0), w)
	MOVQ(mem(w, wino.x), x)
	MOVQ(mem(w, wino.y), y)
	MOVQ(mem(w, wino.res), res)
	MOVQ(mem(w, wino.scratch), scratch)
	MOVQ(mem(w, wino.n), n)
	MOVQ(mem(w, wino.plane), plane)
	SHLQ(imm(2), plane)
	LEAQ(memIndex(plane, plane, 2, 0), plane3)
	LEAQ(memIndex(plane, plane, 4, 0), plane5)

	m, sums, out := s.regs[0:6], s.regs[6:10], s.regs[10:14]
	k := s.regs[14] // constants come from memory, one at a time: AVX2 has no registers left for them
	// oneD sets out to Aᵀm.
	oneD := func() {
		VADDPS(m[2], m[1], sums[0])
		VSUBPS(m[2], m[1], sums[1])
		VADDPS(m[4], m[3], sums[2])
		VSUBPS(m[4], m[3], sums[3])
		VADDPS(sums[0], m[0], out[0])
		VADDPS(sums[2], out[0], out[0])
		VMULPS(p.a, sums[1], out[1])
		VFMADD231PS(p.b, sums[3], out[1])
		VMULPS(p.a2, sums[0], out[2])
		VFMADD231PS(p.b2, sums[2], out[2])
		VMOVAPS(m[5], out[3])
		VFMADD231PS(p.a3, sums[1], out[3])
		VFMADD231PS(p.b3, sums[3], out[3])
	}
	name := func(what string) string { return fmt.Sprintf("winogradOutput_%s_%s", s.name, what) }
	loop, end := name("tile"), name("end")
	TESTQ(n, n)
	JZ(operand.LabelRef(end))
	Label(loop)
	for j := range 6 {
		MOVQ(x, at)
		if j > 0 {
			off := []reg.GPPhysical{nil, plane, plane, plane3, plane, plane5}[j]
			scale := []uint8{0, 1, 2, 1, 4, 1}[j]
			LEAQ(memIndex(x, off, scale, 0), at)
		}
		for i := range 6 {
			VMOVUPS(mem(at, 0), m[i])
			if i < 5 {
				LEAQ(memIndex(at, plane3, 2, 0), at)
			}
		}
		oneD()
		for i := range 4 {
			VMOVUPS(out[i], mem(scratch, (6*i+j)*s.bytes()))
		}
	}
	MOVQ(y, row)
	MOVQ(res, rowRes)
	next := name("next")
	for i := range 4 {
		CMPQ(mem(w, wino.rows), imm(i))
		JLE(operand.LabelRef(next))
		for j := range 6 {
			VMOVUPS(mem(scratch, (6*i+j)*s.bytes()), m[j])
		}
		oneD()
		VBROADCASTSS(mem(w, wino.scale), m[0])
		VBROADCASTSS(mem(w, wino.shift), k)
		for j := range 4 {
			VFMADD213PS(k, m[0], out[j])
		}
		noRes, noReLU, stored := name(fmt.Sprintf("noresidual%d", i)), name(fmt.Sprintf("norelu%d", i)), name(fmt.Sprintf("stored%d", i))
		CMPQ(mem(w, wino.resLen), imm(0))
		JEQ(operand.LabelRef(noRes))
		for j := range 4 {
			MOVLQSX(mem(w, wino.resCol+4*j), col)
			VADDPS(memIndex(rowRes, col, 4, 0), out[j], out[j])
		}
		Label(noRes)
		CMPQ(mem(w, wino.relu), imm(0))
		JEQ(operand.LabelRef(noReLU))
		s.zero(k)
		for j := range 4 {
			// The value is the second source, which MAXPS returns for NaN: a NaN is never hidden.
			VMAXPS(out[j], k, out[j])
		}
		Label(noReLU)
		for j := range 4 {
			CMPQ(mem(w, wino.cols), imm(j))
			JLE(operand.LabelRef(stored))
			MOVLQSX(mem(w, wino.yCol+4*j), col)
			VMOVUPS(out[j], memIndex(row, col, 4, 0))
		}
		Label(stored)
		MOVQ(mem(w, wino.yRow), at)
		LEAQ(memIndex(row, at, 4, 0), row)
		MOVQ(mem(w, wino.resRow), at)
		LEAQ(memIndex(rowRes, at, 4, 0), rowRes)
	}
	Label(next)
	for _, f := range []struct {
		field int
		r     reg.GPPhysical
	}{{wino.xStep, x}, {wino.yStep, y}, {wino.resStep, res}} {
		MOVQ(mem(w, f.field), at)
		LEAQ(memIndex(f.r, at, 4, 0), f.r)
	}
	DECQ(n)
	JNZ(operand.LabelRef(loop))
	Label(end)
	VZEROUPPER()
	RET()
}
