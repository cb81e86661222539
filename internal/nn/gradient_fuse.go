package nn

import G "gorgonia.org/gorgonia"

// fusible is an input gradient that is not made yet. By Winograd's algorithm and for a layer of stride 2 it will be computed
// channel by channel: with what the layer that made the input does to its gradient, while a strip of a channel is in the
// cache, where that layer is the only one to read it.
type fusible struct {
	layer   Layer // transposed
	d       *Map
	res     *residual // what other layers added; nil: nothing
	only    *rawRows  // the channels that are read are its wanted ones; nil: all are
	strided *strided  // nil: at stride 1
}

// fits says whether something can be done to the gradient strip by strip while it is made.
func (f *fusible) fits() bool {
	return f != nil && (f.strided != nil || winogradFits(f.layer, f.d.Plane))
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
		c, inputs := b.inputConv(f, g.Plane)
		g.node, g.pending = b.apply(c, inputs...), nil
	}
	return g
}

// settledRows is settled where channels but the wanted ones of rows are read by nobody; they may stay undefined.
func (b *Builder) settledRows(g *Map, rows *rawRows) *Map {
	if f := g.pending; f != nil {
		f.only = rows
	}
	return b.settled(g)
}

// inputConv is the convolution of stride 1 that makes f in the plane out, and its inputs.
func (b *Builder) inputConv(f *fusible, out Plane) (*conv, []*G.Node) {
	v, from := b.read(f.d, f.layer)
	c := newConv(b.set, f.layer, v, f.d.Plane, out, None, f.res, false)
	c.reads, c.only = f.d.holds, f.only
	if winogradFits(f.layer, f.d.Plane) && b.err == nil {
		c.wino = newWinograd(b.set, f.layer, v, f.d.Plane, out, f.res, &b.work)
		c.wino.factors = f.d.factors
	}
	inputs := append([]*G.Node{from}, b.layerInputs(c)...)
	if f.res != nil {
		inputs = append(inputs, f.res.node)
	}
	return c, inputs
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
	return b.applyLayerGradient(both, op, c, g, inputs...)
}

// turned is the convolution that makes the pending gradient g and does op, and its inputs.
func (b *Builder) turned(op *layerGradient, g *Map) (*turned, []*G.Node) {
	out := stripForm(g.Plane)
	c, inputs := b.inputConv(g.pending, out)
	if b.err == nil {
		c.wino.after = op
		grow(&b.work.strip, c.wino.strip*4*out.RowLen())
	}
	c.base = newPlaneBase(op.id, op.d)
	return &turned{conv: *c, after: op}, inputs
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
