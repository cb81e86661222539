package nn

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"coar/internal/kernel"
)

// images is a stack [N, C, H, W], in float64 as the references compute, holding float32 values as the programs read.
type images struct {
	n, c, h, w int
	x          []float64
}

func (m images) at(n, c, y, x int) float64 {
	if y < 0 || x < 0 || y >= m.h || x >= m.w {
		return 0
	}
	return m.x[((n*m.c+c)*m.h+y)*m.w+x]
}

func newImages(n, c, h, w int) images { return images{n, c, h, w, make([]float64, n*c*h*w)} }

func normals(rng *rand.Rand, n int, spread float64) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64() * spread)
	}
	return x
}

func drawImages(rng *rand.Rand, n, c, h, w int) images {
	m := newImages(n, c, h, w)
	for i, v := range normals(rng, len(m.x), 1) {
		m.x[i] = float64(v)
	}
	return m
}

// drawLayer draws a convolution with scale and shift, its weights so small that outputs stay near 1.
func drawLayer(rng *rand.Rand, key string, out, in, kernel, stride int) Layer {
	l := Layer{Key: key, Out: out, In: in, Kernel: kernel, Stride: stride, Pad: kernel / 2}
	l.Weight = normals(rng, out*in*kernel*kernel, 1/math.Sqrt(float64(in*kernel*kernel)))
	l.Scale, l.Shift = normals(rng, out, 1), normals(rng, out, 1)
	return l
}

// convolve is the definition: keep·scale·(W * x) + shift, without an activation. keep may be nil.
func convolve(m images, l Layer, keep []float32) images {
	out := newImages(m.n, l.Out, l.outSize(m.h), l.outSize(m.w))
	for i := range out.x {
		x, y := i%out.w, i/out.w%out.h
		c, n := i/out.w/out.h%out.c, i/out.w/out.h/out.c
		acc := 0.0
		for k, w := range l.Weight[c*l.In*l.Kernel*l.Kernel:][:l.In*l.Kernel*l.Kernel] {
			kx, ky := k%l.Kernel, k/l.Kernel%l.Kernel
			acc += float64(w) * m.at(n, k/l.Kernel/l.Kernel, y*l.Stride+ky-l.Pad, x*l.Stride+kx-l.Pad)
		}
		if keep != nil {
			acc *= float64(keep[c])
		}
		if l.Scale != nil {
			acc *= float64(l.Scale[c])
		}
		out.x[i] = acc
		if l.Shift != nil {
			out.x[i] += float64(l.Shift[c])
		}
	}
	return out
}

func activate(m images, act Activation) images {
	for i, v := range m.x {
		switch act {
		case ReLU:
			m.x[i] = max(v, 0)
		case GELU:
			m.x[i] = v / 2 * math.Erfc(-v/math.Sqrt2)
		}
	}
	return m
}

// compile builds a program whose logits are the whole of the map that build returns, which must be square.
func compile(t *testing.T, set *kernel.Set, size, c, h, w int, masked []string, build func(*Builder) *Map) *Program {
	t.Helper()
	keys := map[string]bool{}
	for _, k := range masked {
		keys[k] = true
	}
	b := NewBuilder(set, false, size, c, h, w, keys)
	m := build(b)
	if m.H > 1 {
		m = b.AveragePool("flatten", m, m.H)
	}
	p, err := b.Compile(m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Close()
	})
	return p
}

func load(p *Program, m images) {
	for i, v := range m.x {
		p.Images()[i] = float32(v)
	}
	p.Load()
}

// run returns a copy of the logits.
func run(t *testing.T, p *Program) []float32 {
	t.Helper()
	logits, err := p.Run()
	if err != nil {
		t.Fatal(err)
	}
	return append([]float32(nil), logits...)
}

// near fails where got, which one op computes, differs from want, all of whose values are near 1.
func near(t *testing.T, what string, got []float32, want []float64) {
	t.Helper()
	within(t, what, got, want, 2e-5)
}

func within(t *testing.T, what string, got []float32, want []float64, bound float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	for i, w := range want {
		if d := math.Abs(float64(got[i]) - w); !(d <= bound*(1+math.Abs(w))) {
			t.Fatalf("%s: value %d is %g, want %g", what, i, got[i], w)
		}
	}
}

func same(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i, w := range want {
		if got[i] != w {
			t.Fatalf("%s: value %d is %g, want exactly %g", what, i, got[i], w)
		}
	}
}

// eachSet runs the test on every instruction set that the processor has. The seed is fixed: a bound on rounding that one seed in
// thousands exceeds would fail work that has nothing to do with it; new inputs are the fuzz targets' business.
func eachSet(t *testing.T, test func(t *testing.T, set *kernel.Set, rng *rand.Rand)) {
	each(t, kernel.Available(), test)
}

func each(t *testing.T, sets []*kernel.Set, test func(t *testing.T, set *kernel.Set, rng *rand.Rand)) {
	for _, set := range sets {
		t.Run(set.Name, func(t *testing.T) {
			test(t, set, rand.New(rand.NewPCG(1, 1)))
		})
	}
}

