package nn

import (
	G "gorgonia.org/gorgonia"

	"coar/internal/kernel"
)

// gelu applies GELU to a plane of height 1, where its argument must outlive it.
type gelu struct {
	base
	set  *kernel.Set
	in   Plane
	args kernel.Columns // of one channel
}

func newGELU(set *kernel.Set, id string, in Plane) *gelu {
	return &gelu{base: newPlaneBase(id, in), set: set, in: in, args: kernel.Columns{Rows: 1, Cols: in.W * in.G}}
}

// gelu applies GELU to x as an op of its own.
func (b *Builder) gelu(x *Map) *Map {
	op := newGELU(b.set, x.node.Name()+x.node.Op().String()+"/gelu", x.Plane)
	y := &Map{Plane: x.Plane, node: b.apply(op, x.node), reached: x.reached}
	b.record(y, func(g *Map) {
		b.addGradient(x, &Map{Plane: x.Plane, node: b.apply(&geluGradient{newPlaneBase(op.id+"/gradient", x.Plane), op}, g.node, b.forward(x))})
	}, x)
	return y
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

func (f *gelu) class() string { return "GELU" }
func (f *gelu) work(in []G.Value) (flops, bytes float64) {
	return 0, 2 * floatBytes * float64(f.in.C*f.in.W*f.in.G)
}

// geluGradient is the gradient of gelu.
type geluGradient struct {
	base
	of *gelu
}

// Do takes the gradient and what gelu took.
func (b *geluGradient) Do(in ...G.Value) (G.Value, error) {
	g, x, f := floats(in[0]), floats(in[1]), b.of
	for c := range f.in.C {
		at := c * f.in.Stride()
		f.args.G, f.args.X, f.args.Y = g[at:], x[at:], b.buf[at:]
		f.set.GELUGradient(&f.args)
	}
	return b.out, nil
}

func (b *geluGradient) class() string { return "gradient of GELU" }
func (b *geluGradient) work([]G.Value) (flops, bytes float64) {
	return 0, 3 * floatBytes * float64(b.of.in.C*b.of.in.W*b.of.in.G)
}
