package main

import (
	"fmt"
	"unsafe"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"coar/internal/kernel/abi"
)

// Field offsets of abi.Tile, with which abi.CellTile begins; a slice's first word is its data pointer, the second its length.
var tile struct {
	a, b, k, kLen, a2, k2, k2Len, out, res, resLen, spans, spansLen, bStep, relu, aRow, a2Row, outRow, resRow, scale, shift, ahead, aheadStride int
}

// Field offsets of abi.Span, and its size.
const (
	spanIn, spanOut, spanRes, spanLast = 0, 4, 8, 12
	spanSize                           = 16
)

func init() {
	var t abi.Tile
	const word = int(unsafe.Sizeof(uintptr(0)))
	tile.a, tile.b = int(unsafe.Offsetof(t.A)), int(unsafe.Offsetof(t.B))
	tile.k, tile.kLen = int(unsafe.Offsetof(t.K)), int(unsafe.Offsetof(t.K))+word
	tile.a2, tile.k2, tile.k2Len = int(unsafe.Offsetof(t.A2)), int(unsafe.Offsetof(t.K2)), int(unsafe.Offsetof(t.K2))+word
	tile.out = int(unsafe.Offsetof(t.Out))
	tile.res, tile.resLen = int(unsafe.Offsetof(t.Res)), int(unsafe.Offsetof(t.Res))+word
	tile.spans, tile.spansLen = int(unsafe.Offsetof(t.Spans)), int(unsafe.Offsetof(t.Spans))+word
	tile.bStep, tile.relu = int(unsafe.Offsetof(t.BStep)), int(unsafe.Offsetof(t.ReLU))
	tile.aRow, tile.a2Row, tile.outRow, tile.resRow = int(unsafe.Offsetof(t.ARow)), int(unsafe.Offsetof(t.A2Row)), int(unsafe.Offsetof(t.OutRow)), int(unsafe.Offsetof(t.ResRow))
	tile.scale, tile.shift = int(unsafe.Offsetof(t.Scale)), int(unsafe.Offsetof(t.Shift))
	tile.ahead, tile.aheadStride = int(unsafe.Offsetof(t.Ahead)), int(unsafe.Offsetof(t.AheadStride))
}

// rowPtr are the general registers that hold the A row pointers.
var rowPtr = []reg.Register{reg.RAX, reg.RBX, reg.RCX, reg.RDX, reg.RSI, reg.RDI, reg.R8, reg.R9}

// emitTiles writes the tiles of every size.
func emitTiles(s isa, tables tables) {
	for rows := 1; rows <= s.maxRows; rows++ {
		for vecs := 1; vecs <= s.maxVecs; vecs++ {
			emitTile(s, rows, vecs, tables)
		}
	}
}

// emitTile writes one rows x vecs block: accumulators stay in registers over the whole reduction.
//
// Register use: acc[r][v] first, then one register per B vector, the rest rotate for broadcasts of A.
// Every general register is taken, so the walk over the spans keeps its place on the stack.
func emitTile(s isa, rows, vecs int, tables tables) {
	signature := "func(t *Tile)"
	if s.bf16 {
		signature = "func(t *CellTile)"
	}
	text(s, fmt.Sprintf("tile%dx%d", rows, vecs), signature, tileDoc(rows, vecs))
	next, left := AllocLocal(8), AllocLocal(8)
	var f fetching
	if s.fetches() {
		f = fetching{AllocLocal(8), AllocLocal(8)}
	}
	acc := func(r, v int) reg.VecPhysical { return s.regs[r*vecs+v] }

	t, b, at, step := reg.R15, reg.R10, reg.R13, reg.R14
	MOVQ(operand.NewParamAddr("t", 0), t)
	MOVQ(mem(t, tile.bStep), step)
	MOVQ(mem(t, tile.spans), at)
	MOVQ(at, next)
	MOVQ(mem(t, tile.spansLen), at)
	MOVQ(at, left)

	if s.fetches() {
		MOVQ(mem(t, tile.ahead), b)
		MOVQ(b, f.line)
	}
	span, end := label(s, rows, vecs, "span"), label(s, rows, vecs, "end")
	TESTQ(at, at)
	JZ(operand.LabelRef(end))
	Label(span)
	MOVQ(next, at)
	MOVLQSX(mem(at, spanIn), at)
	MOVQ(mem(t, tile.b), b)
	LEAQ(memIndex(b, at, 4, 0), b)
	for i := range rows * vecs {
		s.zero(s.regs[i])
	}
	emitReduction(s, rows, vecs, "k", tile.a, tile.aRow, tile.k, tile.kLen, f)
	emitReduction(s, rows, vecs, "k2", tile.a2, tile.a2Row, tile.k2, tile.k2Len, f)

	MOVQ(next, at)
	emitEpilogue(s, rows, vecs, t, at, acc, s.regs[rows*vecs], tables)
	ADDQ(imm(spanSize), next)
	DECQ(left)
	JNZ(operand.LabelRef(span))
	Label(end)
	VZEROUPPER()
	RET()
}

