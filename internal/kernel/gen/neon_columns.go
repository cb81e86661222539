package main

import (
	"fmt"
	"math"
)

// neonSweep is the register set of a kernel that walks down the columns of a matrix: four vectors of columns at a time, which is
// a cache line of every row, then single vectors. A column's arithmetic is the same in both.
type neonSweep struct {
	*neon
	c, x, y, xs, ys, rows, n gp
	cols, px, py             gp
	gamma, beta, table       gp
}

// neonWide is the number of vectors of columns that a sweep takes at a time.
const neonWide = 4

// beginNEON loads the arguments.
func beginNEON(a *neon, name, doc string) *neonSweep {
	w := &neonSweep{neon: a, c: 0, x: 1, y: 2, xs: 3, ys: 4, rows: 5, n: 6, cols: 7, px: 8, py: 9, gamma: 10, beta: 11, table: 12}
	a.function(name, "c", "Columns", doc, w.c)
	a.op("MOVD", w.c.at(columns.x), w.x)
	a.op("MOVD", w.c.at(columns.y), w.y)
	a.op("MOVD", w.c.at(columns.xStride), w.xs)
	a.op("MOVD", w.c.at(columns.yStride), w.ys)
	a.op("MOVD", w.c.at(columns.rows), w.rows)
	a.op("MOVD", w.c.at(columns.cols), w.cols)
	a.constantTable(w.table)
	return w
}

// across emits the loops over columns and the return; body computes vecs vectors of columns, its labels ending in suffix.
func (w *neonSweep) across(body func(vecs int, suffix string)) {
	for _, vecs := range []int{neonWide, 1} {
		suffix := fmt.Sprint(vecs)
		start, end := "columns"+suffix, "done"+suffix
		w.label(start)
		w.op("CMP", (vecs-1)*neonLanes, w.cols)
		w.op("BLE", end)
		body(vecs, suffix)
		w.op("ADD", vecs*neonBytes, w.x)
		w.op("ADD", vecs*neonBytes, w.y)
		w.op("SUB", vecs*neonLanes, w.cols)
		w.op("B", start)
		w.label(end)
	}
	w.op("RET")
}

// down emits body once per row, with px and py on the row's first vector.
func (w *neonSweep) down(pass string, body func()) {
	w.op("MOVD", w.x, w.px)
	w.op("MOVD", w.y, w.py)
	w.op("MOVD", w.rows, w.n)
	w.label(pass)
	body()
	w.op("ADD", scaled(w.xs), w.px)
	w.op("ADD", scaled(w.ys), w.py)
	w.op("SUBS", 1, w.n)
	w.op("BNE", pass)
}

// constant loads a vector with v in every lane.
func (w *neonSweep) constant(name string, v uint32, d vec) {
	w.load(w.table.at(w.neon.constant(name, v)), d)
}

// horner returns the register, p or q, in which it evaluates the polynomial at x, highest power first.
func (w *neonSweep) horner(name string, poly []float32, x, p, q vec) vec {
	for i, c := range poly {
		w.constant(fmt.Sprint(name, i), bits(c), q)
		if i > 0 {
			w.fmla(x, p, q)
		}
		p, q = q, p
	}
	return p
}

// neonExp emits e^x: Cody–Waite reduction and the Cephes polynomial, within 2 ulp on [expLo, expHi].
type neonExp struct {
	*neonSweep
	lo, hi, log2e, ln2Hi, ln2Lo, bias vec
}

// exp loads constants into the registers from first to first+5; they must stay untouched while neonExp is in use.
func (w *neonSweep) exp(first vec) neonExp {
	e := neonExp{w, first, first + 1, first + 2, first + 3, first + 4, first + 5}
	w.constant("expLo", bits(expLo), e.lo)
	w.constant("expHi", bits(expHi), e.hi)
	w.constant("log2e", bits(math.Log2E), e.log2e)
	w.constant("ln2Hi", bits(ln2Hi), e.ln2Hi)
	w.constant("ln2Lo", bits(ln2Lo), e.ln2Lo)
	w.constant("exponentBias", 127, e.bias)
	return e
}

// emit replaces x by e^x and NaN by NaN; n, p and q are overwritten.
func (e neonExp) emit(x, n, p, q vec) {
	e.word(fmax(e.lo, x, x))
	e.word(fmin(e.hi, x, x))
	e.word(fmul(e.log2e, x, n))
	e.word(frintn(n, n))
	e.fmls(e.ln2Hi, n, x)
	e.fmls(e.ln2Lo, n, x)
	p = e.horner("expC", append(append([]float32{}, expPoly...), 1, 1), x, p, q)
	e.word(fcvtzs(n, n))
	e.op("VADD", e.bias.s4(), n.s4(), n.s4())
	e.op("VSHL", 23, n.s4(), n.s4())
	e.word(fmul(n, p, x))
}

