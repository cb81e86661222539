package nn

import (
	"math"

	G "gorgonia.org/gorgonia"

	"coar/internal/kernel"
)

// attention is softmax(QᵀK/√d)V for every example and head. Scores are held transposed, [key, query], so that both
// products and the softmax run down columns of queries.
//
// Shape: input [3D, B·T] with the rows of Q, K, V in that order, head after head; output [D, B·queries]: only the first
// queries tokens of each example attend.
type attention struct {
	base
	in, plane              Plane
	tokens, queries, heads int
	ldS                    int // from one key's scores to the next
	qk, pv                 headProduct
	matrix                 *headMatrix // nil: not on a matrix unit
	reads, makes           *constants  // of the input, nil where it can have none; of the output
	shared                 *workspace
	args                   kernel.Columns
	set                    *kernel.Set
	kept                   []float32 // probabilities of every example and head, for the gradient; nil: they are computed again
}

func newAttention(set *kernel.Set, id string, in Plane, tokens, queries, heads int, bf16 bool, work *workspace) *attention {
	out := Plane{C: in.C / 3, H: 1, W: in.W / tokens * queries, G: 1}
	onMatrix := bf16 && set.MatrixUnit()
	out.Cells = onMatrix && out.C/heads%2 == 0 // otherwise heads would share cells
	a := &attention{base: newPlaneBase(id, out), in: in, plane: out, tokens: tokens, queries: queries, heads: heads, set: set, shared: work, makes: newConstants(out.C)}
	a.ldS = lines(queries)
	grow(&work.scores, a.scores())
	width, stride := a.width(), in.Stride()
	a.qk = newHeadProduct(set, factors{rows: tokens, depth: width, cols: a.whole(), aRow: 1, aStep: stride, bStep: stride, outRow: a.ldS, scale: a.scale()})
	a.pv = newHeadProduct(set, factors{rows: width, depth: tokens, cols: queries, aRow: stride, aStep: 1, bStep: a.ldS, outRow: out.Stride(), scale: 1})
	a.args = kernel.Columns{Rows: tokens, Cols: queries, XStride: a.ldS, YStride: a.ldS}
	if onMatrix {
		a.matrix = newHeadMatrix(a)
	}
	return a
}

// width is the number of features of one head.
func (a *attention) width() int { return a.plane.C / a.heads }

func (a *attention) scale() float32 { return float32(1 / math.Sqrt(float64(a.width()))) }

// head is where one head of one example lies.
type head struct {
	q, k, v int // first rows of Q, K and V in the input
	out     int // first row in the output
}

func (a *attention) head(n, h int) head {
	first, stride := h*a.width(), a.in.Stride()
	out, _ := a.plane.row(first)
	return head{q: first*stride + n*a.tokens, k: (a.plane.C+first)*stride + n*a.tokens, v: (2*a.plane.C+first)*stride + n*a.tokens,
		out: out*a.plane.Stride() + n*a.queries}
}

func (a *attention) Do(in ...G.Value) (G.Value, error) {
	x := floats(in[0])
	a.noteConstants()
	for h := range a.heads {
		for n := range a.in.W / a.tokens {
			at := a.head(n, h)
			if a.matrix != nil {
				a.matrix.run(x, at, a.buf[at.out:])
				continue
			}
			a.pv.run(x[at.v:], a.probabilities(x, at, a.place(n, h)), a.buf[at.out:])
		}
	}
	return a.out, nil
}

func (a *attention) needs() [][]float32 { return [][]float32{a.kept} }

// noteConstants tells readers which output channels hold one value: those whose row of V does, since probabilities sum to 1.
func (a *attention) noteConstants() {
	a.makes.clear()
	if a.reads == nil {
		return
	}
	for _, c := range a.reads.list {
		if v := c - 2*a.plane.C; v >= 0 {
			a.makes.set(v, a.reads.value[c])
		}
	}
}

// probabilities computes in p how much each query of a head attends to each key, [key, query].
func (a *attention) probabilities(x []float32, at head, p []float32) []float32 {
	a.qk.run(x[at.k:], x[at.q:], p)
	a.args.X, a.args.Y = p, p
	a.set.Softmax(&a.args)
	return p
}

// place is where the probabilities of a head are held: until the next head's, or the next run's if they are kept.
func (a *attention) place(n, h int) []float32 {
	if a.kept == nil {
		return a.shared.scores
	}
	return a.kept[(n*a.heads+h)*a.scores():]
}

// scores is the number of elements of a head's scores, with room for transposing.
func (a *attention) scores() int { return squares(a.tokens) * a.ldS }

// lines is n rounded up to whole cache lines.
func lines(n int) int { return (n + 15) / 16 * 16 }

// whole is the number of queries rounded up to whole vectors. Scores are computed in whole vectors, whatever lies beyond the
// queries: what is left of an earlier head there would shrink from head to head until it is denormal, and slow.
// Portable kernels leave nothing there, and read nothing beyond a slice.
func (a *attention) whole() int {
	if a.set.Name == "portable" {
		return a.queries
	}
	return (a.queries + a.set.Lanes - 1) / a.set.Lanes * a.set.Lanes
}

// factors are the sizes of a product out[r·outRow+j] = scale·Σ_k a[r·aRow+k·aStep]·b[k·bStep+j], r < rows, k < depth, j < cols.
type factors struct {
	rows, depth, cols int
	aRow, aStep       int
	bStep, outRow     int
	scale             float32
}

// headProduct is a product of factors of one head, prepared for repeated runs.
type headProduct struct {
	product
	blocks []block
}

func newHeadProduct(set *kernel.Set, f factors) headProduct {
	steps := make([]kernel.Offset, f.depth)
	for k := range steps {
		steps[k] = kernel.Offset{A: int32(k * f.aStep), B: int32(k * f.bStep)}
	}
	s := newSpans(set)
	s.row(0, 0, 0, f.cols)
	b := blocker{maxRows: set.MaxRows}
	b.add(f.rows, block{}, func(b *block, i, r int) {
		b.a[i], b.out[i], b.scale[i] = int32(r*f.aRow), int32(r*f.outRow), f.scale
	})
	return headProduct{newProduct(set, steps, s, f.depth*set.MaxVecs*set.Lanes*4), b.blocks}
}

func (s *headProduct) run(a, b, out []float32) {
	s.product.run(operands{a: a, b: b, out: out}, s.blocks)
}
