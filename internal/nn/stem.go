package nn

import (
	"math"

	G "gorgonia.org/gorgonia"
)

// stem is a network's first convolution, with the max pooling that may follow it. Its input never changes between rows,
// so its unablated output is computed once per load of examples; a row then costs the channels whose keep changed.
type stem struct {
	conv // writes to full
	frozen
	pool  bool
	full  []float32 // output of the convolution, before pooling
	plane Plane     // of the op's output
	cache []float32 // the op's output with everything kept
	state []float32 // the keep value that each output channel was last written with
	row   []float32 // scratch of the pooling
}

// newStem wraps the convolution c (ReLU follows it). With pool, a 3x3 max pooling of stride 2 and padding 1 ends it.
func newStem(c *conv, pool bool, out Plane, batch *Batch) *stem {
	s := &stem{conv: *c, frozen: frozen{batch: batch}, pool: pool, plane: out, state: make([]float32, out.C)}
	s.base = newBase(c.layer.Key+"/stem", out.C, out.Stride())
	s.full, s.cache = c.buf, buffer(out.Len())
	s.row = make([]float32, c.plane.RowLen())
	return s
}

func (s *stem) Do(in ...G.Value) (G.Value, error) {
	x, w, scale, shift := floats(in[0]), floats(in[1]), floats(in[2]), floats(in[3])
	if s.stale() {
		s.compute(x, w, nil, scale, shift, 0, s.layer.Out, s.cache)
		for c := range s.state {
			s.state[c] = float32(math.NaN())
		}
	}
	var keep []float32
	if s.masked {
		keep = floats(in[4])
	}
	for c := range s.state {
		k := float32(1)
		if keep != nil {
			k = keep[c]
		}
		if s.state[c] == k {
			continue
		}
		s.state[c] = k
		if k == 1 {
			copy(s.channel(s.buf, c), s.channel(s.cache, c))
		} else {
			s.compute(x, w, keep, scale, shift, c, c+1, s.buf)
		}
	}
	return s.out, nil
}

func (s *stem) channel(buf []float32, c int) []float32 {
	return buf[c*s.plane.Stride():][:s.plane.Stride()]
}

// compute writes channels [from,to) of the op's output into dst.
func (s *stem) compute(x, w, keep, scale, shift []float32, from, to int, dst []float32) {
	s.plan(keep, scale, shift)
	if to-from < s.layer.Out {
		s.only(from, keep, scale, shift)
	}
	conv := s.full
	if !s.pool {
		conv = dst
	}
	s.product.run(w, x, conv, nil, s.blocks, true)
	if s.pool {
		for c := from; c < to; c++ {
			s.maxPool(s.full[c*s.conv.plane.Stride():], s.channel(dst, c))
		}
	}
}

// only plans a single channel.
func (s *stem) only(c int, keep, scale, shift []float32) {
	b := block{rows: 1, steps: s.steps}
	if keep[c] == 0 {
		b.steps = nil
	}
	b.a[0] = int32(c * s.layer.In * s.layer.Kernel * s.layer.Kernel)
	b.out[0] = int32(c * s.conv.plane.Stride())
	b.scale[0], b.shift[0] = keep[c]*scale[c], shift[c]
	s.blocks = append(s.blocks[:0], b)
}

// maxPool pools one channel, 3x3 with stride 2 and padding 1. The border's zeros never win: ReLU came before.
func (s *stem) maxPool(src, dst []float32) {
	in, out := s.conv.plane, s.plane
	n, g := in.RowLen(), in.G
	for y := range out.H {
		a, b, c := src[in.At(2*y-1, -1):][:n], src[in.At(2*y, -1):][:n], src[in.At(2*y+1, -1):][:n]
		for i := range s.row {
			s.row[i] = max(a[i], b[i], c[i])
		}
		to := dst[out.At(y, 0):][:out.W*g]
		for x := range out.W {
			for i := range g {
				at := 2*x*g + i
				to[x*g+i] = max(s.row[at], s.row[at+g], s.row[at+2*g])
			}
		}
	}
}
