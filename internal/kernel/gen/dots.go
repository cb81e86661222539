package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// emitDots writes the sums of products of each row of X with its row of G.
func emitDots(s isa, t tables) {
	text(s, "dots", "func(c *Columns)", dotsDoc)
	c, x, y, g, xs, ys, gs, rows := reg.R15, reg.RAX, reg.RBX, reg.RCX, reg.RDX, reg.RSI, reg.RDI, reg.R8
	whole, n, at, tail := reg.R9, reg.R10, reg.R11, reg.R12
	sum, v, mask := s.regs[0], s.regs[1], s.regs[2]
	MOVQ(operand.NewParamAddr("c", 0), c)
	for _, p := range []struct {
		field int
		r     reg.GPPhysical
	}{{columns.x, x}, {columns.y, y}, {columns.g, g}, {columns.xStride, xs}, {columns.yStride, ys}, {columns.gStride, gs}, {columns.rows, rows}, {columns.cols, whole}} {
		MOVQ(mem(c, p.field), p.r)
	}
	for _, r := range []reg.GPPhysical{xs, ys, gs} {
		SHLQ(imm(2), r)
	}
	// The last vector, whole or not, is read under a mask; only then are no lanes beyond the row added.
	MOVQ(whole, tail)
	DECQ(whole)
	ANDQ(operand.I32(-int32(s.lanes)), whole)
	SUBQ(whole, tail)
	if s.wide() {
		MOVQ(operand.U32(1), n)
		SHLXQ(tail, n, n)
		DECQ(n)
		KMOVW(n.As32(), reg.K1)
	} else {
		LEAQ(t.lanes, n)
		NEGQ(tail)
		VMOVUPS(memIndex(n, tail, 4, 32), mask)
	}
	label := func(name string) string { return fmt.Sprintf("dots_%s_%s", s.name, name) }
	Label(label("row"))
	CMPQ(rows, imm(0))
	JLE(operand.LabelRef(label("done")))
	s.zero(sum)
	XORQ(at, at)
	Label(label("vector"))
	CMPQ(at, whole)
	JGE(operand.LabelRef(label("tail")))
	VMOVUPS(memIndex(x, at, 4, 0), v)
	VFMADD231PS(memIndex(g, at, 4, 0), v, sum)
	ADDQ(imm(s.lanes), at)
	JMP(operand.LabelRef(label("vector")))
	Label(label("tail"))
	if s.wide() {
		VMOVUPS_Z(memIndex(x, at, 4, 0), reg.K1, v)
		VMOVUPS_Z(memIndex(g, at, 4, 0), reg.K1, s.regs[3])
	} else {
		VMASKMOVPS(memIndex(x, at, 4, 0), mask, v)
		VMASKMOVPS(memIndex(g, at, 4, 0), mask, s.regs[3])
	}
	VFMADD231PS(s.regs[3], v, sum)
	s.sumLanes(sum, v)
	VMOVSS(sum.AsX(), mem(y, 0))
	ADDQ(xs, x)
	ADDQ(gs, g)
	ADDQ(ys, y)
	DECQ(rows)
	JMP(operand.LabelRef(label("row")))
	Label(label("done"))
	VZEROUPPER()
	RET()
}

// sumLanes adds up the lanes of v, halving it, into its lane 0.
func (s isa) sumLanes(v, tmp reg.VecPhysical) {
	if s.wide() {
		VEXTRACTF64X4(imm(1), v, tmp.AsY())
		VADDPS(tmp.AsY(), v.AsY(), v.AsY())
	}
	VEXTRACTF128(imm(1), v.AsY(), tmp.AsX())
	VADDPS(tmp.AsX(), v.AsX(), v.AsX())
	VMOVHLPS(v.AsX(), v.AsX(), tmp.AsX())
	VADDPS(tmp.AsX(), v.AsX(), v.AsX())
	VMOVSHDUP(v.AsX(), tmp.AsX())
	VADDSS(tmp.AsX(), v.AsX(), v.AsX())
}