func TestConvMatchesDefinition(t *testing.T) {
	eachSet(t, func(t *testing.T, set *kernel.Set, rng *rand.Rand) {
		for _, side := range []int{7, 9, 14, 28} {
			for _, k := range []int{1, 3, 7} {
				for _, stride := range []int{1, 2} {
					size := []int{1, 2, 3, 4, 8, 16}[rng.IntN(6)]
					if side == 28 {
						size = min(size, 3)
					}
					act := Activation(rng.IntN(3))
					l := drawLayer(rng, "conv.weight", 1+rng.IntN(19), 1+rng.IntN(5), k, stride)
					pad := l.Pad + rng.IntN(2) // the border may be wider than the layer needs
					m := drawImages(rng, size, l.In, side, side)
					p := compile(t, set, size, l.In, side, side, nil, func(b *Builder) *Map {
						in := b.Pack(pad)
						return b.Conv(&in, l, act, rng.IntN(3))
					})
					load(p, m)
					near(t, fmt.Sprintf("%dx%d of stride %d on %d maps of %d, batch %d", k, k, stride, l.In, side, size), run(t, p), activate(convolve(m, l, nil), act).x)
				}
			}
		}
	})
}

// A convolution reads what another wrote, with the border that it asked for; the second sees one that keep values reach.
func TestConvOfConv(t *testing.T) {
	eachSet(t, func(t *testing.T, set *kernel.Set, rng *rand.Rand) {
		for _, stride := range []int{1, 2} {
			for _, size := range []int{1, 2, 4, 5, 8, 16} {
				m := drawImages(rng, size, 3, 9, 9)
				first, second := drawLayer(rng, "a.weight", 10, 3, 3, stride), drawLayer(rng, "b.weight", 9, 10, 3, stride)
				p := compile(t, set, size, 3, 9, 9, []string{"a.weight"}, func(b *Builder) *Map {
					in := b.Pack(1)
					return b.Conv(b.Conv(&in, first, ReLU, 1), second, None, 0)
				})
				load(p, m)
				for range 3 {
					keep := drawKeep(rng, p.Keep("a.weight"))
					near(t, fmt.Sprintf("stride %d, batch %d", stride, size), run(t, p), convolve(activate(convolve(m, first, keep), ReLU), second, nil).x)
				}
			}
		}
	})
}

// drawKeep fills keep with zeros, ones and fractions and returns it.
func drawKeep(rng *rand.Rand, keep []float32) []float32 {
	for i := range keep {
		keep[i] = []float32{0, 1, rng.Float32()}[rng.IntN(3)]
	}
	return keep
}

func TestConvAddMatchesDefinition(t *testing.T) {
	eachSet(t, func(t *testing.T, set *kernel.Set, rng *rand.Rand) {
		for _, side := range []int{7, 14} {
			for _, size := range []int{1, 3, 8} {
				m := drawImages(rng, size, 6, side, side)
				skip, l := drawLayer(rng, "skip.weight", 11, 6, 1, 1), drawLayer(rng, "conv.weight", 11, 6, 3, 1)
				for _, pads := range [][2]int{{0, 0}, {1, 0}, {0, 1}} { // of the skip and of the result
					p := compile(t, set, size, 6, side, side, []string{l.Key}, func(b *Builder) *Map {
						in := b.Pack(1)
						return b.ConvAdd(&in, l, ReLU, pads[1], b.Conv(&in, skip, None, pads[0]))
					})
					load(p, m)
					want := convolve(m, l, drawKeep(rng, p.Keep(l.Key)))
					for i, v := range convolve(m, skip, nil).x {
						want.x[i] += v
					}
					near(t, fmt.Sprintf("side %d, batch %d, borders %v", side, size, pads), run(t, p), activate(want, ReLU).x)
				}
			}
		}
	})
}

// Option A of He et al. (2015): every second position, channels of the skip in the middle of twice as many.
func TestConvAddSubsampledMatchesDefinition(t *testing.T) {
	eachSet(t, func(t *testing.T, set *kernel.Set, rng *rand.Rand) {
		for _, side := range []int{7, 14} {
			for _, pad := range []int{1, 2} {
				const in, out, shift, size = 6, 12, 3, 3
				m := drawImages(rng, size, in, side, side)
				a, l := drawLayer(rng, "a.weight", out, in, 3, 2), drawLayer(rng, "b.weight", out, out, 3, 1)
				p := compile(t, set, size, in, side, side, []string{l.Key}, func(b *Builder) *Map {
					x := b.Pack(pad)
					return b.ConvAddSubsampled(b.Conv(&x, a, ReLU, 1), l, None, 0, &x, shift)
				})
				load(p, m)
				want := convolve(activate(convolve(m, a, nil), ReLU), l, drawKeep(rng, p.Keep(l.Key)))
				for i := range want.x {
					x, y := i%want.w, i/want.w%want.h
					c, n := i/want.w/want.h%want.c, i/want.w/want.h/want.c
					if c >= shift && c < shift+in {
						want.x[i] += m.at(n, c-shift, 2*y, 2*x)
					}
				}
				near(t, fmt.Sprintf("side %d, border %d", side, pad), run(t, p), want.x)
			}
		}
	})
}
