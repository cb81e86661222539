package main

import (
	"unsafe"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"coar/internal/kernel/abi"
)

// Field offsets of abi.Cells.
const (
	cellsEven  = int(unsafe.Offsetof(abi.Cells{}.Even))
	cellsOdd   = int(unsafe.Offsetof(abi.Cells{}.Odd))
	cellsCells = int(unsafe.Offsetof(abi.Cells{}.Cells))
	cellsCols  = int(unsafe.Offsetof(abi.Cells{}.Cols))
	sliceLen   = int(unsafe.Sizeof(uintptr(0)))
)

// channels is the register set of a kernel that walks along two channels and their cells, a vector at a time.
type channels struct {
	s                isa
	even, odd, cells reg.GPPhysical // the current vectors
	evenLen, oddLen  reg.GPPhysical // 0: the channel is absent
	cols             reg.GPPhysical
}

// emitAlong writes a kernel over abi.Cells: setup once, body for every vector.
func emitAlong(s isa, name, doc string, setup, body func(c channels)) {
	text(s, name, "func(c *Cells)", doc)
	c := channels{s, reg.RAX, reg.RBX, reg.RCX, reg.RDX, reg.RSI, reg.RDI}
	args := reg.R15
	MOVQ(operand.NewParamAddr("c", 0), args)
	MOVQ(mem(args, cellsEven), c.even)
	MOVQ(mem(args, cellsEven+sliceLen), c.evenLen)
	MOVQ(mem(args, cellsOdd), c.odd)
	MOVQ(mem(args, cellsOdd+sliceLen), c.oddLen)
	MOVQ(mem(args, cellsCells), c.cells)
	MOVQ(mem(args, cellsCols), c.cols)
	setup(c)
	loop, done := name+"_"+s.name+"_vector", name+"_"+s.name+"_done"
	Label(loop)
	CMPQ(c.cols, imm(0))
	JLE(operand.LabelRef(done))
	body(c)
	for _, p := range []reg.GPPhysical{c.even, c.odd, c.cells} {
		ADDQ(imm(s.bytes()), p)
	}
	SUBQ(imm(s.lanes), c.cols)
	JMP(operand.LabelRef(loop))
	Label(done)
	VZEROUPPER()
	RET()
}

// ifPresent emits body so that it is skipped where length is zero.
func ifPresent(length reg.GPPhysical, skip string, body func()) {
	TESTQ(length, length)
	JZ(operand.LabelRef(skip))
	body()
	Label(skip)
}

// emitRoundCells writes the rounding of two channels to cells.
func emitRoundCells(s isa, t tables) {
	even, odd, cells, interleave := s.regs[0], s.regs[1], s.regs[2], s.regs[3]
	emitAlong(s, "roundCells", "rounds Even and Odd to Cells.", func(channels) {
		VMOVDQU32(t.interleave, interleave)
		s.zero(even)
		s.zero(odd)
	}, func(c channels) {
		ifPresent(c.evenLen, "noeven", func() { VMOVUPS(mem(c.even, 0), even) })
		ifPresent(c.oddLen, "noodd", func() { VMOVUPS(mem(c.odd, 0), odd) })
		packCells(even, odd, interleave, cells)
		VMOVDQU32(cells, mem(c.cells, 0))
	})
}

// emitWidenCells writes the way back from cells to two channels.
func emitWidenCells(s isa) {
	half := s.regs[0]
	emitAlong(s, "widenCells", "widens Cells to Even and Odd.", func(channels) {
		highHalves(reg.K2, reg.R8L)
	}, func(c channels) {
		ifPresent(c.evenLen, "noeven", func() {
			VPSLLD(imm(16), mem(c.cells, 0), half)
			VMOVUPS(half, mem(c.even, 0))
		})
		ifPresent(c.oddLen, "noodd", func() {
			VMOVDQU16_Z(mem(c.cells, 0), reg.K2, half)
			VMOVUPS(half, mem(c.odd, 0))
		})
	})
}

