package main

import (
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// emitTranspose writes the transpose of X to Y, square by square of 8x8.
//
// A register takes four columns of row i in its lower half and of row i+4 in its upper: then four interleavings within
// halves make whole columns.
func emitTranspose(s isa) {
	text(s, "transpose", "func(c *Columns)", transposeDoc)
	c, x, y, xs, ys, rows := reg.R15, reg.RAX, reg.RBX, reg.RCX, reg.RDX, reg.RSI
	n, cols, px, py, xs3, ys3, low := reg.RDI, reg.R8, reg.R9, reg.R10, reg.R11, reg.R12, reg.R13
	MOVQ(operand.NewParamAddr("c", 0), c)
	MOVQ(mem(c, columns.x), x)
	MOVQ(mem(c, columns.y), y)
	MOVQ(mem(c, columns.xStride), xs)
	MOVQ(mem(c, columns.yStride), ys)
	SHLQ(imm(2), xs)
	SHLQ(imm(2), ys)
	LEAQ(memIndex(xs, xs, 2, 0), xs3)
	LEAQ(memIndex(ys, ys, 2, 0), ys3)
	MOVQ(mem(c, columns.rows), rows)
	MOVQ(mem(c, columns.cols), cols)
	Label("transpose_rows")
	CMPQ(rows, imm(0))
	JLE(operand.LabelRef("transpose_done"))
	MOVQ(x, px)
	MOVQ(y, py)
	MOVQ(cols, n)
	Label("transpose_square")
	CMPQ(n, imm(0))
	JLE(operand.LabelRef("transpose_next"))
	LEAQ(memIndex(px, xs, 4, 0), low)
	for half := range 2 {
		r := s.regs[8*half:]
		row := func(base reg.Register, k int) operand.Mem {
			switch k {
			case 0:
				return mem(base, 16*half)
			case 3:
				return memIndex(base, xs3, 1, 16*half)
			}
			return memIndex(base, xs, uint8(k), 16*half)
		}
		for k := range 4 {
			VMOVUPS(row(px, k), r[k].AsX())
			VINSERTF128(imm(1), row(low, k), r[k], r[k])
		}
		VUNPCKLPS(r[1], r[0], r[4])
		VUNPCKHPS(r[1], r[0], r[5])
		VUNPCKLPS(r[3], r[2], r[6])
		VUNPCKHPS(r[3], r[2], r[7])
		VUNPCKLPD(r[6], r[4], r[0])
		VUNPCKHPD(r[6], r[4], r[1])
		VUNPCKLPD(r[7], r[5], r[2])
		VUNPCKHPD(r[7], r[5], r[3])
		VMOVUPS(r[0], mem(py, 0))
		VMOVUPS(r[1], memIndex(py, ys, 1, 0))
		VMOVUPS(r[2], memIndex(py, ys, 2, 0))
		VMOVUPS(r[3], memIndex(py, ys3, 1, 0))
		LEAQ(memIndex(py, ys, 4, 0), py)
	}
	ADDQ(imm(32), px)
	SUBQ(imm(8), n)
	JMP(operand.LabelRef("transpose_square"))
	Label("transpose_next")
	LEAQ(memIndex(x, xs, 8, 0), x)
	ADDQ(imm(32), y)
	SUBQ(imm(8), rows)
	JMP(operand.LabelRef("transpose_rows"))
	Label("transpose_done")
	VZEROUPPER()
	RET()
}
