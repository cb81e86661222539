package nn

import (
	G "gorgonia.org/gorgonia"

	"coar/internal/kernel"
)

// layerGradient takes the gradient g of a layer's output y = act(keep·scale·(W * x) + shift + residual) to
//
//	h = g·act'(·), the residual's gradient and the shift's   (second output, where there is a ReLU and a residual)
//	d = keep·scale·h, the gradient of W * x                  (output; h alone where the reader of d multiplies itself)
//	Σ h·scale·(W * x) over positions, example by example     (into raw.gradient, for the wanted rows)
type layerGradient struct {
	base
	set         *kernel.Set
	raw         *rawRows  // nil: no row is wanted
	signs       *signs    // of y, where there is a ReLU, else nil
	scale, keep []float32 // keep nil: 1
	y, g, d     Plane
	only        bool       // the wanted rows alone; d is scratch
	h           *second    // nil: not asked for, or written instead of d
	factors     []float32  // keep·scale, where d is left to who reads h; nil: d is written
	tokens      int        // positions of an example where examples lie side by side; 0: they are interleaved
	zero        *constants // channels of d that are zero
	args        kernel.Gradient
	sums        []float32 // of the wanted rows, one after the other: a partial sum for each place in a row of the map
	place       []int     // where a wanted row's sums start
}

// layerGradient builds the backward pass of the layer c from x to y, whose gradient is g.
func (b *Builder) layerGradient(c *conv, x, y, g *Map) {
	if b.fitsLinear(c) {
		g = b.settled(g)
		if c.res != nil {
			b.skipGradient(c.res, g)
		}
		b.linearGradient(c, c.raw, x, g)
		return
	}
	l := c.layer
	op := &layerGradient{set: b.set, raw: c.raw, signs: c.signs, scale: l.Scale, keep: b.keeps[l.Key], y: y.Plane, g: g.Plane, zero: newConstants(l.Out)}
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
	if op.joins(c) && l.Stride == 1 && winogradFits(l.transposed(), y.Plane) && op.g.Pad >= op.d.Pad && !op.only {
		op.d, op.factors = op.g, make([]float32, l.Out)
	}
	op.prepare(b, l.Key+"/gradient")
	node, h := b.layerGradientNodes(op, c, y, g)
	if c.res != nil {
		b.skipGradient(c.res, h)
	}
	if x.reached {
		b.inputGradient(x, l, &Map{Plane: op.d, node: node, holds: op.zero, factors: op.factors})
	}
}

// prepare gives the op its output and its scratch.
func (o *layerGradient) prepare(b *Builder, id string) {
	o.base = newPlaneBase(id, o.d)
	if o.only {
		o.d.C = 1
		o.base = newPlaneBase(id, o.d)
	}
	if o.raw != nil {
		o.place = make([]int, len(o.scale))
		b.bytes += int64(4 * len(o.scale) * o.width())
	}
	if b.tokens > 0 {
		o.tokens = o.y.W / b.size
	}
}

// layerGradientNodes adds the op; h is the gradient of what was added before the activation.
func (b *Builder) layerGradientNodes(op *layerGradient, c *conv, y, g *Map) (node *G.Node, h *Map) {
	if g.pending.fits() && !op.only && (op.signs != nil || c.res == nil) {
		return b.fuse(op, c, g)
	}
	g = b.settled(g)
	return b.applyLayerGradient(op, op, c, g, g.node)
}

// applyLayerGradient adds the op that does what op does; results as layerGradientNodes.
func (b *Builder) applyLayerGradient(both fused, op *layerGradient, c *conv, g *Map, inputs ...*G.Node) (node *G.Node, h *Map) {
	switch {
	case op.factors != nil:
		node = b.apply(both, inputs...)
		return node, &Map{Plane: op.g, node: node}
	case op.joins(c):
		op.h = &second{newPlaneBase(op.id+"/residual", op.g)}
		node, other := b.applyPair(both, op.h, inputs...)
		return node, &Map{Plane: op.g, node: other}
	}
	return b.apply(both, inputs...), g
}

