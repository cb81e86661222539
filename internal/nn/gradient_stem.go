package nn

import (
	G "gorgonia.org/gorgonia"
)

// stemGradient builds the backward pass of a stem: its keep gradients, for nothing ablatable lies before it.
func (b *Builder) stemGradient(s *stem, y, g *Map) {
	l := s.layer
	if !s.pool && b.fitsLinear(&s.conv) {
		b.linearGradient(&s.conv, s.linear, &Map{}, b.settled(g))
		return
	}
	g = b.settledRows(g, s.linear)
	if s.pool {
		b.apply(newPoolGradient(s, b.keeps[l.Key], g.Plane), g.node, b.forward(y))
		return
	}
	op := &layerGradient{set: b.set, raw: s.linear, scale: filled(l.Out, 0), y: y.Plane, g: g.Plane, d: y.Plane, only: true, zero: newConstants(l.Out)}
	op.prepare(b, l.Key+"/gradient")
	inputs := []*G.Node{g.node}
	if s.act == ReLU {
		op.signs = newSigns(y.Plane)
		inputs = append(inputs, b.forward(y))
	}
	b.apply(op, inputs...)
}

// poolGradient is the backward pass of a stem with max pooling, for the wanted rows: the gradient of a pooled position
// belongs to the first of the largest values in its window, and counts where that is above zero.
type poolGradient struct {
	base
	stem     *stem
	keep     []float32
	shift    []float32
	g        Plane
	top, raw []float32 // of a row of the layer: the largest of three rows, and what keep scaled there
	sums     []float32
}

func newPoolGradient(s *stem, keep []float32, g Plane) *poolGradient {
	n := s.conv.plane.RowLen()
	shift := s.layer.Shift
	if shift == nil {
		shift = make([]float32, s.layer.Out)
	}
	return &poolGradient{base: newBase(s.layer.Key+"/gradient", flat, 1, 1), stem: s, keep: keep, shift: shift, g: g, top: make([]float32, n), raw: make([]float32, n), sums: make([]float32, g.W*g.G)}
}

// Do takes the gradient of the pooled map, and that map.
func (p *poolGradient) Do(in ...G.Value) (G.Value, error) {
	g, y := floats(in[0]), floats(in[1])
	for c, w := range p.stem.linear.wanted {
		if w {
			p.channel(c, g[c*p.g.Stride():], y[c*p.stem.plane.Stride():])
		}
	}
	return p.out, nil
}

func (p *poolGradient) channel(c int, g, y []float32) {
	s, r := p.stem, p.stem.linear
	raw := r.row(int32(c))
	clear(p.sums)
	for row := range p.g.H {
		p.windows(raw, 2*row, p.keep[c], p.shift[c])
		from, out := g[p.g.At(row, 0):], y[s.plane.At(row, 0):]
		width, n := p.g.G, p.g.W*p.g.G
		for i := range n {
			if !(out[i] > 0) {
				continue
			}
			at := (2*(i/width)+s.conv.plane.Pad)*width + i%width // the middle of the window
			best, v := p.top[at-width], p.raw[at-width]
			if p.top[at] > best {
				best, v = p.top[at], p.raw[at]
			}
			if p.top[at+width] > best {
				v = p.raw[at+width]
			}
			p.sums[i] += from[i] * v
		}
	}
	for i, v := range p.sums {
		r.gradient[i%p.g.G*len(r.wanted)+c] += v
	}
}

// windows finds, column by column, the first of the largest of the layer's values in the rows around y.
func (p *poolGradient) windows(raw []float32, y int, keep, shift float32) {
	in := p.stem.conv.plane
	for i := range p.top {
		p.top[i] = -1 // outside, nothing wins
	}
	first, n := in.Pad*in.G, in.W*in.G
	top, at := p.top[first:][:n], p.raw[first:][:n]
	for r := max(0, y-1); r <= min(in.H-1, y+1); r++ {
		for i, v := range raw[in.At(r, 0):][:n] {
			if z := keep*v + shift; z > top[i] {
				top[i], at[i] = z, v
			}
		}
	}
}

func (p *poolGradient) class() string { return "gradient of max pool" }
func (p *poolGradient) work([]G.Value) (flops, bytes float64) {
	in := p.stem.conv.plane
	return 0, floatBytes * float64(in.H*in.W*in.G*len(p.stem.linear.chosen()))
}