// emitReduction adds Σ_k A·B to the accumulators, with A and its steps taken from the named fields.
// Expects t in R15, the span's first B vector in R10 and the step between vectors, in elements, in R14.
func emitReduction(s isa, rows, vecs int, name string, aField, rowField, kField, lenField int, f fetching) {
	t, k, n, aOff := reg.R15, reg.R11, reg.R12, reg.RBP
	loop, plain, done := label(s, rows, vecs, name), label(s, rows, vecs, name+"plain"), label(s, rows, vecs, name+"done")
	MOVQ(mem(t, lenField), n)
	TESTQ(n, n)
	JZ(operand.LabelRef(done))
	MOVQ(mem(t, kField), k)
	MOVQ(mem(t, aField), aOff)
	for r := range rows {
		MOVLQSX(mem(t, rowField+4*r), rowPtr[r])
		LEAQ(memIndex(aOff, rowPtr[r], 4, 0), rowPtr[r])
	}
	if s.fetches() {
		// The loop's counter gives its register to the line that is fetched.
		line := n
		MOVQ(f.line, aOff)
		TESTQ(aOff, aOff)
		JZ(operand.LabelRef(plain))
		LEAQ(memIndex(k, n, 8, 0), n)
		MOVQ(n, f.end)
		MOVQ(aOff, line)
		Label(loop + "fetching")
		emitStep(s, rows, vecs)
		PREFETCHT1(mem(line, 0))
		ADDQ(mem(t, tile.aheadStride), line)
		CMPQ(k, f.end)
		JNE(operand.LabelRef(loop + "fetching"))
		MOVQ(line, f.line)
		JMP(operand.LabelRef(done))
		Label(plain)
	}
	Label(loop)
	emitStep(s, rows, vecs)
	DECQ(n)
	JNZ(operand.LabelRef(loop))
	Label(done)
}

// emitStep adds the products of the step that R11 points to, and moves on to the next.
func emitStep(s isa, rows, vecs int) {
	b, k, bOff, aOff, step := reg.R10, reg.R11, reg.R13, reg.RBP, reg.R14
	bvec := s.regs[rows*vecs:][:vecs]
	spare := s.regs[rows*vecs+vecs:]
	MOVLQSX(mem(k, 0), aOff)
	MOVLQSX(mem(k, 4), bOff)
	LEAQ(memIndex(b, bOff, 4, 0), bOff)
	VMOVUPS(mem(bOff, 0), bvec[0])
	if vecs > 1 {
		VMOVUPS(memIndex(bOff, step, 4, 0), bvec[1])
	}
	if vecs > 2 {
		VMOVUPS(memIndex(bOff, step, 8, 0), bvec[2]) // step counts elements: two steps are 8 bytes each
	}
	for r := range rows {
		a := spare[r%len(spare)]
		VBROADCASTSS(memIndex(rowPtr[r], aOff, 4, 0), a)
		s.multiply(a, bvec, s.regs[r*vecs:])
	}
	ADDQ(imm(8), k)
}

