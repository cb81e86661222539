package nn

import (
	G "gorgonia.org/gorgonia"

	"coar/internal/kernel"
)

// pool averages windows of a map: side x side of them, each giving one feature per channel, in the order of a
// flattened [C, side, side] tensor.
type pool struct {
	base
	in   Plane
	side int
	set  *kernel.Set
	wide [2][]float32 // two channels of cells as float32
	args kernel.Cells
}

func newPool(set *kernel.Set, id string, in Plane, side int) (*pool, Plane) {
	out := Plane{C: in.C * side * side, H: 1, W: 1, G: in.G}
	p := &pool{base: newPlaneBase(id, out), in: in, side: side, set: set}
	if in.Cells {
		p.wide = [2][]float32{buffer(in.Stride()), buffer(in.Stride())}
	}
	return p, out
}

// channel is channel c of x, which come in ascending order.
func (p *pool) channel(x []float32, c int) []float32 {
	if !p.in.Cells {
		return x[c*p.in.Stride():]
	}
	if c%2 == 0 {
		p.args = kernel.Cells{Even: p.wide[0], Odd: p.wide[1], Cells: x[c/2*p.in.Stride():], Cols: p.in.Stride()}
		p.set.WidenCells(&p.args)
	}
	return p.wide[c%2]
}

func (p *pool) Do(in ...G.Value) (G.Value, error) {
	x, g := floats(in[0]), p.in.G
	h, w := p.in.H/p.side, p.in.W/p.side
	inv := 1 / float32(h*w)
	stride := p.shape[1]
	for c := range p.in.C {
		channel := p.channel(x, c)
		for k := range p.side * p.side {
			sum := p.buf[(c*p.side*p.side+k)*stride:][:g]
			clear(sum)
			for y := range h {
				row := channel[p.in.At(k/p.side*h+y, k%p.side*w):][:w*g]
				for at := 0; at < len(row); at += g {
					for i, v := range row[at : at+g] {
						sum[i] += v
					}
				}
			}
			for i := range sum {
				sum[i] *= inv
			}
		}
	}
	return p.out, nil
}

// logits brings a plane of one position per example into [B, classes].
type logits struct {
	base
	in Plane
}

func newLogits(in Plane) *logits {
	return &logits{base: newBase("logits", "logits", in.W*in.G, in.C), in: in}
}

func (l *logits) Do(in ...G.Value) (G.Value, error) {
	x := floats(in[0])
	for c := range l.in.C {
		for i, v := range x[c*l.in.Stride():][:l.in.W*l.in.G] {
			l.buf[i*l.in.C+c] = v
		}
	}
	return l.out, nil
}
