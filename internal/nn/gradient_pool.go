package nn

import G "gorgonia.org/gorgonia"

// spread is the gradient of an average pooling: every position of a window receives its share.
type spread struct {
	base
	pool *pool
	g    Plane
}

func newSpread(p *pool, g Plane) *spread {
	return &spread{base: newPlaneBase(p.id+"/gradient", p.in), pool: p, g: g}
}

func (s *spread) Do(in ...G.Value) (G.Value, error) {
	p, x := s.pool, floats(in[0])
	to, side, g := p.in, p.side, p.in.G
	h, w := to.H/side, to.W/side
	inv := 1 / float32(h*w)
	for c := range to.C {
		dst := s.buf[c*to.Stride():]
		for k := range side * side {
			row := dst[to.At(k/side*h, k%side*w):][:w*g]
			for i, v := range x[(c*side*side+k)*s.g.Stride():][:g] {
				row[i] = v * inv
			}
			for at := g; at < len(row); at *= 2 {
				copy(row[at:], row[:at])
			}
			for y := 1; y < h; y++ {
				copy(dst[to.At(k/side*h+y, k%side*w):][:w*g], row)
			}
		}
	}
	return s.out, nil
}

func (s *spread) class() string { return "gradient of average pool" }
func (s *spread) work([]G.Value) (flops, bytes float64) {
	return 0, floatBytes * float64(s.pool.in.C*s.pool.in.H*s.pool.in.W*s.pool.in.G)
}