// fetching is where a tile keeps, on its stack, the line to fetch next, 0 if there is none, and the end of the steps.
type fetching struct{ line, end operand.Mem }

// fetches says whether tiles bring memory into the cache that is needed after them; AVX2 gains nothing by it.
func (s isa) fetches() bool { return s.wide() && !s.bf16 }

// multiply adds the products of a and each vector of b to acc.
func (s isa) multiply(a reg.VecPhysical, b, acc []reg.VecPhysical) {
	if s.bf16 {
		multiplyCells(a, b, acc)
		return
	}
	for v := range b {
		VFMADD231PS(b[v], a, acc[v])
	}
}

func label(s isa, rows, vecs int, name string) string {
	return fmt.Sprintf("%s_%s_%dx%d", name, s.name, rows, vecs)
}

// emitEpilogue scales, shifts, adds the residual, clamps and stores the accumulators at the span that sp points to.
func emitEpilogue(s isa, rows, vecs int, t, sp reg.GPPhysical, acc func(r, v int) reg.VecPhysical, tmp reg.VecPhysical, tables tables) {
	out, res, at, relu, last := reg.R10, reg.R11, reg.R12, reg.RAX, reg.RBP
	scale := s.regs[rows*vecs+vecs] // a broadcast register, free by now
	// acc = acc·scale + shift
	for r := range rows {
		VBROADCASTSS(mem(t, tile.scale+4*r), scale)
		VBROADCASTSS(mem(t, tile.shift+4*r), tmp)
		for v := range vecs {
			VFMADD213PS(tmp, scale, acc(r, v))
		}
	}
	noRes := label(s, rows, vecs, "noresidual")
	MOVQ(mem(t, tile.resLen), at)
	TESTQ(at, at)
	JZ(operand.LabelRef(noRes))
	MOVQ(mem(t, tile.res), res)
	MOVLQSX(mem(sp, spanRes), at)
	LEAQ(memIndex(res, at, 4, 0), res)
	if s.bf16 {
		addCellResidual(s, rows, vecs, t, res, acc, tmp)
	} else {
		for r := range rows {
			MOVLQSX(mem(t, tile.resRow+4*r), at)
			for v := range vecs {
				VADDPS(memIndex(res, at, 4, v*s.bytes()), acc(r, v), acc(r, v))
			}
		}
	}
	Label(noRes)
	noReLU := label(s, rows, vecs, "norelu")
	MOVQ(mem(t, tile.relu), relu)
	TESTQ(relu, relu)
	JZ(operand.LabelRef(noReLU))
	s.zero(tmp)
	for r := range rows {
		for v := range vecs {
			// The accumulator is the second source, which MAXPS returns for NaN: a NaN is never hidden.
			VMAXPS(acc(r, v), tmp, acc(r, v))
		}
	}
	Label(noReLU)
	MOVQ(mem(t, tile.out), out)
	MOVLQSX(mem(sp, spanOut), at)
	LEAQ(memIndex(out, at, 4, 0), out)
	MOVLQSX(mem(sp, spanLast), last)
	if s.wide() {
		MOVQ(operand.U32(1), reg.RCX)
		SHLXQ(last, reg.RCX, reg.RCX)
		DECQ(reg.RCX)
		KMOVW(reg.ECX, reg.K1)
	} else {
		LEAQ(tables.lanes, reg.RCX)
		NEGQ(last)
		VMOVUPS(memIndex(reg.RCX, last, 4, 32), tmp)
	}
	if s.bf16 {
		storeCells(s, rows, vecs, t, out, last, acc, tables)
		return
	}
	for r := range rows {
		MOVLQSX(mem(t, tile.outRow+4*r), at)
		for v := range vecs {
			dst := memIndex(out, at, 4, v*s.bytes())
			switch {
			case v < vecs-1:
				VMOVUPS(acc(r, v), dst)
			case s.wide():
				VMOVUPS(acc(r, v), reg.K1, dst)
			default:
				VMASKMOVPS(acc(r, v), tmp, dst)
			}
		}
	}
}
