package nn

import (
	G "gorgonia.org/gorgonia"

	"coar/internal/kernel"
)

// layerGradient takes the gradient g of a layer's output y = act(keep·scale·(W * x) + shift + residual) to
//
//	h = g·act'(·), the residual's gradient and the shift's   (second output, where there is a ReLU and a residual)
//	d = keep·scale·h, the gradient of W * x                  (output)
//	Σ h·scale·(W * x) over positions, example by example     (into raw.gradient, for the wanted rows)
type layerGradient struct {
	base
	set         *kernel.Set
	raw         *rawRows // nil: no row is wanted
	act         Activation
	scale, keep []float32 // keep nil: 1
	y, g, d     Plane
	only        bool       // the wanted rows alone; d is scratch
	h           *second    // nil: not asked for
	tokens      int        // positions of an example where examples lie side by side; 0: they are interleaved
	zero        *constants // channels of d that are zero
	args        kernel.Gradient
	sums        []float32
}

// layerGradient builds the backward pass of the layer c from x to y, whose gradient is g.
func (b *Builder) layerGradient(c *conv, x, y, g *Map) {
	if b.fitsLinear(c) {
		if c.res != nil {
			b.skipGradient(c.res, g)
		}
		b.linearGradient(c, c.raw, x, g)
		return
	}
	l := c.layer
	op := &layerGradient{set: b.set, raw: c.raw, act: c.act, scale: l.Scale, keep: b.keeps[l.Key], y: y.Plane, g: g.Plane, zero: newConstants(l.Out)}
	if op.scale == nil {
		op.scale = filled(l.Out, 1)
	}
	if !c.masked {
		op.keep = nil
	}
	op.d = y.Plane
	op.d.Pad = l.Kernel - 1 - l.Pad
	if l.Stride == 2 {
		op.d.Pad = min(1, l.Kernel-1)
	}
	op.only = !x.reached
	op.prepare(b, l.Key+"/gradient")
	node, h := b.layerGradientNodes(op, c, y, g)
	if c.res != nil {
		b.skipGradient(c.res, h)
	}
	if x.reached {
		b.inputGradient(x, l, &Map{Plane: op.d, node: node, holds: op.zero})
	}
}

// prepare gives the op its output and its scratch.
func (o *layerGradient) prepare(b *Builder, id string) {
	o.base = newPlaneBase(id, o.d)
	if o.only {
		o.d.C = 1
		o.base = newPlaneBase(id, o.d)
	}
	if o.y.G == 1 && o.y.H == 1 && b.size > 0 {
		o.tokens = o.y.W / b.size
	}
	o.sums = buffer(max(o.y.W*o.y.G, tokenRow))
}

// slopes is y where its values tell the slope of the activation that made it, else nothing.
func (y *Map) slopes(act Activation) []*Map {
	if act == ReLU {
		return []*Map{y}
	}
	return nil
}

// layerGradientInputs are the gradient of y, and y where there is an activation.
func (b *Builder) layerGradientInputs(act Activation, y, g *Map) []*G.Node {
	in := []*G.Node{g.node}
	for _, y := range y.slopes(act) {
		in = append(in, b.forward(y))
	}
	return in
}

// layerGradientNodes adds the op; h is the gradient of what was added before the activation.
func (b *Builder) layerGradientNodes(op *layerGradient, c *conv, y, g *Map) (node *G.Node, h *Map) {
	inputs := b.layerGradientInputs(op.act, y, g)
	if op.act != ReLU || c.res == nil || !c.res.of.reached {
		return b.apply(op, inputs...), g
	}
	op.h = &second{newPlaneBase(op.id+"/residual", op.g)}
	node, other := b.applyPair(op, op.h, inputs...)
	return node, &Map{Plane: op.g, node: other}
}

