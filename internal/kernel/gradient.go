package kernel

import "coar/internal/kernel/abi"

// Gradient and Signs are the argument blocks of Set.Gradient and Set.Signs; see package abi.
type (
	Gradient = abi.Gradient
	Signs    = abi.Signs
)

// Gradient takes the gradient of one channel of a layer's output through the activation and the layer's scale, and adds up
// its products with what the keep value scales. See abi.Gradient.
func (s *Set) Gradient(g *Gradient) { s.gradient(g) }

// gradientPortable is the kernel of package abi, element by element.
func gradientPortable(g *Gradient) {
	for i := range g.Rows {
		for j := range g.N {
			h := g.G[i*g.GRow+j]
			if len(g.Signs) > 0 && g.Signs[i*g.SignRow+j/8]>>(j%8)&1 == 0 {
				h = 0
			}
			if len(g.H) > 0 {
				g.H[i*g.HRow+j] = h
			}
			g.D[i*g.DRow+j] = g.Scale * h
			if len(g.Raw) > 0 {
				g.Sum[j] += h * g.Raw[i*g.RawRow+j]
			}
		}
	}
}

// Signs notes where a map is above zero, one bit for each element. See abi.Signs.
func (s *Set) Signs(g *Signs) { s.signs(g) }

// signsPortable is the kernel of package abi, byte by byte.
func signsPortable(s *Signs) {
	for i := range s.Rows {
		for j := 0; j < s.N; j += 8 {
			var bits byte
			for k, v := range s.Y[i*s.YRow+j:][:min(8, s.N-j)] {
				if v > 0 {
					bits |= 1 << k
				}
			}
			s.Bits[i*s.BitRow+j/8] = bits
		}
	}
}
