package kernel

import "coar/internal/kernel/abi"

// Gradient is the argument block of Set.Gradient; see abi.Gradient.
type Gradient = abi.Gradient

// Gradient takes the gradient of one channel of a layer's output through the activation and the layer's scale, and adds up
// its products with what the keep value scales. See abi.Gradient.
func (s *Set) Gradient(g *Gradient) { s.gradient(g) }

// gradientPortable is the kernel of package abi, element by element.
func gradientPortable(g *Gradient) {
	for i := range g.Rows {
		for j := range g.N {
			h := g.G[i*g.GRow+j]
			if g.ReLU != 0 && !(g.Y[i*g.YRow+j] > 0) {
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
