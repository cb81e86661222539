package nn

import (
	G "gorgonia.org/gorgonia"

	"coar/internal/kernel"
)

// linearGradient is the backward pass of a linear layer y = keep·scale·(Wx) + shift + residual over tokens. From the
// gradient g of y it makes
//
//	Wᵀ(keep·scale·g), the gradient of x               (output, with what else was added to it)
//	Σ g·scale·(Wx) over each example's tokens         (into raw.gradient, for the wanted rows)
//
// Rows whose factor keep·scale is 1 are multiplied by the transposed weight that programs share; of the others the weight
// rows are scaled anew in each run, which costs less than to scale their gradients.
type linearGradient struct {
	base
	product
	blocker
	raw         *rawRows // nil: the layer is no component group
	scale, keep []float32
	g, x        Plane
	tokens      int
	weight      []float32 // [out, in]
	shared      *workspace
	ones, rest  []kernel.Offset // the rows by factor: 1, or neither 0 nor 1
	sums        kernel.Columns
}

// fitsLinear says whether c runs over tokens that lie side by side, without an activation.
func (b *Builder) fitsLinear(c *conv) bool {
	p, l := c.plane, c.layer
	return b.tokens > 0 && c.act == None && l.Kernel == 1 && l.Stride == 1 && p.H == 1 && p.G == 1 && p.Pad == 0
}

// linearGradient builds the backward pass of the linear layer c, with what it notes in raw; x is not reached or what it read.
func (b *Builder) linearGradient(c *conv, raw *rawRows, x, g *Map) {
	l := c.layer
	op := &linearGradient{base: newBase(l.Key+"/gradient", flat, 1, 1), raw: raw, scale: l.Scale, g: g.Plane, x: x.Plane, tokens: g.W / b.size, weight: l.Weight, shared: &b.work}
	op.set = b.set
	if c.masked {
		op.keep = b.keeps[l.Key]
	}
	inputs := []*G.Node{g.node}
	if x.reached {
		t := l.transposed()
		inputs = append(inputs, b.weight(t.Key, t.Weight, t.Out, t.In))
		if x.gradient != nil {
			inputs = append(inputs, b.settled(x.gradient).node)
		}
		op.prepare(x.gradient != nil)
	}
	node := b.apply(op, inputs...)
	if x.reached {
		x.gradient = &Map{Plane: x.Plane, node: node}
	}
}

// prepare makes the op give the gradient of x too.
func (o *linearGradient) prepare(residual bool) {
	in, out := o.x.C, o.g.C
	o.base = newPlaneBase(o.id, o.x)
	s := newSpans(o.set)
	s.row(0, 0, 0, o.g.W)
	steps := make([]kernel.Offset, out)
	for r := range steps {
		steps[r] = kernel.Offset{A: int32(r), B: int32(r * o.g.Stride())}
	}
	o.product = newProduct(o.set, steps, s, out*o.set.MaxVecs*o.set.Lanes*4)
	o.usePanel(o.g.Stride(), o.shared)
	o.blocker.maxRows = o.set.MaxRows
	o.add(in, block{residual: residual}, func(b *block, i, c int) {
		b.a[i], b.a2[i], b.scale[i] = int32(c*out), int32(c), 1
		b.out[i], b.res[i] = int32(c*o.x.Stride()), int32(c*o.x.Stride())
	})
	grow(&o.shared.scaled, oddLines(in)*out)
}

// Do takes the gradient of y; then, where x's is asked for, the transposed weight [in, out] and what else was added to it.
func (o *linearGradient) Do(in ...G.Value) (G.Value, error) {
	g := floats(in[0])
	o.sumKeep(g)
	if len(in) == 1 {
		return o.out, nil
	}
	to := operands{a: floats(in[1]), a2: o.scaleRows(), b: g, out: o.buf}
	if len(in) > 2 {
		to.res = floats(in[2])
	}
	o.live, o.live2 = o.ones, o.rest
	o.product.run(to, o.blocks)
	return o.out, nil
}

func (o *linearGradient) fetch(a *ahead) { o.product.ahead = a }

// sumKeep computes the keep gradients of the wanted rows.
func (o *linearGradient) sumKeep(g []float32) {
	if o.raw == nil {
		return
	}
	p := len(o.raw.wanted)
	for r, w := range o.raw.wanted {
		if w {
			o.sums = kernel.Columns{X: o.raw.row(int32(r)), G: g[r*o.g.Stride():], Y: o.raw.gradient[r:],
				Rows: o.g.W / o.tokens, Cols: o.tokens, XStride: o.tokens, GStride: o.tokens, YStride: p}
			o.set.Dots(&o.sums)
		}
	}
}

// scaleRows sorts the rows by their factors and returns the weights of those whose factor is neither 0 nor 1, times it:
// [such rows, in], each on an odd number of cache lines so that a column of them does not crowd one set of a cache.
func (o *linearGradient) scaleRows() []float32 {
	o.ones, o.rest = o.ones[:0], o.rest[:0]
	in, ld := o.x.C, oddLines(o.x.C)
	for r, step := range o.steps {
		f := float32(1)
		if o.scale != nil {
			f = o.scale[r]
		}
		if o.keep != nil {
			f *= o.keep[r]
		}
		switch f {
		case 0:
		case 1:
			o.ones = append(o.ones, step)
		default:
			at := len(o.rest) * ld
			o.rest = append(o.rest, kernel.Offset{A: int32(at), B: step.B})
			to := o.shared.scaled[at:][:in]
			for c, w := range o.weight[r*in:][:in] {
				to[c] = w * f
			}
		}
	}
	return o.shared.scaled
}

func (o *linearGradient) class() string { return "gradient of linear" }
func (o *linearGradient) work(in []G.Value) (flops, bytes float64) {
	n := o.g.W
	moved := 2 * n * len(o.raw.chosen())
	if len(in) == 1 {
		return 0, floatBytes * float64(moved)
	}
	return 2 * float64(o.x.C) * float64(o.g.C) * float64(n), floatBytes * float64(moved+o.x.C*o.g.C+n*(o.x.C+o.g.C))
}
