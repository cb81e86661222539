package nn

import (
	"math"

	G "gorgonia.org/gorgonia"

	"coar/internal/kernel"
)

// attention is softmax(QᵀK/√d)V for every example and head. Scores are held transposed, [key, query], so that both
// products and the softmax run down columns of queries.
//
// Shape: input [3D, B·T] with the rows of Q, K, V in that order, head after head; output [D, B·T].
type attention struct {
	base
	in, plane     Plane
	tokens, heads int
	scores        []float32 // [T, ldS]
	ldS           int
	qk, pv        product
	blocker
	args kernel.Columns
	set  *kernel.Set
}

func newAttention(set *kernel.Set, id string, in Plane, tokens, heads int) *attention {
	out := Plane{C: in.C / 3, H: 1, W: in.W, G: 1}
	a := &attention{base: newPlaneBase(id, out), in: in, plane: out, tokens: tokens, heads: heads, set: set}
	a.ldS = oddLines(tokens)
	a.scores = buffer(tokens * a.ldS)
	a.blocker.maxRows = set.MaxRows
	width, stride := out.C/heads, in.Stride()
	qk, pv := make([]kernel.Offset, width), make([]kernel.Offset, tokens)
	for d := range qk {
		qk[d] = kernel.Offset{A: int32(d * stride), B: int32(d * stride)}
	}
	for k := range pv {
		pv[k] = kernel.Offset{A: int32(k), B: int32(k * a.ldS)}
	}
	s := newSpans(set)
	s.row(0, 0, 0, tokens)
	a.qk = newProduct(set, qk, s, width*set.MaxVecs*set.Lanes*4)
	a.pv = newProduct(set, pv, s, tokens*set.MaxVecs*set.Lanes*4)
	a.args = kernel.Columns{X: a.scores, Y: a.scores, Rows: tokens, Cols: tokens, XStride: a.ldS, YStride: a.ldS}
	return a
}

func (a *attention) Do(in ...G.Value) (G.Value, error) {
	x := floats(in[0])
	dim, t := a.plane.C, a.tokens
	width, stride := dim/a.heads, a.in.Stride()
	inv := float32(1 / math.Sqrt(float64(width)))
	for n := 0; n < a.in.W; n += t {
		for h := range a.heads {
			q, k, v := h*width*stride+n, (dim+h*width)*stride+n, (2*dim+h*width)*stride+n
			a.blocks = a.blocks[:0]
			a.add(t, block{}, func(b *block, i, key int) {
				b.a[i], b.out[i], b.scale[i] = int32(key), int32(key*a.ldS), inv
			})
			a.qk.run(operands{a: x[k:], b: x[q:], out: a.scores}, a.blocks)
			a.set.Softmax(&a.args)
			a.blocks = a.blocks[:0]
			a.add(width, block{}, func(b *block, i, d int) {
				b.a[i], b.out[i], b.scale[i] = int32(d*stride), int32(d*a.plane.Stride()), 1
			})
			a.pv.run(operands{a: x[v:], b: a.scores, out: a.buf[h*width*a.plane.Stride()+n:]}, a.blocks)
		}
	}
	return a.out, nil
}
