package main

import (
	"fmt"

	"coar/internal/kernel/abi"
)

// neonWinograd is the register set of the transforms. Both keep what lies between their two passes in registers,
// 24 vectors, six for each row; v24 to v29 are temporaries.
type neonWinograd struct {
	*neon
	w, x, y, n, plane, at, tmp gp
	points, more               vec
}

// Where the constants lie in the lanes of points and more.
const (
	laneA, laneB, laneA2, laneB2 = 0, 1, 2, 3
	laneSum, laneA3, laneB3      = 0, 1, 2
)

// beginNEONWinograd loads the arguments that both transforms have.
func beginNEONWinograd(asm *neon, name, doc string) *neonWinograd {
	w := &neonWinograd{neon: asm, w: 0, x: 1, y: 2, n: 3, plane: 4, at: 5, tmp: 6, points: 30, more: 31}
	w.function(name, "w", "Winograd", doc, w.w)
	w.op("MOVD", w.w.at(wino.n), w.n)
	w.op("CBZ", w.n, "end")
	w.op("MOVD", w.w.at(wino.x), w.x)
	w.op("MOVD", w.w.at(wino.y), w.y)
	w.bytes(wino.plane, w.plane)
	const a, b = abi.PointA, abi.PointB
	w.constantTable(w.tmp)
	w.load(w.tmp.at(w.constants4("pointA, pointB and their squares", [4]uint32{bits(a), bits(b), bits(a * a), bits(b * b)})), w.points)
	w.load(w.tmp.at(w.constants4("the sum of the squares and the cubes", [4]uint32{bits(a*a + b*b), bits(a * a * a), bits(b * b * b)})), w.more)
	return w
}

// bytes loads a count of elements as one of bytes.
func (w *neonWinograd) bytes(field int, d gp) {
	w.op("MOVD", w.w.at(field), d)
	w.op("LSL", 2, d)
}

type pointerStep struct{ pointer, step gp }

// row is the six registers of row i < 4 between the passes.
func (w *neonWinograd) row(i int) [6]vec {
	var r [6]vec
	for j := range r {
		r[j] = vec(6*i + j)
	}
	return r
}

// next emits the way to the next vector of tiles, each pointer forward by its step, and the return.
func (w *neonWinograd) next(moves ...pointerStep) {
	for _, m := range moves {
		w.op("ADD", m.step, m.pointer)
	}
	w.op("SUBS", 1, w.n)
	w.op("BNE", "tile")
	w.label("end")
	w.op("RET")
}

// emitNEONWinogradInput writes the input transform: columns, then rows. Rows 4 and 5 find no register and pass through the scratch.
func emitNEONWinogradInput(a *neon) {
	w := beginNEONWinograd(a, "winogradInput", winogradInputDoc)
	scratch, xRow, xStep, yStep, scaled := gp(7), gp(8), gp(9), gp(10), gp(11)
	scale := vec(26)
	spilled := [2]vec{24, 25}
	w.op("MOVD", w.w.at(wino.scratch), scratch)
	w.op("MOVD", w.w.at(wino.scaled), scaled)
	w.bytes(wino.xRow, xRow)
	w.bytes(wino.xStep, xStep)
	w.bytes(wino.yStep, yStep)
	w.label("tile")
	for j := range 6 {
		w.offset(w.x, w.w, wino.xCol+4*j, w.tmp, w.at)
		d := [6]vec{w.row(0)[j], w.row(1)[j], w.row(2)[j], w.row(3)[j], spilled[0], spilled[1]}
		for i := range 6 {
			w.loadStep(w.at, xRow, d[i])
		}
		unscaled := fmt.Sprint("unscaled", j)
		w.op("CBZ", scaled, unscaled)
		w.loadScalar(w.w.at(wino.scale), scale)
		for _, v := range d {
			w.word(fmulLane(scale, 0, v, v))
		}
		w.label(unscaled)
		w.input1D(d)
		for i, v := range spilled {
			w.store(v, scratch.at((6*i+j)*neonBytes))
		}
	}
	w.op("MOVD", w.y, w.at)
	for i := range 6 {
		d := w.row(i % 4)
		if i >= 4 {
			for j := range 6 {
				w.load(scratch.at((6*(i-4)+j)*neonBytes), d[j])
			}
		}
		w.input1D(d)
		for j := range 6 {
			w.storeStep(d[j], w.at, w.plane)
		}
	}
	w.next(pointerStep{w.x, xStep}, pointerStep{w.y, yStep})
}

// input1D replaces d by Bᵀd.
func (w *neonWinograd) input1D(d [6]vec) {
	t, s := [2]vec{26, 27}, [2]vec{28, 29}
	for i := range 2 {
		w.move(d[4], t[i])
		w.move(d[3], s[i])
	}
	w.word(fmlsLane(w.points, laneB2, d[2], t[0]))
	w.word(fmlsLane(w.points, laneB2, d[1], s[0]))
	w.word(fmlsLane(w.points, laneA2, d[2], t[1]))
	w.word(fmlsLane(w.points, laneA2, d[1], s[1]))
	w.word(fadd(d[4], d[0], d[0]))
	w.word(fmlsLane(w.more, laneSum, d[2], d[0]))
	w.word(fadd(d[1], d[5], d[5]))
	w.word(fmlsLane(w.more, laneSum, d[3], d[5]))
	for i, lane := range []int{laneA, laneB} {
		w.move(t[i], d[2*i+1])
		w.word(fmlaLane(w.points, lane, s[i], d[2*i+1]))
		w.move(t[i], d[2*i+2])
		w.word(fmlsLane(w.points, lane, s[i], d[2*i+2]))
	}
}

