package nn

import G "gorgonia.org/gorgonia"

// pool averages windows of a map: side x side of them, each giving one feature per channel, in the order of a
// flattened [C, side, side] tensor.
type pool struct {
	base
	in   Plane
	side int
}

func newPool(id string, in Plane, side int) (*pool, Plane) {
	out := Plane{C: in.C * side * side, H: 1, W: 1, G: in.G}
	return &pool{base: newPlaneBase(id, out), in: in, side: side}, out
}

func (p *pool) Do(in ...G.Value) (G.Value, error) {
	x, g := floats(in[0]), p.in.G
	h, w := p.in.H/p.side, p.in.W/p.side
	inv := 1 / float32(h*w)
	stride := p.shape[1]
	for c := range p.in.C {
		for k := range p.side * p.side {
			sum := p.buf[(c*p.side*p.side+k)*stride:][:g]
			clear(sum)
			for y := range h {
				row := x[c*p.in.Stride()+p.in.At(k/p.side*h+y, k%p.side*w):][:w*g]
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