// emitLayerNormCells writes the layer norm of float32 columns to columns of cells, two rows at a time.
func emitLayerNormCells(s isa, t tables) {
	const name = "layerNormCells"
	text(s, name, "func(c *Columns)", "normalises each column of X to zero mean and unit variance, then applies Gamma and Beta, in cells of Y.")
	n := beginNorm(s, name)
	w := n.w
	even, odd, cells, interleave := s.regs[2], s.regs[3], s.regs[6], s.regs[7]
	VMOVDQU32(t.interleave, interleave)
	MOVQ(w.x, w.px)
	MOVQ(w.y, w.py)
	MOVQ(w.rows, w.n)
	pair, last, done := name+"_pair", name+"_last", name+"_normalised"
	Label(pair)
	SUBQ(imm(2), w.n)
	JL(operand.LabelRef(last))
	n.row(even)
	ADDQ(w.xs, w.px)
	n.row(odd)
	ADDQ(w.xs, w.px)
	packCells(even, odd, interleave, cells)
	VMOVDQU32(cells, mem(w.py, 0))
	ADDQ(w.ys, w.py)
	JMP(operand.LabelRef(pair))
	Label(last)
	CMPQ(w.n, operand.I8(-1))
	JNE(operand.LabelRef(done))
	n.row(even)
	s.zero(odd)
	packCells(even, odd, interleave, cells)
	VMOVDQU32(cells, mem(w.py, 0))
	Label(done)
	w.finish()
}

// emitGELUCells writes GELU of both halves over a contiguous run of whole vectors of cells.
func emitGELUCells(s isa, t tables) {
	text(s, "geluCells", "func(c *Columns)", "writes the exact GELU of both halves of row 0 of X to row 0 of Y.")
	g := newGELU(s, t)
	even, cells, interleave := s.regs[10], s.regs[11], s.regs[12]
	VMOVDQU32(t.interleave, interleave)
	highHalves(reg.K2, reg.EAX)
	w := begin(s, "geluCells")
	VMOVDQU32(mem(w.x, 0), cells)
	VPSLLD(imm(16), cells, g.x)
	g.emit()
	VMOVAPS(g.y, even)
	VMOVDQU16_Z(cells, reg.K2, g.x)
	g.emit()
	packCells(even, g.y, interleave, cells)
	VMOVDQU32(cells, mem(w.y, 0))
	w.finish()
}

// emitRoundRows writes the rounding of rows of float32 to lines of 16 cells, each of two neighbours of a row.
func emitRoundRows(s isa) {
	text(s, "roundRows", "func(c *Columns)", "rounds rows of X to lines of cells in Y.")
	lo, hi := s.regs[0], s.regs[1]
	c, x, y, xs, ys, rows, cols, px, py, left := reg.R15, reg.RAX, reg.RBX, reg.RCX, reg.RDX, reg.RSI, reg.R8, reg.R9, reg.R10, reg.R11
	MOVQ(operand.NewParamAddr("c", 0), c)
	MOVQ(mem(c, columns.x), x)
	MOVQ(mem(c, columns.y), y)
	MOVQ(mem(c, columns.xStride), xs)
	MOVQ(mem(c, columns.yStride), ys)
	SHLQ(imm(2), xs)
	SHLQ(imm(2), ys)
	MOVQ(mem(c, columns.rows), rows)
	MOVQ(mem(c, columns.cols), cols)
	Label("roundRows_row")
	SUBQ(imm(1), rows)
	JL(operand.LabelRef("roundRows_done"))
	MOVQ(x, px)
	MOVQ(y, py)
	MOVQ(cols, left)
	Label("roundRows_line")
	CMPQ(left, imm(0))
	JLE(operand.LabelRef("roundRows_next"))
	// The lanes that there are, of the 32 of a line.
	MOVQ(operand.U32(uint32(2*s.lanes)), reg.R13)
	CMPQ(left, reg.R13)
	CMOVQLT(left, reg.R13) // BZHI looks at its index's low byte alone
	MOVL(operand.U32(0xffffffff), reg.R12L)
	BZHIL(reg.R13L, reg.R12L, reg.R12L)
	KMOVW(reg.R12L, reg.K1)
	SHRL(imm(16), reg.R12L)
	KMOVW(reg.R12L, reg.K2)
	VMOVUPS_Z(mem(px, 0), reg.K1, lo)
	VMOVUPS_Z(mem(px, s.bytes()), reg.K2, hi)
	Comment(vcvtne2ps2bf16.text(lo, hi, lo))
	vcvtne2ps2bf16.emit(lo, hi, lo)
	VMOVDQU32(lo, mem(py, 0))
	ADDQ(operand.U32(uint32(2*s.bytes())), px)
	ADDQ(ys, py)
	SUBQ(imm(2*s.lanes), left)
	JMP(operand.LabelRef("roundRows_line"))
	Label("roundRows_next")
	ADDQ(xs, x)
	ADDQ(imm(s.bytes()), y)
	JMP(operand.LabelRef("roundRows_row"))
	Label("roundRows_done")
	VZEROUPPER()
	RET()
}