// emitNEONWinogradOutput writes the output transform with its epilogue: columns, then rows.
func emitNEONWinogradOutput(a *neon) {
	w := beginNEONWinograd(a, "winogradOutput", winogradOutputDoc)
	res, plane6, column := gp(7), gp(8), gp(9)
	xStep, yStep, resStep := gp(10), gp(11), gp(12)
	e := neonWinogradEpilogue{w, w.at, 13, 14, 15, 19}
	yRow, resRow, rows := gp(20), gp(21), gp(22)
	for _, f := range []struct {
		field int
		d     gp
	}{{wino.res, res}, {wino.rows, rows}, {wino.cols, e.cols}, {wino.resLen, e.resLen}, {wino.relu, e.relu}} {
		w.op("MOVD", w.w.at(f.field), f.d)
	}
	w.bytes(wino.xStep, xStep)
	w.bytes(wino.yStep, yStep)
	w.bytes(wino.resStep, resStep)
	w.bytes(wino.yRow, yRow)
	w.bytes(wino.resRow, resRow)
	w.op("ADD", fmt.Sprintf("%s<<1", w.plane), w.plane, plane6)
	w.op("LSL", 1, plane6)
	w.label("tile")
	w.op("MOVD", w.x, column)
	for j := range 6 {
		w.op("MOVD", column, w.at)
		m := [6]vec{w.row(0)[j], w.row(1)[j], w.row(2)[j], 24, 25, w.row(3)[j]}
		for i := range 6 {
			w.loadStep(w.at, plane6, m[i])
		}
		w.output1D(m)
		w.op("ADD", w.plane, column)
	}
	w.op("MOVD", w.y, e.y)
	w.op("MOVD", res, e.res)
	for i := range 4 {
		w.op("CMP", i, rows)
		w.op("BLE", "next")
		e.emit(i, w.output1D(w.row(i)))
		w.op("ADD", yRow, e.y)
		w.op("ADD", resRow, e.res)
	}
	w.label("next")
	w.next(pointerStep{w.x, xStep}, pointerStep{w.y, yStep}, pointerStep{res, resStep})
}

// output1D replaces m by Aᵀm, whose four elements it leaves in the registers that it returns.
func (w *neonWinograd) output1D(m [6]vec) [4]vec {
	p, q, r, s := vec(26), vec(27), vec(28), vec(29)
	w.word(fadd(m[2], m[1], p))
	w.word(fsub(m[2], m[1], q))
	w.word(fadd(m[4], m[3], r))
	w.word(fsub(m[4], m[3], s))
	w.word(fadd(p, m[0], m[0]))
	w.word(fadd(r, m[0], m[0]))
	w.word(fmulLane(w.points, laneA, q, m[1]))
	w.word(fmlaLane(w.points, laneB, s, m[1]))
	w.word(fmulLane(w.points, laneA2, p, m[2]))
	w.word(fmlaLane(w.points, laneB2, r, m[2]))
	w.word(fmlaLane(w.more, laneA3, q, m[5]))
	w.word(fmlaLane(w.more, laneB3, s, m[5]))
	return [4]vec{m[0], m[1], m[2], m[5]}
}

// neonWinogradEpilogue turns a transformed row into a row of the output.
type neonWinogradEpilogue struct {
	*neonWinograd
	y, res             gp // the row's first element in Y and Res
	cols, resLen, relu gp
}

// emit scales, shifts, adds the residual, clamps and stores row i.
func (e neonWinogradEpilogue) emit(i int, row [4]vec) {
	y, x, scale := [4]vec{26, 27, 28, 29}, vec(24), vec(25)
	e.loadScalar(e.w.at(wino.scale), scale)
	e.loadScalar(e.w.at(wino.shift), x)
	for j := range 4 {
		e.broadcast(x, y[j])
		e.word(fmlaLane(scale, 0, row[j], y[j]))
	}
	noRes, noReLU, stored := fmt.Sprint("noresidual", i), fmt.Sprint("norelu", i), fmt.Sprint("stored", i)
	e.op("CBZ", e.resLen, noRes)
	for j := range 4 {
		e.offset(e.res, e.w, wino.resCol+4*j, e.tmp, e.tmp)
		e.load(e.tmp.at(0), x)
		e.word(fadd(x, y[j], y[j]))
	}
	e.label(noRes)
	e.op("CBZ", e.relu, noReLU)
	e.zero(x)
	for j := range 4 {
		e.word(fmax(x, y[j], y[j])) // NaN stays NaN
	}
	e.label(noReLU)
	for j := range 4 {
		e.op("CMP", j, e.cols)
		e.op("BLE", stored)
		e.offset(e.y, e.w, wino.yCol+4*j, e.tmp, e.tmp)
		e.store(y[j], e.tmp.at(0))
	}
	e.label(stored)
}
