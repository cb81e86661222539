package nn

import (
	"math"

	G "gorgonia.org/gorgonia"
)

// stem is a layer whose input never changes between rows (a network's first convolution, the first projection of a
// transformer), with the max pooling that may follow it. Its unablated output is computed once per load of examples; a
// row then costs the channels whose keep changed.
type stem struct {
	conv // plans and computes the layer
	frozen
	linear  *rawRows // what the keep values scale, of all channels; nil: not kept
	pool    bool
	full    []float32 // output of the layer before pooling, where there is pooling
	plane   Plane     // of the op's output
	cache   []float32 // the op's output with everything kept
	state   []float32 // the keep value that each output channel was last written with
	changed []int32
	row     []float32 // scratch of the pooling
}

// newStem wraps the layer c. With pool, c ends in ReLU and a 3x3 max pooling of stride 2 and padding 1 follows.
func newStem(c *conv, pool bool, out Plane, batch *Batch) *stem {
	s := &stem{conv: *c, frozen: frozen{batch: batch}, pool: pool, plane: out, state: make([]float32, out.C)}
	s.base = newPlaneBase(c.layer.Key+"/stem", out).lasting(batch)
	if pool {
		s.full = buffer(c.plane.Len())
		s.row = make([]float32, c.plane.RowLen())
	}
	s.cache = buffer(out.Len())
	return s
}

// Do takes what conv takes.
func (s *stem) Do(in ...G.Value) (G.Value, error) {
	a := s.args(in)
	if s.stale() {
		intact := a
		intact.keep = nil
		s.fillLinear(a)
		s.write(intact, s.rows, s.cache)
		for c := range s.state {
			s.state[c] = float32(math.NaN())
		}
	}
	if s.linear != nil {
		s.linear.list()
	}
	s.changed = s.changed[:0]
	for c := range s.state {
		k := float32(1)
		if a.keep != nil {
			k = a.keep[c]
		}
		if s.state[c] == k {
			continue
		}
		s.state[c] = k
		if k == 1 {
			copy(s.channel(s.buf, c), s.channel(s.cache, c))
		} else {
			s.changed = append(s.changed, int32(c))
		}
	}
	s.write(a, s.changed, s.buf)
	s.noteAblated(a)
	return s.out, nil
}

// noteAblated tells readers which output channels hold one value. The maximum of equal values is that value.
func (s *stem) noteAblated(a layerArgs) {
	s.choose(a, s.rows)
	s.noteConstants(a)
}

func (s *stem) channel(buf []float32, c int) []float32 {
	return buf[c*s.plane.Stride():][:s.plane.Stride()]
}

// write computes the given channels of the op's output into dst.
func (s *stem) write(a layerArgs, channels []int32, dst []float32) {
	full := dst
	if s.pool {
		full = s.full
	}
	if s.linear != nil {
		s.applyLinear(a, channels, full)
	} else {
		s.choose(a, channels)
		s.compute(a, full)
	}
	if !s.pool {
		return
	}
	for _, c := range channels {
		s.maxPool(s.full[int(c)*s.conv.plane.Stride():], s.channel(dst, int(c)))
	}
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
