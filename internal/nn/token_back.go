package nn

import (
	G "gorgonia.org/gorgonia"

	"coar/internal/kernel"
)

// layerNormBack is the gradient of a layer norm with respect to its tokens, whose statistics are computed again.
type layerNormBack struct {
	base
	set  *kernel.Set
	args kernel.Columns
}

func newLayerNormBack(l *layerNorm, in Plane) *layerNormBack {
	b := &layerNormBack{base: newPlaneBase(l.id+"/back", in), set: l.set, args: l.args}
	b.args.GStride = in.Stride()
	return b
}

// Do takes the gradient, the tokens and the weight [D].
func (b *layerNormBack) Do(in ...G.Value) (G.Value, error) {
	b.args.G, b.args.X, b.args.Gamma, b.args.Y = floats(in[0]), floats(in[1]), floats(in[2]), b.buf
	b.set.LayerNormBack(&b.args)
	return b.out, nil
}

// classTokenBack is the gradient of classToken: zero everywhere but in each example's first token.
type classTokenBack struct {
	base
	of *classToken
}

func newClassTokenBack(c *classToken) *classTokenBack {
	return &classTokenBack{newPlaneBase(c.id+"/back", c.in), c}
}

func (b *classTokenBack) Do(in ...G.Value) (G.Value, error) {
	g, c := floats(in[0]), b.of
	for d := range c.in.C {
		to := b.buf[d*c.in.Stride():][:c.in.W]
		clear(to)
		for n := range c.out.W {
			to[n*c.tokens] = g[d*c.out.Stride()+n]
		}
	}
	return b.out, nil
}

// gelu is GELU as an op of its own, for graphs in which the layer's output must outlive it.
type gelu struct {
	base
	set  *kernel.Set
	args kernel.Columns // of one channel
	in   Plane
}

func newGELU(set *kernel.Set, id string, in Plane) *gelu {
	return &gelu{base: newPlaneBase(id, in), set: set, in: in, args: kernel.Columns{Rows: 1, Cols: in.extent(in.H) * in.RowLen()}}
}

func (f *gelu) Do(in ...G.Value) (G.Value, error) {
	x := floats(in[0])
	for c := range f.in.C {
		at := c * f.in.Stride()
		f.args.X, f.args.Y = x[at:], f.buf[at:]
		f.set.GELU(&f.args)
	}
	return f.out, nil
}

// geluBack is the gradient of gelu.
type geluBack struct {
	base
	of *gelu
}

func newGELUBack(f *gelu) *geluBack { return &geluBack{newPlaneBase(f.id+"/back", f.in), f} }

// Do takes the gradient and what gelu took.
func (b *geluBack) Do(in ...G.Value) (G.Value, error) {
	g, x, f := floats(in[0]), floats(in[1]), b.of
	args := &f.args
	for c := range f.in.C {
		at := c * f.in.Stride()
		args.G, args.X, args.Y = g[at:], x[at:], b.buf[at:]
		f.set.GELUBack(args)
	}
	return b.out, nil
}
