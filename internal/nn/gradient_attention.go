package nn

import (
	G "gorgonia.org/gorgonia"

	"coar/internal/kernel"
)

// attentionGradient is the gradient of attention with respect to Q, K and V. Where keeping the probabilities P would take more
// memory than Q, K and V do, they are computed again, head by head. With S the scores and O the output, all [key, query]:
//
//	dP = Vᵀ dO,  dS = P∘(dP − Σ_keys P∘dP),  dQ = K dS/√d,  dK = Q dSᵀ/√d,  dV = dO Pᵀ
//
// Shape: inputs dO [D, B·queries] and the forward op's input [3D, B·T]; output [3D, B·T].
type attentionGradient struct {
	base
	of             *attention
	dp, dq, dk, dv headProduct
	ldT            int // from one query's scores to the next, in the transposes
	args, turning  kernel.Columns
}

func newAttentionGradient(a *attention) *attentionGradient {
	b := &attentionGradient{base: newPlaneBase(a.id+"/gradient", a.in), of: a, ldT: lines(a.tokens)}
	width, stride, outStride := a.width(), a.in.Stride(), a.plane.Stride()
	product := func(f factors) headProduct { return newHeadProduct(a.set, f) }
	b.dp = product(factors{rows: a.tokens, depth: width, cols: a.whole(), aRow: 1, aStep: stride, bStep: outStride, outRow: a.ldS, scale: 1})
	b.dq = product(factors{rows: width, depth: a.tokens, cols: a.queries, aRow: stride, aStep: 1, bStep: a.ldS, outRow: stride, scale: a.scale()})
	b.dk = product(factors{rows: width, depth: a.queries, cols: a.tokens, aRow: stride, aStep: 1, bStep: b.ldT, outRow: stride, scale: a.scale()})
	b.dv = product(factors{rows: width, depth: a.queries, cols: a.tokens, aRow: outStride, aStep: 1, bStep: b.ldT, outRow: stride, scale: 1})
	grow(&a.shared.slopes, a.scores())
	grow(&a.shared.turned, squares(a.queries)*b.ldT)
	b.turning = kernel.Columns{Rows: a.tokens, Cols: a.queries, XStride: a.ldS, YStride: b.ldT}
	b.args = kernel.Columns{Rows: a.tokens, Cols: a.queries, XStride: a.ldS, GStride: a.ldS, YStride: a.ldS}
	return b
}

// keepProbabilities makes the forward pass keep what the gradient needs, if it is not too much; it returns the bytes.
func (a *attention) keepProbabilities() int64 {
	if all := a.in.W / a.tokens * a.heads * a.scores(); all <= a.in.Len() {
		a.kept = buffer(all)
	}
	return int64(4 * len(a.kept))
}

// squares is n rounded up to what Transpose takes.
func squares(n int) int {
	return (n + kernel.TransposeSide - 1) / kernel.TransposeSide * kernel.TransposeSide
}

// Do takes dO and the forward op's input.
func (b *attentionGradient) Do(in ...G.Value) (G.Value, error) {
	a, g, x := b.of, floats(in[0]), floats(in[1])
	slopes, turned := a.shared.slopes, a.shared.turned
	for h := range a.heads {
		for n := range a.in.W / a.tokens {
			at := a.head(n, h)
			p := a.place(n, h)
			if a.kept == nil {
				a.probabilities(x, at, p)
			}
			b.turn(p, turned)
			b.dv.run(g[at.out:], turned, b.buf[at.v:])
			b.dp.run(x[at.v:], g[at.out:], slopes)
			b.args.X, b.args.G, b.args.Y = p, slopes, slopes
			a.set.SoftmaxGradient(&b.args)
			b.dq.run(x[at.k:], slopes, b.buf[at.q:])
			b.turn(slopes, turned)
			b.dk.run(x[at.q:], turned, b.buf[at.k:])
		}
	}
	b.clearOthers()
	return b.out, nil
}

func (b *attentionGradient) needs() [][]float32 { return b.of.needs() }

// turn transposes scores [key, query] to [query, key].
func (b *attentionGradient) turn(x, y []float32) {
	b.turning.X, b.turning.Y = x, y
	b.of.set.Transpose(&b.turning)
}

// clearOthers writes the gradient of the queries that did not attend: zero.
func (b *attentionGradient) clearOthers() {
	a := b.of
	if a.queries == a.tokens {
		return
	}
	for d := range a.plane.C {
		row := b.buf[d*a.in.Stride():][:a.in.W]
		for at := 0; at < len(row); at += a.tokens {
			clear(row[at+a.queries : at+a.tokens])
		}
	}
}

func (b *attentionGradient) class() string { return "gradient of attention" }
func (b *attentionGradient) work([]G.Value) (flops, bytes float64) {
	products, out := 4.0, b.of.plane.C*b.of.plane.W
	if b.of.kept == nil {
		products++
	}
	return 2 * products * float64(b.of.tokens) * float64(out), 7 * floatBytes * float64(out) // Q, K, V, their gradients, dO
}
