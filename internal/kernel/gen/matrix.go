package main

import (
	"fmt"
	"unsafe"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"coar/internal/kernel/abi"
)

// Field offsets of abi.Matrix; those with Len are of a slice's length.
var matrix struct {
	acc, config, a, b, steps, stepsLen, out, res, spans, spansLen, stride, bStep, rows, relu, cells, outRow, resRow, form, scale, shift, sums, resume, pause int
}

func init() {
	var m abi.Matrix
	o := func(at uintptr) int { return int(at) }
	matrix.acc, matrix.config = o(unsafe.Offsetof(m.Acc)), o(unsafe.Offsetof(m.Config))
	matrix.a, matrix.b = o(unsafe.Offsetof(m.A)), o(unsafe.Offsetof(m.B))
	matrix.steps, matrix.stepsLen = o(unsafe.Offsetof(m.Steps)), o(unsafe.Offsetof(m.Steps))+sliceLen
	matrix.out, matrix.res = o(unsafe.Offsetof(m.Out)), o(unsafe.Offsetof(m.Res))
	matrix.spans, matrix.spansLen = o(unsafe.Offsetof(m.Spans)), o(unsafe.Offsetof(m.Spans))+sliceLen
	matrix.stride, matrix.bStep, matrix.rows = o(unsafe.Offsetof(m.Stride)), o(unsafe.Offsetof(m.BStep)), o(unsafe.Offsetof(m.Rows))
	matrix.relu, matrix.cells = o(unsafe.Offsetof(m.ReLU)), o(unsafe.Offsetof(m.Cells))
	matrix.outRow, matrix.resRow, matrix.form = o(unsafe.Offsetof(m.OutRow)), o(unsafe.Offsetof(m.ResRow)), o(unsafe.Offsetof(m.Form))
	matrix.sums, matrix.resume, matrix.pause = o(unsafe.Offsetof(m.Sums)), o(unsafe.Offsetof(m.Resume)), o(unsafe.Offsetof(m.Pause))
	matrix.scale, matrix.shift = o(unsafe.Offsetof(m.Scale)), o(unsafe.Offsetof(m.Shift))
}

// The bytes of a row and of a whole tile.
const (
	tileLine  = 4 * abi.MatrixSide
	tileBytes = tileLine * abi.MatrixSide
)

// emitMatrices writes the kernels over AMX's tiles.
func emitMatrices(t tables) {
	for _, size := range [][2]int{{1, 1}, {1, 2}, {1, 3}, {1, 4}, {2, 1}, {2, 2}} {
		emitMatrix(size[0], size[1], t)
	}
}

// emitMatrix writes one block of sides x vecs tiles: T0 to T3 hold the sums, T4 and T5 weights, T6 and T7 columns.
func emitMatrix(sides, vecs int, tables tables) {
	name := fmt.Sprintf("matrix%dx%d", sides, vecs)
	TEXT(name+"AMX", NOSPLIT, "func(m *Matrix)")
	Doc(fmt.Sprintf("%sAMX computes a block of %d rows by %d vectors at every span.", name, sides*abi.MatrixSide, vecs))
	Pragma("noescape")
	lbl := func(s string) string { return fmt.Sprintf("%s_%s", name, s) }

	m, span, left, line, stride, bStep := reg.R15, reg.R14, reg.R13, reg.R12, reg.R11, reg.RBP
	a, b, k, n, at, at2 := reg.RSI, reg.RDI, reg.R8, reg.R9, reg.R10, reg.RAX
	floor, interleave := reg.Z31, reg.Z30
	MOVQ(operand.NewParamAddr("m", 0), m)
	LEAQ(mem(m, matrix.config), at)
	loadConfig(at)
	VMOVDQU32(tables.interleave, interleave)
	emitFloor(m, floor, lbl("floor"))
	highHalves(reg.K3, reg.EAX)
	MOVQ(mem(m, matrix.spans), span)
	MOVQ(mem(m, matrix.spansLen), left)
	MOVQ(mem(m, matrix.stride), stride)
	SHLQ(imm(2), stride)
	// The next block's weights follow this one's: they are fetched while the spans run, a few lines with every step.
	const linesAhead = 4
	ahead, end := reg.RBX, reg.RDX
	MOVQ(mem(m, matrix.stepsLen), n)
	IMUL3Q(operand.U32(uint32(sides*tileBytes)), n, n)
	MOVQ(mem(m, matrix.a), ahead)
	ADDQ(n, ahead)
	LEAQ(memIndex(ahead, n, 1, 0), end)

	Label(lbl("span"))
	SUBQ(imm(1), left)
	JL(operand.LabelRef(lbl("done")))
	emitResume(sides, vecs, m, span, lbl)
	MOVQ(operand.U32(tileLine), line)
	MOVQ(mem(m, matrix.bStep), bStep)
	MOVQ(mem(m, matrix.a), a)
	MOVQ(mem(m, matrix.b), b)
	MOVLQSX(mem(span, spanIn), at)
	LEAQ(memIndex(b, at, 4, 0), b)
	MOVQ(mem(m, matrix.steps), k)
	MOVQ(mem(m, matrix.stepsLen), n)
	Label(lbl("step"))
	SUBQ(imm(1), n)
	JL(operand.LabelRef(lbl("reduced")))
	MOVLQSX(mem(k, 0), at)
	ADDQ(imm(4), k)
	LEAQ(memIndex(b, at, 4, 0), at)
	for i := range linesAhead {
		PREFETCHT1(mem(ahead, tileLine*i))
	}
	ADDQ(operand.U32(linesAhead*tileLine), ahead)
	CMPQ(ahead, end)
	CMOVQGT(end, ahead)
	for i := range sides {
		loadTile(a, line, byte(4+i))
		ADDQ(operand.U32(tileBytes), a)
	}
	for v := range vecs {
		if v > 0 {
			LEAQ(memIndex(at, bStep, 4, 0), at2)
			MOVQ(at2, at)
		}
		column := byte(6 + v%2)
		loadTile(at, stride, column)
		for i := range sides {
			multiplyTiles(column, byte(4+i), byte(i*vecs+v))
		}
	}
	JMP(operand.LabelRef(lbl("step")))
	Label(lbl("reduced"))
	CMPQ(mem(m, matrix.pause), imm(0))
	JE(operand.LabelRef(lbl("finish")))
	emitPause(sides, vecs, m, span)
	JMP(operand.LabelRef(lbl("next")))
	Label(lbl("finish"))
	emitMatrixEpilogue(sides, vecs, m, span, floor, interleave, lbl)
	Label(lbl("next"))
	ADDQ(imm(spanSize), span)
	JMP(operand.LabelRef(lbl("span")))
	Label(lbl("done"))
	releaseTiles()
	VZEROUPPER()
	RET()
}

