package nn

import (
	G "gorgonia.org/gorgonia"

	"coar/internal/kernel"
)

// embed turns images [B, C, S, S] into tokens: a linear map of each patch, a class token before them, position
// embeddings added. Output [D, B·T], example by example. No component lies here, so it runs once per load of examples.
type embed struct {
	base
	frozen
	product
	blocker
	images  Plane // C, H, W of one image
	side    int   // patch side
	out     Plane
	columns []float32 // patches as columns [C·side·side, B·patches]
	colStep int
}

// tokens is the number of tokens of one example.
func (e *embed) tokens() int { return e.images.H/e.side*(e.images.W/e.side) + 1 }

func newEmbed(set *kernel.Set, key string, images Plane, side, dim, batchSize int, batch *Batch) *embed {
	e := &embed{frozen: frozen{batch: batch}, images: images, side: side}
	t := e.tokens()
	e.out = Plane{C: dim, H: 1, W: batchSize * t, G: 1}
	e.base = newPlaneBase(key, e.out).lasting(batch)
	depth := images.C * side * side
	e.colStep = oddLines(batchSize * (t - 1))
	e.columns = buffer(depth * e.colStep)
	steps := make([]kernel.Offset, depth)
	for k := range steps {
		steps[k] = kernel.Offset{A: int32(k), B: int32(k * e.colStep)}
	}
	s := newSpans(set)
	for n := range batchSize {
		s.row(n*(t-1), n*t+1, 1, t-1)
	}
	e.product = newProduct(set, steps, s, depth*set.MaxVecs*set.Lanes*4)
	e.blocker.maxRows = set.MaxRows
	return e
}

// Do takes images, patch weight [D, C, side, side], patch bias [D], class token [D], positions [D, T] (transposed).
func (e *embed) Do(in ...G.Value) (G.Value, error) {
	if !e.stale() {
		return e.base.out, nil
	}
	x, w, bias, class, pos := floats(in[0]), floats(in[1]), floats(in[2]), floats(in[3]), floats(in[4])
	e.gather(x)
	t := int32(e.tokens())
	dim, stride, depth := e.out.C, int32(e.out.Stride()), int32(len(e.steps))
	e.blocks = e.blocks[:0]
	e.add(dim, block{residual: true}, func(b *block, i, r int) {
		b.a[i], b.out[i], b.res[i] = int32(r)*depth, int32(r)*stride, int32(r)*t
		b.scale[i], b.shift[i] = 1, bias[r]
	})
	e.product.run(operands{a: w, b: e.columns, out: e.buf, res: pos}, e.blocks)
	for d := range dim {
		for n := 0; n < e.out.W; n += int(t) {
			e.buf[d*int(stride)+n] = class[d] + pos[d*int(t)]
		}
	}
	return e.base.out, nil
}

// gather lays every patch out as a column.
func (e *embed) gather(x []float32) {
	im, s := e.images, e.side
	patches := e.tokens() - 1
	across := im.W / s
	for n := range e.out.W / e.tokens() {
		for c := range im.C {
			for y := range im.H / s * s {
				row := x[((n*im.C+c)*im.H+y)*im.W:][:across*s]
				for i, v := range row {
					k := (c*s+y%s)*s + i%s
					e.columns[k*e.colStep+n*patches+y/s*across+i/s] = v
				}
			}
		}
	}
}

// layerNorm normalises every token over its features. With a batch it is frozen: no keep value reaches it.
type layerNorm struct {
	base
	frozen
	set   *kernel.Set
	cells bool // the result is bfloat16
	args  kernel.Columns
}

func newLayerNorm(set *kernel.Set, key string, in, out Plane, eps float32, batch *Batch) *layerNorm {
	l := &layerNorm{base: newPlaneBase(key, out).lasting(batch), frozen: frozen{batch: batch}, set: set, cells: out.Cells}
	l.args = kernel.Columns{Rows: in.C, Cols: in.W * in.G, XStride: in.Stride(), YStride: in.Stride(), Eps: eps, InvRows: 1 / float32(in.C)}
	return l
}

// Do takes tokens, weight [D], bias [D].
func (l *layerNorm) Do(in ...G.Value) (G.Value, error) {
	if l.stale() {
		l.args.X, l.args.Y, l.args.Gamma, l.args.Beta = floats(in[0]), l.buf, floats(in[1]), floats(in[2])
		if l.cells {
			l.set.LayerNormCells(&l.args)
		} else {
			l.set.LayerNorm(&l.args)
		}
	}
	return l.out, nil
}

// classToken picks each example's first token: [D, B·T] to [D, B].
type classToken struct {
	base
	in     Plane
	tokens int
	out    Plane
}

func newClassToken(id string, in Plane, tokens int) *classToken {
	out := Plane{C: in.C, H: 1, W: in.W / tokens, G: 1, Cells: in.Cells}
	return &classToken{base: newPlaneBase(id, out), in: in, tokens: tokens, out: out}
}

func (c *classToken) Do(in ...G.Value) (G.Value, error) {
	x, from, to := floats(in[0]), c.in.Stride(), c.out.Stride()
	for d := range c.in.Rows() {
		row := x[d*from:]
		for n := range c.out.W {
			c.buf[d*to+n] = row[n*c.tokens]
		}
	}
	return c.base.out, nil
}
