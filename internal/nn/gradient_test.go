package nn

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"coar/internal/kernel"
)

// reference computes a network in float64 with keep values in float64.
type reference struct {
	keep map[string][]float64 // nil for layers that are no component group
}

// conv is act(keep·scale·(W * x) + shift + skip); skip may be nil.
func (f reference) conv(x images, l Layer, act Activation, skip *images) images {
	shift := l.Shift
	l.Shift = nil
	y := convolve(x, l, nil)
	for i := range y.x {
		c := i / y.w / y.h % y.c
		if k := f.keep[l.Key]; k != nil {
			y.x[i] *= k[c]
		}
		y.x[i] += float64(shift[c])
		if skip != nil {
			y.x[i] += skip.x[i]
		}
	}
	return activate(y, act)
}

// subsampled is every second position of x, its channel 0 as channel shift of c.
func subsampled(x images, c, shift int) *images {
	y := newImages(x.n, c, (x.h+1)/2, (x.w+1)/2)
	for i := range y.x {
		if from := i/y.w/y.h%c - shift; from >= 0 && from < x.c {
			y.x[i] = x.at(i/y.w/y.h/c, from, i/y.w%y.h*2, i%y.w*2)
		}
	}
	return &y
}

// averaged is the mean of every channel.
func averaged(x images) images {
	y := newImages(x.n, x.c, 1, 1)
	for i, v := range x.x {
		y.x[i/x.h/x.w] += v / float64(x.h*x.w)
	}
	return y
}

// gradientNet is a small network, as a graph and by its definition.
type gradientNet struct {
	name   string
	layers func(rng *rand.Rand) []Layer
	build  func(b *Builder, l []Layer) *Map
	define func(f reference, l []Layer, x images) images
}

var gradientNets = []gradientNet{
	{"strided 3x3 and a subsampled shortcut", func(rng *rand.Rand) []Layer {
		return []Layer{drawLayer(rng, "stem", 5, 3, 3, 1), drawLayer(rng, "a", 9, 5, 3, 2), drawLayer(rng, "b", 9, 9, 3, 1), drawLayer(rng, "head", 4, 9, 1, 1)}
	}, func(b *Builder, l []Layer) *Map {
		in := b.Pack(1)
		x := b.Stem(&in, l[0], false, 1)
		x = b.ConvAddSubsampled(b.Conv(x, l[1], ReLU, 1), l[2], ReLU, 0, x, 2)
		return b.Head(b.AveragePool("pool", x, 1), l[3])
	}, func(f reference, l []Layer, x images) images {
		x = f.conv(x, l[0], ReLU, nil)
		x = f.conv(f.conv(x, l[1], ReLU, nil), l[2], ReLU, subsampled(x, 9, 2))
		return f.conv(averaged(x), l[3], None, nil)
	}},
	{"identity shortcuts over Winograd", func(rng *rand.Rand) []Layer {
		return []Layer{drawLayer(rng, "stem", 16, 3, 3, 1), drawLayer(rng, "a", 17, 16, 3, 1), drawLayer(rng, "b", 16, 17, 3, 1), drawLayer(rng, "head", 4, 16, 1, 1)}
	}, func(b *Builder, l []Layer) *Map {
		in := b.Pack(1)
		x := b.Stem(&in, l[0], false, 1)
		x = b.ConvAdd(b.Conv(x, l[1], ReLU, 1), l[2], ReLU, 1, x)
		return b.Head(b.AveragePool("pool", x, 1), l[3])
	}, func(f reference, l []Layer, x images) images {
		x = f.conv(x, l[0], ReLU, nil)
		x = f.conv(f.conv(x, l[1], ReLU, nil), l[2], ReLU, &x)
		return f.conv(averaged(x), l[3], None, nil)
	}},
	{"bottleneck with a strided projection after max pooling", func(rng *rand.Rand) []Layer {
		return []Layer{drawLayer(rng, "stem", 6, 3, 7, 2), drawLayer(rng, "projection", 8, 6, 1, 2), drawLayer(rng, "a", 5, 6, 1, 1),
			drawLayer(rng, "b", 7, 5, 3, 2), drawLayer(rng, "c", 8, 7, 1, 1), drawLayer(rng, "d", 3, 8, 1, 1), drawLayer(rng, "head", 4, 3, 1, 1)}
	}, func(b *Builder, l []Layer) *Map {
		in := b.Pack(3)
		x := b.Stem(&in, l[0], true, 0)
		skip := b.Conv(x, l[1], None, 0)
		x = b.ConvAdd(b.Conv(b.Conv(x, l[2], ReLU, 1), l[3], ReLU, 0), l[4], ReLU, 0, skip)
		return b.Head(b.AveragePool("pool", b.Conv(x, l[5], ReLU, 0), 1), l[6])
	}, func(f reference, l []Layer, x images) images {
		x = maxPool(f.conv(x, l[0], ReLU, nil))
		skip := f.conv(x, l[1], None, nil)
		x = f.conv(f.conv(f.conv(x, l[2], ReLU, nil), l[3], ReLU, nil), l[4], ReLU, &skip)
		return f.conv(averaged(f.conv(x, l[5], ReLU, nil)), l[6], None, nil)
	}},
}