// emitResume starts the sums of a span: from zero, or from what the part before left.
func emitResume(sides, vecs int, m, span reg.GPPhysical, lbl func(string) string) {
	at, line := reg.R10, reg.R12
	CMPQ(mem(m, matrix.resume), imm(0))
	JNE(operand.LabelRef(lbl("resume")))
	for t := range sides * vecs {
		zeroTile(byte(t))
	}
	JMP(operand.LabelRef(lbl("started")))
	Label(lbl("resume"))
	emitSums(m, span, at)
	eachTile(sides, vecs, at, line, func(tile byte, at reg.GPPhysical) { loadTile(at, line, tile) })
	Label(lbl("started"))
}

// emitPause leaves the sums of a span to the next part.
func emitPause(sides, vecs int, m, span reg.GPPhysical) {
	at, line := reg.R10, reg.R12
	emitSums(m, span, at)
	eachTile(sides, vecs, at, line, func(tile byte, at reg.GPPhysical) { storeTile(tile, at, line) })
}

// emitSums sets at to the Sums of span.
func emitSums(m, span, at reg.GPPhysical) {
	MOVQ(span, at)
	SUBQ(mem(m, matrix.spans), at)
	IMUL3Q(operand.U32(4*abi.MatrixSums/spanSize), at, at)
	ADDQ(mem(m, matrix.sums), at)
}

// eachTile calls f for the tiles of the sums and where each lies from at on, in rows of vecs lines; it moves at and sets line
// to what a row takes.
func eachTile(sides, vecs int, at, line reg.GPPhysical, f func(tile byte, at reg.GPPhysical)) {
	MOVQ(operand.U32(uint32(vecs*tileLine)), line)
	for i := range sides {
		for v := range vecs {
			f(byte(i*vecs+v), at)
			if v < vecs-1 {
				ADDQ(operand.U32(tileLine), at)
			}
		}
		ADDQ(operand.U32(uint32(vecs*(tileBytes-tileLine)+tileLine)), at)
	}
}

// emitFloor sets floor to what results are clamped at: zero, or minus infinity where they are not.
func emitFloor(m reg.GPPhysical, floor reg.VecPhysical, done string) {
	avx512.zero(floor)
	CMPQ(mem(m, matrix.relu), imm(0))
	JNE(operand.LabelRef(done))
	MOVL(operand.U32(0xff800000), reg.EAX)
	VPBROADCASTD(reg.EAX, floor)
	Label(done)
}

