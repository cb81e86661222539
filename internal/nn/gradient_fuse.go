package nn

import G "gorgonia.org/gorgonia"

// fusible is an input gradient that will be computed channel by channel, by Winograd's algorithm or for a layer of stride 2:
// with what the layer that made the input does to its gradient, while a strip of a channel is in the cache, where that
// layer is the only one to read it.
type fusible struct {
	layer   Layer // transposed
	d       *Map
	res     *residual // what other layers added; nil: nothing
	strided *strided  // nil: by Winograd's algorithm
}

// settled makes the gradient g where it is pending.
func (b *Builder) settled(g *Map) *Map {
	f := g.pending
	switch {
	case f == nil:
	case f.strided != nil:
		f.strided.base = newPlaneBase(f.strided.layer.Key+"/op", g.Plane)
		g.node, g.pending = b.apply(f.strided, f.strided.inputs...), nil
	default:
		v, node := b.read(f.d, f.layer)
		made := b.layer(f.d, v, node, f.layer, None, g.Plane, f.res)
		g.node, g.pending = made.node, nil
	}
	return g
}

// turned is the convolution that gives the gradient of a layer's output, with the layer's part of the backward pass after it.
type turned struct {
	conv
	after *layerGradient
}

// stripForm is the plane of a gradient that is not stored: without a border.
func stripForm(p Plane) Plane {
	p.Pad = 0
	return p
}

// fuse adds the op that makes the pending gradient g of y and passes it through the layer c; results as layerGradientNodes.
func (b *Builder) fuse(op *layerGradient, c *conv, g *Map) (node *G.Node, h *Map) {
	var both fused
	var inputs []*G.Node
	if s := g.pending.strided; s != nil {
		s.base, s.out, s.after = newPlaneBase(op.id, op.d), stripForm(g.Plane), op
		grow(&b.work.strip, 2*s.strip*s.out.RowLen())
		both, inputs = s, s.inputs
	} else {
		both, inputs = b.turned(op, g)
	}
	if !op.splits(c) {
		return b.apply(both, inputs...), g
	}
	node, other := b.applyPair(both, op.h, inputs...)
	return node, &Map{Plane: op.g, node: other}
}

// turned is the convolution that makes the pending gradient g and does op, and its inputs.
func (b *Builder) turned(op *layerGradient, g *Map) (*turned, []*G.Node) {
	f := g.pending
	v, from := b.read(f.d, f.layer)
	out := stripForm(g.Plane)
	t := newConv(b.set, f.layer, v, f.d.Plane, out, None, f.res, false)
	t.reads = f.d.holds
	t.wino = newWinograd(b.set, f.layer, v, f.d.Plane, out, f.res, &b.work)
	t.wino.after = op
	grow(&b.work.strip, t.wino.strip*4*out.RowLen())
	t.base = newPlaneBase(op.id, op.d)
	both := &turned{conv: *t, after: op}
	inputs := append([]*G.Node{from}, b.layerInputs(t)...)
	if f.res != nil {
		inputs = append(inputs, f.res.node)
	}
	return both, inputs
}

// Do takes what conv takes.
func (f *turned) Do(in ...G.Value) (G.Value, error) {
	f.after.buf = f.buf
	f.after.begin()
	if _, err := f.conv.Do(in...); err != nil {
		return nil, err
	}
	f.after.end()
	return f.out, nil
}

func (f *turned) class() string { return f.conv.class() + ", gradient of activation and keep" }
func (f *turned) work(in []G.Value) (flops, bytes float64) {
	flops, bytes = f.conv.work(in)
	_, more := f.after.work(nil)
	return flops, bytes + more
}
