package nn

import (
	G "gorgonia.org/gorgonia"

	"coar/internal/kernel"
)

// gelu applies GELU to a plane of height 1 and notes its slopes for the backward pass, which costs little more.
type gelu struct {
	base
	set   *kernel.Set
	in    Plane
	slope *second
	args  kernel.Columns // of one channel
}

func newGELU(set *kernel.Set, id string, x *Map) *gelu {
	in := x.Plane
	return &gelu{base: newPlaneBase(id, in).overwriting(x), set: set, in: in, slope: &second{newPlaneBase(id+"/slope", in)}, args: kernel.Columns{Rows: 1, Cols: in.W * in.G}}
}

// gelu applies GELU to x as an op of its own.
func (b *Builder) gelu(x *Map) *Map {
	op := newGELU(b.set, x.node.Name()+x.node.Op().String()+"/gelu", x)
	node, other := b.applyPair(op, op.slope, x.node)
	y, slope := &Map{Plane: x.Plane, node: node, reached: x.reached}, &Map{Plane: x.Plane, node: other}
	b.record(y, func(g *Map) {
		b.addGradient(x, &Map{Plane: x.Plane, node: b.apply(newGELUGradient(op, g), g.node, b.forward(slope))})
	}, slope)
	return y
}

func (f *gelu) Do(in ...G.Value) (G.Value, error) {
	x := floats(in[0])
	for c := range f.in.C {
		at := c * f.in.Stride()
		f.args.X, f.args.Y, f.args.G = x[at:], f.buf[at:], f.slope.buf[at:]
		f.set.GELUSlope(&f.args)
		f.in.clearBeyond(f.slope.buf[at:])
	}
	return f.out, nil
}

func (f *gelu) needs() [][]float32 { return [][]float32{f.slope.buf} }

func (f *gelu) class() string { return "GELU" }
func (f *gelu) work(in []G.Value) (flops, bytes float64) {
	return 0, 3 * floatBytes * float64(f.in.C*f.in.W*f.in.G)
}

// geluGradient is the gradient of gelu.
type geluGradient struct {
	base
	of *gelu
}

func newGELUGradient(f *gelu, g *Map) *geluGradient {
	return &geluGradient{newPlaneBase(f.id+"/gradient", f.in).overwriting(g), f}
}

// Do takes the gradient and the slopes.
func (b *geluGradient) Do(in ...G.Value) (G.Value, error) {
	g, slope, f := floats(in[0]), floats(in[1]), b.of
	for c := range f.in.C {
		at := c * f.in.Stride()
		f.args.G, f.args.X, f.args.Y = g[at:], slope[at:], b.buf[at:]
		f.set.Multiply(&f.args)
		f.in.clearBeyond(b.buf[at:])
	}
	return b.out, nil
}

func (b *geluGradient) class() string { return "gradient of GELU" }
func (b *geluGradient) work([]G.Value) (flops, bytes float64) {
	return 0, 3 * floatBytes * float64(b.of.in.C*b.of.in.W*b.of.in.G)
}
