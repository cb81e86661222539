package nn

import (
	G "gorgonia.org/gorgonia"

	"coar/internal/kernel"
)

// layerNormGradient is the gradient of a layer norm with respect to its tokens, whose statistics are computed again. What
// else was added to the tokens' gradient is added to the result: a layer norm reads what a residual passes by.
type layerNormGradient struct {
	base
	set  *kernel.Set
	in   Plane
	args kernel.Columns
}

// newLayerNormGradient may write the result over one of the two gradients that it is made from.
func newLayerNormGradient(l *layerNorm, over *Map) *layerNormGradient {
	in := over.Plane
	b := &layerNormGradient{base: newPlaneBase(l.id+"/gradient", in).overwriting(over), set: l.set, in: in, args: l.args}
	b.args.GStride = in.Stride()
	return b
}

// Do takes the gradient, the tokens, the weight [D] and, if there is one, the gradient to add.
func (b *layerNormGradient) Do(in ...G.Value) (G.Value, error) {
	b.args.G, b.args.X, b.args.Gamma, b.args.Y = floats(in[0]), floats(in[1]), floats(in[2]), b.buf
	if len(in) > 3 {
		b.args.Res = floats(in[3])
	}
	b.set.LayerNormGradient(&b.args)
	for c := range b.in.C {
		b.in.clearBeyond(b.buf[c*b.in.Stride():])
	}
	return b.out, nil
}

func (b *layerNormGradient) class() string { return "gradient of layer norm" }
func (b *layerNormGradient) work([]G.Value) (flops, bytes float64) {
	return 0, 3 * floatBytes * float64(b.args.Rows*b.args.Cols)
}

// classTokenGradient is the gradient of classToken: zero everywhere but in each example's first token.
type classTokenGradient struct {
	base
	of *classToken
}

func newClassTokenGradient(c *classToken) *classTokenGradient {
	return &classTokenGradient{newPlaneBase(c.id+"/gradient", c.in), c}
}

func (b *classTokenGradient) Do(in ...G.Value) (G.Value, error) {
	g, c := floats(in[0]), b.of
	from, stride := c.out.Stride(), c.in.Stride()
	for d := range c.in.C {
		to := b.buf[d*stride:][:c.in.W]
		clear(to)
		for n, v := range g[d*from:][:c.out.W] {
			to[n*c.tokens] = v
		}
	}
	return b.out, nil
}

func (b *classTokenGradient) class() string { return "gradient of class token" }
func (b *classTokenGradient) work([]G.Value) (flops, bytes float64) {
	return 0, floatBytes * float64(b.of.in.C*b.of.in.W)
}
