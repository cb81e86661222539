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
	args kernel.Columns
}

// gelu applies GELU to x as an op of its own.
func (b *Builder) gelu(x *Map) *Map {
	op := &gelu{base: newPlaneBase(x.node.Name()+x.node.Op().String()+"/gelu", x.Plane), set: b.set, in: x.Plane}
	y := &Map{Plane: x.Plane, node: b.apply(op, x.node), reached: x.reached}
	b.record(y, func(*Map) { b.fail("GELU has no gradient") })
	return y
}

func (g *gelu) Do(in ...G.Value) (G.Value, error) {
	x, stride := floats(in[0]), g.in.Stride()
	for c := range g.in.C {
		g.args = kernel.Columns{X: x[c*stride:], Y: g.buf[c*stride:], Rows: 1, Cols: g.in.extent(g.in.H) * g.in.RowLen()}
		g.set.GELU(&g.args)
	}
	return g.out, nil
}
