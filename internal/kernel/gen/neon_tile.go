package main

import "fmt"

// neonTile is the register set of one rows x vecs block.
type neonTile struct {
	*neon
	rows, vecs       int
	t, span, left    gp
	k, n, aOff, bOff gp
	step, base, tmp  gp
	b                [3]gp // the span's first B vector, and those one and two steps on
	row              [8]gp // A rows during the reduction, then output rows
}

// emitNEONTile writes one rows x vecs block: accumulators stay in registers over the whole reduction.
func emitNEONTile(a *neon, rows, vecs int) {
	w := &neonTile{neon: a, rows: rows, vecs: vecs, t: 0, span: 1, left: 2, k: 3, n: 4, aOff: 5, bOff: 6,
		b: [3]gp{7, 8, 9}, row: [8]gp{10, 11, 12, 13, 14, 15, 19, 20}, step: 21, base: 22, tmp: 23}
	a.function(fmt.Sprintf("tile%dx%d", rows, vecs), "t", "Tile", tileDoc(rows, vecs), w.t)
	a.op("MOVD", w.t.at(tile.bStep), w.step)
	a.op("MOVD", w.t.at(tile.spans), w.span)
	a.op("MOVD", w.t.at(tile.spansLen), w.left)
	a.op("CBZ", w.left, "end")
	a.label("span")
	w.element(tile.b, w.span, spanIn, w.b[0])
	for v := 1; v < vecs; v++ {
		a.op("ADD", scaled(w.step), w.b[v-1], w.b[v])
	}
	for r := range rows {
		for v := range vecs {
			a.zero(w.acc(r, v))
		}
	}
	w.reduction("k", tile.a, tile.aRow, tile.k, tile.kLen)
	w.reduction("k2", tile.a2, tile.a2Row, tile.k2, tile.k2Len)
	w.affine()
	w.residual()
	w.relu()
	w.storeAll()
	a.op("ADD", spanSize, w.span)
	a.op("SUBS", 1, w.left)
	a.op("BNE", "span")
	a.label("end")
	a.op("RET")
}

// acc is an accumulator of the reduction, y where the epilogue puts the value made of it: one register lower, so that
// going upwards y overwrites only what has been used.
func (w *neonTile) acc(r, v int) vec { return w.y(r, v) + 1 }
func (w *neonTile) y(r, v int) vec   { return vec(r*w.vecs + v) }

// spare is one of the registers beyond the accumulators.
func (w *neonTile) spare(i int) vec { return w.acc(w.rows-1, w.vecs) + vec(i) }

// element points d to an element of the slice in field: the int32 at disp of from counts it.
func (w *neonTile) element(field int, from gp, disp int, d gp) {
	w.op("MOVD", w.t.at(field), w.base)
	w.offset(from, disp, d)
}

// offset points d as many elements beyond base as the int32 at disp of from counts.
func (w *neonTile) offset(from gp, disp int, d gp) {
	w.neon.offset(w.base, from, disp, w.tmp, d)
}

// reduction adds Σ_k A·B to the accumulators, with A and its steps taken from the named fields.
//
// One step of 8 x 3 is 39 instructions for 24 multiply-adds of vectors: 11 loads and 4 that count and address.
func (w *neonTile) reduction(name string, aField, rowField, kField, lenField int) {
	loop, done := name, name+"done"
	w.op("MOVD", w.t.at(lenField), w.n)
	w.op("CBZ", w.n, done)
	w.op("MOVD", w.t.at(kField), w.k)
	w.op("MOVD", w.t.at(aField), w.base)
	for r := range w.rows {
		w.offset(w.t, rowField+4*r, w.row[r])
	}
	w.label(loop)
	w.op("LDPSW.P", w.k.at(8), fmt.Sprintf("(%s, %s)", w.aOff, w.bOff))
	w.op("LSL", 2, w.bOff)
	for v := range w.vecs {
		w.word(ldrIndexed(w.b[v], w.bOff, w.spare(v)))
	}
	for r := range w.rows {
		// A scalar load indexes for free, which LD1R cannot, and the multiply-add by lane needs no broadcast.
		a := w.spare(w.vecs + r%(32-int(w.spare(w.vecs))))
		w.loadScalar(fmt.Sprintf("(%s)(%s)", w.row[r], scaled(w.aOff)), a)
		for v := range w.vecs {
			w.word(fmlaLane(a, 0, w.spare(v), w.acc(r, v)))
		}
	}
	w.op("SUBS", 1, w.n)
	w.op("BNE", loop)
	w.label(done)
}

// affine computes y = acc·Scale + Shift.
func (w *neonTile) affine() {
	scale, shift := w.spare(0), w.spare(1)
	for r := range w.rows {
		w.loadScalar(w.t.at(tile.scale+4*r), scale)
		w.loadScalar(w.t.at(tile.shift+4*r), shift)
		for v := range w.vecs {
			w.broadcast(shift, w.y(r, v))
			w.word(fmlaLane(scale, 0, w.acc(r, v), w.y(r, v)))
		}
	}
}

// residual adds Res, if there is one.
func (w *neonTile) residual() {
	from, x := w.bOff, w.spare(0)
	w.op("MOVD", w.t.at(tile.resLen), w.n)
	w.op("CBZ", w.n, "noresidual")
	w.element(tile.res, w.span, spanRes, w.base)
	for r := range w.rows {
		w.offset(w.t, tile.resRow+4*r, from)
		for v := range w.vecs {
			w.load(from.at(v*neonBytes), x)
			w.word(fadd(x, w.y(r, v), w.y(r, v)))
		}
	}
	w.label("noresidual")
}

// relu clamps at zero if ReLU says so; NaN stays NaN.
func (w *neonTile) relu() {
	zero := w.spare(0)
	w.op("MOVD", w.t.at(tile.relu), w.n)
	w.op("CBZ", w.n, "norelu")
	w.zero(zero)
	for r := range w.rows {
		for v := range w.vecs {
			w.word(fmax(zero, w.y(r, v), w.y(r, v)))
		}
	}
	w.label("norelu")
}

// storeAll writes y. NEON has no masked store: fewer than four last lanes are written as two, if there are as many, and one.
func (w *neonTile) storeAll() {
	last, v := w.n, w.vecs-1
	w.element(tile.out, w.span, spanOut, w.base)
	for r := range w.rows {
		w.offset(w.t, tile.outRow+4*r, w.row[r])
		for v := range w.vecs - 1 {
			w.store(w.y(r, v), w.row[r].at(v*neonBytes))
		}
	}
	w.op("MOVW", w.span.at(spanLast), last)
	w.op("TBZ", 2, last, "two")
	for r := range w.rows {
		w.store(w.y(r, v), w.row[r].at(v*neonBytes))
	}
	w.op("B", "stored")
	w.label("two")
	w.op("TBZ", 1, last, "one")
	for r := range w.rows {
		y := w.y(r, v)
		w.op("FMOVD", y.f(), w.row[r].at(v*neonBytes))
		w.op("ADD", 8, w.row[r])
		w.op("VMOV", fmt.Sprintf("V%d.D[1]", y), fmt.Sprintf("V%d.D[0]", y))
	}
	w.label("one")
	w.op("TBZ", 0, last, "stored")
	for r := range w.rows {
		w.op("FMOVS", w.y(r, v).f(), w.row[r].at(v*neonBytes))
	}
	w.label("stored")
}
