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

// note writes the signs of rows first to first+n-1 of channel c, whose elements start at x.
func (s *signs) note(c, first, n int, x []float32, set *kernel.Set) {
	s.args = kernel.Signs{Y: x[s.of.At(first, 0):], Bits: s.bits[c*s.stride()+first*s.row():], Rows: n, N: s.of.W * s.of.G, YRow: s.of.RowLen(), BitRow: s.row()}
	set.Signs(&s.args)
}

// noteSigns notes the signs of the layer's output, where the backward pass asks for them: those that Winograd's algorithm
// has not noted.
func (c *conv) noteSigns(y []float32) {
	if c.signs == nil {
		return
	}
	rows := [][]int32{c.rows}
	if c.wino != nil {
		rows = [][]int32{c.chosen[1], c.chosen[3]}
	}
	for _, list := range rows {
		for _, r := range list {
			c.signs.note(int(r), 0, c.plane.H, y[int(r)*c.plane.Stride():], c.direct.set)
		}
	}
}
