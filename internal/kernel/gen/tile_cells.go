package main

import (
	"fmt"
	"strings"
	"unsafe"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"coar/internal/kernel/abi"
)

// Field offsets of abi.CellTile beyond those of abi.Tile.
const (
	tileOutForm = int(unsafe.Offsetof(abi.CellTile{}.OutForm))
	tileResForm = int(unsafe.Offsetof(abi.CellTile{}.ResForm))
)

// All low halves of a vector of cells, as a mask of 16-bit lanes; those of the high halves are one bit further.
const lowHalves = 0x55555555

// multiplyCells adds the products of both halves of a and each vector of b to acc.
func multiplyCells(a reg.VecPhysical, b, acc []reg.VecPhysical) {
	var lines []string
	for v := range b {
		lines = append(lines, vdpbf16ps.text(b[v], a, acc[v]))
	}
	Comment(strings.Join(lines, "; "))
	for v := range b {
		vdpbf16ps.emit(b[v], a, acc[v])
	}
}

// packCells rounds the lanes of lo and hi to the two halves of dst's cells; interleave holds the table of that name.
func packCells(lo, hi, interleave, dst reg.VecPhysical) {
	Comment(vcvtne2ps2bf16.text(lo, hi, dst))
	vcvtne2ps2bf16.emit(lo, hi, dst)
	VPERMW(dst, interleave, dst)
}

// highHalves sets k to the high halves of a vector of cells.
func highHalves(k, tmp reg.Register) {
	MOVL(operand.U32(lowHalves<<1), tmp)
	KMOVD(tmp, k)
}

// addCellResidual adds each row's residual in its form; res points to the span's place in channel 0.
func addCellResidual(s isa, rows, vecs int, t, res reg.GPPhysical, acc func(r, v int) reg.VecPhysical, tmp reg.VecPhysical) {
	at, high := reg.R12, reg.K2
	highHalves(high, reg.EAX)
	for r := range rows {
		MOVLQSX(mem(t, tile.resRow+4*r), at)
		addInForm(vecs, mem(t, tileResForm+4*r), func(v int) operand.Mem { return memIndex(res, at, 4, v*s.bytes()) }, high,
			func(v int) reg.VecPhysical { return acc(r, v) }, tmp, func(name string) string { return label(s, rows, vecs, fmt.Sprintf("res%d%s", r, name)) })
	}
}

// addInForm adds the vectors at src, in the form that is stored at form, to acc; high holds the high halves of a vector.
func addInForm(vecs int, form operand.Mem, src func(v int) operand.Mem, high reg.Register, acc func(v int) reg.VecPhysical, tmp reg.VecPhysical, lbl func(string) string) {
	CMPL(form, imm(int(abi.Low)))
	JL(operand.LabelRef(lbl("f32")))
	JE(operand.LabelRef(lbl("low")))
	for v := range vecs {
		VMOVDQU16_Z(src(v), high, tmp)
		VADDPS(tmp, acc(v), acc(v))
	}
	JMP(operand.LabelRef(lbl("added")))
	Label(lbl("low"))
	for v := range vecs {
		VPSLLD(imm(16), src(v), tmp)
		VADDPS(tmp, acc(v), acc(v))
	}
	JMP(operand.LabelRef(lbl("added")))
	Label(lbl("f32"))
	for v := range vecs {
		VADDPS(src(v), acc(v), acc(v))
	}
	Label(lbl("added"))
}

// storeCells writes each row in its form; out points to the span's place in channel 0, K1 holds the lanes to write of the
// last vector and last their number. A half is rounded into both halves of every cell, and a mask picks which is written.
func storeCells(s isa, rows, vecs int, t, out, last reg.GPPhysical, acc func(r, v int) reg.VecPhysical, tables tables) {
	at := reg.R12
	cells, interleave := s.regs[rows*vecs], s.regs[rows*vecs+1]
	VMOVDQU32(tables.interleave, interleave)
	// Low halves of a whole vector in EDX, of the last one in EBX.
	ADDQ(last, last)
	MOVQ(operand.U32(1), reg.RBX)
	SHLXQ(last, reg.RBX, reg.RBX)
	DECQ(reg.RBX)
	MOVL(operand.U32(lowHalves), reg.EDX)
	ANDL(reg.EDX, reg.EBX)

	row := func(r int) string { return label(s, rows, vecs, fmt.Sprintf("row%d", r)) }
	for r := range rows {
		f32, pair := label(s, rows, vecs, fmt.Sprintf("row%df32", r)), label(s, rows, vecs, fmt.Sprintf("row%dpair", r))
		dst := func(v int) operand.Mem { return memIndex(out, at, 4, v*s.bytes()) }
		Label(row(r))
		MOVLQSX(mem(t, tile.outRow+4*r), at)
		MOVL(mem(t, tileOutForm+4*r), reg.EAX)
		SUBL(imm(int(abi.Low)), reg.EAX)
		JL(operand.LabelRef(f32))
		if r+1 < rows {
			CMPL(reg.EAX, imm(int(abi.Pair-abi.Low)))
			JE(operand.LabelRef(pair))
		}
		SHLXL(reg.EAX, reg.EBX, reg.ECX)
		KMOVD(reg.ECX, reg.K3)
		if vecs > 1 {
			SHLXL(reg.EAX, reg.EDX, reg.ECX)
			KMOVD(reg.ECX, reg.K2)
		}
		for v := range vecs {
			packCells(acc(r, v), acc(r, v), interleave, cells)
			if v == vecs-1 {
				VMOVDQU16(cells, reg.K3, dst(v))
			} else {
				VMOVDQU16(cells, reg.K2, dst(v))
			}
		}
		JMP(operand.LabelRef(row(r + 1)))
		if r+1 < rows {
			Label(pair)
			for v := range vecs {
				packCells(acc(r, v), acc(r+1, v), interleave, cells)
				if v == vecs-1 {
					VMOVDQU32(cells, reg.K1, dst(v))
				} else {
					VMOVDQU32(cells, dst(v))
				}
			}
			JMP(operand.LabelRef(row(r + 2)))
		}
		Label(f32)
		for v := range vecs {
			if v == vecs-1 {
				VMOVUPS(acc(r, v), reg.K1, dst(v))
			} else {
				VMOVUPS(acc(r, v), dst(v))
			}
		}
	}
	Label(row(rows))
}