// Do takes the gradient of y, and y where there is an activation.
func (o *layerGradient) Do(in ...G.Value) (G.Value, error) {
	g := floats(in[0])
	y := g // not read
	if len(in) > 1 {
		y = floats(in[1])
	}
	o.zero.clear()
	if o.only {
		for r, w := range o.raw.wanted {
			if w {
				o.channel(r, 0, g, y)
			}
		}
		return o.out, nil
	}
	for r := range o.d.C {
		o.channel(r, r, g, y)
	}
	return o.out, nil
}

// channel computes channel r, with d in channel to.
func (o *layerGradient) channel(r, to int, g, y []float32) {
	a := &o.args
	*a = kernel.Gradient{G: g[r*o.g.Stride()+o.g.At(0, 0):], Y: y[r*o.y.Stride()+o.y.At(0, 0):], D: o.buf[to*o.d.Stride()+o.d.At(0, 0):],
		Rows: o.y.H, N: o.y.W * o.y.G, GRow: o.g.RowLen(), YRow: o.y.RowLen(), DRow: o.d.RowLen(), Scale: o.scale[r]}
	if o.act == ReLU {
		a.ReLU = 1
	}
	if o.keep != nil {
		a.Scale *= o.keep[r]
	}
	if a.Scale == 0 {
		o.zero.set(r, 0)
	}
	if o.h != nil {
		a.H, a.HRow = o.h.buf[r*o.g.Stride()+o.g.At(0, 0):], o.g.RowLen()
	}
	if !o.raw.wants(int32(r)) {
		o.set.Gradient(a)
		return
	}
	a.Raw, a.RawRow = o.raw.row(int32(r))[o.y.At(0, 0):], o.y.RowLen()
	if o.tokens > 0 {
		o.sumTokens(r)
		return
	}
	a.Sum = o.sums
	clear(o.sums)
	o.set.Gradient(a)
	for at := 0; at < a.N; at += o.y.G {
		for n, v := range o.sums[at : at+o.y.G] {
			o.raw.gradient[n*len(o.raw.wanted)+r] += v
		}
	}
}

// tokenRow is the number of partial sums of an example's tokens.
const tokenRow = 16

// sumTokens runs the kernel on each example's tokens, tokenRow at a time: partial sums then depend on the example alone.
func (o *layerGradient) sumTokens(r int) {
	all := o.args
	for n := range o.y.W / o.tokens {
		a := &o.args
		clear(o.sums)
		for at, left := n*o.tokens, o.tokens; left > 0; {
			rows := max(1, left/tokenRow)
			*a = all
			a.Sum, a.G, a.Y, a.D, a.Raw = o.sums, all.G[at:], all.Y[at:], all.D[at:], all.Raw[at:]
			if len(all.H) > 0 {
				a.H = all.H[at:]
			}
			a.Rows, a.N = rows, min(left, tokenRow)
			a.GRow, a.YRow, a.DRow, a.RawRow, a.HRow = tokenRow, tokenRow, tokenRow, tokenRow, tokenRow
			o.set.Gradient(a)
			at += rows * a.N
			left -= rows * a.N
		}
		for _, v := range o.sums[:tokenRow] {
			o.raw.gradient[n*len(o.raw.wanted)+r] += v
		}
	}
}

func (o *layerGradient) class() string { return "gradient of activation and keep" }
func (o *layerGradient) work([]G.Value) (flops, bytes float64) {
	n := o.y.H * o.y.W * o.y.G
	moved := 3 * o.d.C * n
	if o.h != nil {
		moved += o.y.C * n
	}
	return 0, floatBytes * float64(moved+n*len(o.raw.chosen()))
}

// skipGradient passes h, the gradient of what was added before the activation, on to where it came from.
func (b *Builder) skipGradient(res *residual, h *Map) {
	x := res.of
	if !x.reached {
		return
	}
	if res.halved {
		if x.halved != nil {
			b.fail("two layers read one map subsampled")
		}
		x.halved = &halved{h, res.shift}
		return
	}
	b.addGradient(x, h)
}
