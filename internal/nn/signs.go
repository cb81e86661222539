package nn

import "coar/internal/kernel"

// signs notes where a layer's output is above zero, one bit for each element, so that the backward pass of a ReLU needs
// nothing else of the forward pass.
type signs struct {
	of   Plane
	bits []byte
	args kernel.Signs
}

// newSigns has room for the map of the given plane.
func newSigns(of Plane) *signs {
	s := &signs{of: of}
	s.bits = make([]byte, of.C*s.stride())
	return s
}

// row is the number of bytes from one row of the map to the next: those of whole vectors.
func (s *signs) row() int { return (s.of.W*s.of.G + 15) / 16 * 2 }

func (s *signs) stride() int { return s.of.H * s.row() }

// note writes the signs of one channel, whose elements start at x.
func (s *signs) note(c int, x []float32, set *kernel.Set) {
	s.args = kernel.Signs{Y: x[s.of.At(0, 0):], Bits: s.bits[c*s.stride():], Rows: s.of.H, N: s.of.W * s.of.G, YRow: s.of.RowLen(), BitRow: s.row()}
	set.Signs(&s.args)
}

// noteSigns notes the signs of the layer's output, where the backward pass asks for them.
func (c *conv) noteSigns(y []float32) {
	if c.signs == nil {
		return
	}
	for r := range c.plane.C {
		c.signs.note(r, y[r*c.plane.Stride():], c.direct.set)
	}
}