// joins says whether the residual's gradient is another map than y's gradient.
func (o *layerGradient) joins(c *conv) bool {
	return o.signs != nil && c.res != nil && c.res.of.reached
}

// Do takes the gradient of y and, for a stem with an activation, y.
func (o *layerGradient) Do(in ...G.Value) (G.Value, error) {
	g := floats(in[0])
	o.begin()
	for r := range o.y.C {
		to := r
		if o.only {
			if to = 0; !o.raw.wanted[r] {
				continue
			}
		}
		if len(in) > 1 {
			o.signs.note(r, 0, o.y.H, floats(in[1])[r*o.y.Stride():], o.set)
		}
		o.part(r, to, g[r*o.g.Stride()+o.g.At(0, 0):], o.g.RowLen(), 0, o.y.H)
	}
	o.end()
	return o.out, nil
}

// begin prepares for the parts of a run.
func (o *layerGradient) begin() {
	o.zero.clear()
	for r := range o.scale {
		f := o.factor(r)
		if f == 0 {
			o.zero.set(r, 0)
		}
		if o.factors != nil {
			o.factors[r] = f
		}
	}
	for i, r := range o.raw.chosen() {
		o.place[r] = i * o.width()
	}
	grow(&o.sums, len(o.raw.chosen())*o.width())
	clear(o.sums)
}

// width is the number of partial sums of a row.
func (o *layerGradient) width() int { return max(oddLines(o.y.W*o.y.G), tokenRow) }

func (o *layerGradient) factor(r int) float32 {
	if o.keep == nil {
		return o.scale[r]
	}
	return o.scale[r] * o.keep[r]
}

// part computes rows first to first+n-1 of channel r, whose gradient of y starts at g and has rows of gRow elements. d goes
// to channel to. Of a channel, parts come in ascending order.
func (o *layerGradient) part(r, to int, g []float32, gRow, first, n int) {
	a := &o.args
	*a = kernel.Gradient{G: g, D: o.buf[to*o.d.Stride()+o.d.At(first, 0):], Rows: n, N: o.y.W * o.y.G, GRow: gRow, DRow: o.d.RowLen(), Scale: o.factor(r)}
	if o.factors != nil {
		a.Scale = 1
	}
	if o.signs != nil {
		a.Signs, a.SignRow = o.signs.bits[r*o.signs.stride()+first*o.signs.row():], o.signs.row()
	}
	if o.h != nil {
		a.H, a.HRow = o.h.buf[r*o.g.Stride()+o.g.At(first, 0):], o.g.RowLen()
	}
	if o.raw.wants(int32(r)) {
		a.Raw, a.RawRow = o.raw.row(int32(r))[o.y.At(first, 0):], o.y.RowLen()
		a.Sum = o.sums[o.place[r]:]
		if o.tokens > 0 {
			o.sumTokens(r)
			return
		}
	}
	o.set.Gradient(a)
}

// end brings the partial sums of each wanted row together, example by example.
func (o *layerGradient) end() {
	for i, r := range o.raw.chosen() {
		sums := o.sums[i*o.width():][:o.y.W*o.y.G]
		for at := 0; at < len(sums) && o.tokens == 0; at += o.y.G {
			for n, v := range sums[at : at+o.y.G] {
				o.raw.gradient[n*len(o.raw.wanted)+int(r)] += v
			}
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
		sums := all.Sum[:tokenRow]
		clear(sums)
		for at, left := n*o.tokens, o.tokens; left > 0; {
			rows := max(1, left/tokenRow)
			*a = all
			a.G, a.D, a.Raw = all.G[at:], all.D[at:], all.Raw[at:]
			a.Rows, a.N = rows, min(left, tokenRow)
			a.GRow, a.DRow, a.RawRow = tokenRow, tokenRow, tokenRow
			o.set.Gradient(a)
			at += rows * a.N
			left -= rows * a.N
		}
		for _, v := range sums {
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