// emitMatrixEpilogue brings the sums through memory into vectors, a pair of rows at a time. It expects the high halves of
// a vector in K3 and leaves R11 to R15 alone but for R12.
func emitMatrixEpilogue(sides, vecs int, m, span reg.GPPhysical, floor, interleave reg.VecPhysical, lbl func(string) string) {
	acc, row, at, rows, out, res := reg.RSI, reg.RCX, reg.R10, reg.R9, reg.RDI, reg.R8
	line := reg.R12
	LEAQ(mem(m, matrix.acc), acc)
	LEAQ(mem(m, matrix.acc), at)
	eachTile(sides, vecs, at, line, func(tile byte, at reg.GPPhysical) { storeTile(tile, at, line) })
	MOVQ(mem(m, matrix.rows), rows)
	MOVQ(mem(m, matrix.out), out)
	MOVLQSX(mem(span, spanOut), at)
	LEAQ(memIndex(out, at, 4, 0), out)
	MOVQ(mem(m, matrix.res), res)
	MOVLQSX(mem(span, spanRes), at)
	LEAQ(memIndex(res, at, 4, 0), res)
	MOVLQSX(mem(span, spanLast), at)
	MOVQ(operand.U32(1), reg.RCX)
	SHLXQ(at, reg.RCX, reg.RCX)
	DECQ(reg.RCX)
	KMOVW(reg.ECX, reg.K1)
	XORQ(row, row)

	Label(lbl("pair"))
	y := func(h, v int) reg.VecPhysical { return avx512.regs[h*vecs+v] }
	for h := range 2 {
		emitMatrixRow(h, vecs, m, acc, row, at, res, floor, y, lbl)
	}
	emitMatrixStore(vecs, m, row, at, out, interleave, y, lbl)
	ADDQ(operand.U32(2*vecs*tileLine), acc)
	ADDQ(imm(2), row)
	CMPQ(row, rows)
	JL(operand.LabelRef(lbl("pair")))
}

// emitMatrixRow scales, shifts, adds the residual to and clamps row row+h.
func emitMatrixRow(h, vecs int, m, acc, row, at, res reg.GPPhysical, floor reg.VecPhysical, y func(h, v int) reg.VecPhysical, lbl func(string) string) {
	scale, shift, tmp := reg.Z29, reg.Z28, reg.Z27
	field := func(at int) operand.Mem { return memIndex(m, row, 4, at+4*h) }
	l := func(s string) string { return lbl(fmt.Sprintf("%s%d", s, h)) }
	VBROADCASTSS(field(matrix.scale), scale)
	VBROADCASTSS(field(matrix.shift), shift)
	avx512.zero(tmp)
	VCMPPS(imm(4), tmp, scale, reg.K2) // not equal, true for NaN
	for v := range vecs {
		VMOVUPS_Z(mem(acc, (h*vecs+v)*tileLine), reg.K2, y(h, v))
		VFMADD213PS(shift, scale, y(h, v))
	}
	MOVLQSX(field(matrix.resRow), at)
	TESTQ(at, at)
	JS(operand.LabelRef(l("clamp")))
	LEAQ(memIndex(res, at, 4, 0), at)
	addInForm(vecs, field(matrix.form), func(v int) operand.Mem { return mem(at, v*tileLine) }, reg.K3,
		func(v int) reg.VecPhysical { return y(h, v) }, tmp, l)
	Label(l("clamp"))
	for v := range vecs {
		// As in emitEpilogue, so that a NaN is never hidden.
		VMAXPS(y(h, v), floor, y(h, v))
	}
}

// emitMatrixStore writes a pair of rows. K1 holds the lanes to write of the last vector.
func emitMatrixStore(vecs int, m, row, at, out reg.GPPhysical, interleave reg.VecPhysical, y func(h, v int) reg.VecPhysical, lbl func(string) string) {
	cells := reg.Z29
	store := func(x reg.VecPhysical, v int) {
		if v == vecs-1 {
			VMOVUPS(x, reg.K1, memIndex(out, at, 4, v*tileLine))
		} else {
			VMOVUPS(x, memIndex(out, at, 4, v*tileLine))
		}
	}
	MOVLQSX(memIndex(m, row, 4, matrix.outRow), at)
	CMPQ(mem(m, matrix.cells), imm(0))
	JE(operand.LabelRef(lbl("outf32")))
	for v := range vecs {
		packCells(y(0, v), y(1, v), interleave, cells)
		store(cells, v)
	}
	JMP(operand.LabelRef(lbl("stored")))
	Label(lbl("outf32"))
	for v := range vecs {
		store(y(0, v), v)
	}
	MOVLQSX(memIndex(m, row, 4, matrix.outRow+4), at)
	TESTQ(at, at)
	JS(operand.LabelRef(lbl("stored")))
	for v := range vecs {
		store(y(1, v), v)
	}
	Label(lbl("stored"))
}