// emitNEONSoftmax writes the softmax down each column.
func emitNEONSoftmax(a *neon) {
	w := beginNEON(a, "softmax", softmaxDoc)
	top, sum := func(v int) vec { return vec(v) }, func(v int) vec { return vec(neonWide + v) }
	x, n, p, q, one := vec(8), vec(9), vec(10), vec(11), vec(12)
	w.constant("one", bits(1), one)
	e := w.exp(16)
	w.across(func(vecs int, suffix string) {
		for v := range vecs {
			w.load(w.x.at(v*neonBytes), top(v))
			w.zero(sum(v))
		}
		w.down("max"+suffix, func() {
			for v := range vecs {
				w.load(w.px.at(v*neonBytes), x)
				w.word(fmax(x, top(v), top(v)))
			}
		})
		w.down("exp"+suffix, func() {
			for v := range vecs {
				w.load(w.px.at(v*neonBytes), x)
				w.word(fsub(top(v), x, x))
				e.emit(x, n, p, q)
				w.word(fadd(x, sum(v), sum(v)))
				w.store(x, w.py.at(v*neonBytes))
			}
		})
		for v := range vecs {
			w.word(fdiv(sum(v), one, sum(v)))
		}
		w.down("scale"+suffix, func() {
			for v := range vecs {
				w.load(w.py.at(v*neonBytes), x)
				w.word(fmul(sum(v), x, x))
				w.store(x, w.py.at(v*neonBytes))
			}
		})
	})
}

// emitNEONLayerNorm writes the two-pass layer norm down each column.
func emitNEONLayerNorm(a *neon) {
	w := beginNEON(a, "layerNorm", layerNormDoc)
	mean, ss := func(v int) vec { return vec(v) }, func(v int) vec { return vec(neonWide + v) }
	x, y, g, b, inv, eps, one := vec(8), vec(9), vec(10), vec(11), vec(12), vec(13), vec(14)
	w.constant("one", bits(1), one)
	for _, s := range []struct {
		field int
		d     vec
	}{{columns.invRows, inv}, {columns.eps, eps}} {
		w.loadScalar(w.c.at(s.field), s.d)
		w.broadcast(s.d, s.d)
	}
	w.across(func(vecs int, suffix string) {
		for v := range vecs {
			w.zero(mean(v))
			w.zero(ss(v))
		}
		w.down("mean"+suffix, func() {
			for v := range vecs {
				w.load(w.px.at(v*neonBytes), x)
				w.word(fadd(x, mean(v), mean(v)))
			}
		})
		for v := range vecs {
			w.word(fmul(inv, mean(v), mean(v)))
		}
		w.down("variance"+suffix, func() {
			for v := range vecs {
				w.load(w.px.at(v*neonBytes), x)
				w.word(fsub(mean(v), x, x))
				w.fmla(x, x, ss(v))
			}
		})
		for v := range vecs {
			w.word(fmul(inv, ss(v), ss(v)))
			w.word(fadd(eps, ss(v), ss(v)))
			w.word(fsqrt(ss(v), ss(v)))
			w.word(fdiv(ss(v), one, ss(v)))
		}
		w.op("MOVD", w.c.at(columns.gamma), w.gamma)
		w.op("MOVD", w.c.at(columns.beta), w.beta)
		w.down("apply"+suffix, func() {
			w.op("VLD1R.P", w.gamma.at(4), fmt.Sprintf("[%s]", g.s4()))
			w.op("VLD1R.P", w.beta.at(4), fmt.Sprintf("[%s]", b.s4()))
			for v := range vecs {
				w.load(w.px.at(v*neonBytes), x)
				w.word(fsub(mean(v), x, x))
				w.word(fmul(ss(v), x, x))
				w.move(b, y)
				w.fmla(g, x, y)
				w.store(y, w.py.at(v*neonBytes))
			}
		})
	})
}

// emitNEONGELU writes the exact (erf) GELU over a contiguous run of whole vectors.
func emitNEONGELU(a *neon) {
	w := beginNEON(a, "gelu", geluDoc)
	x, z, t, u, n, p, q := vec(0), vec(1), vec(2), vec(3), vec(4), vec(5), vec(6)
	one, negHalf, erf, zero := vec(12), vec(13), vec(14), vec(15)
	w.constant("one", bits(1), one)
	w.constant("negHalf", bits(-0.5), negHalf)
	w.constant("erfP", bits(erfP), erf)
	w.zero(zero)
	e := w.exp(16)
	w.across(func(vecs int, _ string) {
		for v := range vecs {
			w.load(w.x.at(v*neonBytes), x)
			w.word(fabs(x, z))
			w.move(one, t)
			w.fmla(erf, z, t) // 1 + p·|x|/√2
			w.word(fdiv(t, one, t))
			tail := w.horner("erfC", erfPoly, t, p, q)
			w.word(fmul(t, tail, t))
			w.word(fmul(x, x, u))
			w.word(fmul(negHalf, u, u))
			e.emit(u, n, p, q)
			w.word(fmul(u, t, t)) // (1 − erf(|x|/√2)) / 2
			w.word(fmax(zero, x, x))
			w.fmls(z, t, x) // max(x, 0) − |x|·t
			w.store(x, w.y.at(v*neonBytes))
		}
	})
}