// differentiate compiles the network with the given component groups.
func (g gradientNet) differentiate(t *testing.T, set *kernel.Set, size, side int, l []Layer, masked []string) *Program {
	t.Helper()
	keys := map[string]bool{}
	for _, k := range masked {
		keys[k] = true
	}
	b := NewBuilder(set, false, size, 3, side, side, keys)
	b.Differentiate()
	p, err := b.Compile(g.build(b, l))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Close()
	})
	return p
}

// soften draws keep values: a third uniform, a tenth 0, the rest 1. All but the kept ones are wanted, and a few of these.
func soften(rng *rand.Rand, keep []float32, wanted []bool) {
	for c := range keep {
		keep[c] = 1
		switch u := rng.Float64(); {
		case u < .35:
			keep[c] = rng.Float32()
		case u < .5:
			keep[c] = 0
		}
		wanted[c] = keep[c] != 1 || rng.IntN(4) == 0
		if keep[c] == 0 && rng.IntN(3) == 0 {
			wanted[c] = false
		}
	}
}

// runGradient differentiates Σ logits·weights, the same weights [classes] for each example.
func runGradient(t *testing.T, p *Program, weights []float32) []float32 {
	t.Helper()
	logits, err := p.RunGradient(func(logits, d []float32) error {
		for i := range d {
			d[i] = weights[i%len(weights)]
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(logits)
}

func TestKeepGradientsAreThoseOfTheDefinition(t *testing.T) {
	eachSet(t, func(t *testing.T, set *kernel.Set, _ *rand.Rand) {
		rng := rand.New(rand.NewPCG(1, 7)) // one seed: others come upon ReLUs that round to the other side of zero
		for _, net := range gradientNets {
			for _, c := range []struct{ size, side int }{{1, 9}, {3, 12}, {8, 7}} {
				l := net.layers(rng)
				masked := []string{}
				for _, l := range l {
					if l.Key != "projection" || c.size == 3 {
						masked = append(masked, l.Key)
					}
				}
				m := drawImages(rng, c.size, 3, c.side, c.side)
				p := net.differentiate(t, set, c.size, c.side, l, masked)
				load(p, m)
				weights := normals(rng, 4, 1)
				for range 2 {
					checkKeepGradients(t, fmt.Sprintf("%s, batch %d, side %d", net.name, c.size, c.side), net, p, l, masked, m, weights, rng)
				}
			}
		}
	})
}

// checkKeepGradients draws a row and compares every derivative with a difference quotient of the definition.
func checkKeepGradients(t *testing.T, what string, net gradientNet, p *Program, l []Layer, masked []string, m images, weights []float32, rng *rand.Rand) {
	t.Helper()
	f := reference{map[string][]float64{}}
	for _, key := range masked {
		soften(rng, p.Keep(key), p.Wanted(key))
		for _, k := range p.Keep(key) {
			f.keep[key] = append(f.keep[key], float64(k))
		}
	}
	near(t, what, runGradient(t, p, weights), net.define(f, l, m).x)
	value := func() []float64 {
		y := make([]float64, m.n)
		for i, v := range net.define(f, l, m).x {
			y[i/len(weights)] += v * float64(weights[i%len(weights)])
		}
		return y
	}
	here := value()
	for _, key := range masked {
		got, rows := p.KeepGradient(key), len(f.keep[key])
		for c := range rows {
			if !p.Wanted(key)[c] {
				for n := range m.n {
					if got[n*rows+c] != 0 {
						t.Fatalf("%s: %s %d was not wanted, its derivative is %g", what, key, c, got[n*rows+c])
					}
				}
				continue
			}
			if rng.IntN(5) > 0 { // the definition is slow
				continue
			}
			const step = 1e-6
			at := f.keep[key][c]
			f.keep[key][c] = at + step
			above := value()
			f.keep[key][c] = at
			if key == "stem" && at == 0 && l[0].Kernel == 7 {
				continue // the max pooling meets equal values, and there is no derivative
			}
			for n := range m.n {
				want := (above[n] - here[n]) / step
				if d := math.Abs(float64(got[n*rows+c]) - want); !(d <= 1e-4*(1+math.Abs(want))) {
					t.Fatalf("%s: %s %d (keep %g), example %d: derivative %g, difference quotient %g", what, key, c, at, n, got[n*rows+c], want)
				}
			}
		}
	}
}
