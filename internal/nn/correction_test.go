package nn

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"coar/internal/kernel"
)

// The layer after a stem is right whatever rows came before, and whether they ablate few or many of the stem's channels;
// its results do not depend on what else is in the batch.
func TestLayerAfterStemMatchesDefinition(t *testing.T) {
	eachSet(t, func(t *testing.T, set *kernel.Set, rng *rand.Rand) {
		for _, c := range stemCases[:4] {
			for _, side := range []int{1, 3} {
				for _, channels := range []int{8, 20} { // directly, and by Winograd's algorithm where side is 3
					act := Activation(rng.IntN(2))
					first, l := drawLayer(rng, "conv1.weight", channels, 3, c.kernel, c.stride), drawLayer(rng, "conv2.weight", 18, channels, side, 1)
					program := func(size int) *Program {
						return compile(t, set, size, 3, c.side, c.side, []string{first.Key, l.Key}, func(b *Builder) *Map {
							in := b.Pack(first.Pad)
							y := b.Conv(b.Stem(&in, first, c.pool, 1), l, act, 0)
							if b.ops[y.node].(*conv).after == nil {
								t.Fatal("the layer is not corrected")
							}
							return y
						})
					}
					p, alone := program(c.size), program(1)
					for range 2 {
						m := drawImages(rng, c.size, 3, c.side, c.side)
						load(p, m)
						load(alone, images{1, 3, c.side, c.side, m.x[:len(m.x)/c.size]})
						for row := range 8 {
							ablated := []int{0, 1, channels / 4, channels}[row%4]
							for _, q := range []*Program{p, alone} {
								drawFew(rand.New(rand.NewPCG(uint64(row), 1)), q.Keep(first.Key), ablated, float32(row/4)/2)
								drawFew(rand.New(rand.NewPCG(uint64(row), 2)), q.Keep(l.Key), row, 0)
							}
							if row == 5 {
								p.Keep(l.Key)[3], alone.Keep(l.Key)[3] = .25, .25
							}
							x := c.want(m, first, p.Keep(first.Key))
							h := int(math.Sqrt(float64(len(x) / c.size / channels)))
							stem := images{c.size, channels, h, h, x}
							what := fmt.Sprintf("%s, then kernel %d of %d channels, row %d", c, side, channels, row)
							got := run(t, p)
							near(t, what, got, activate(convolve(stem, l, p.Keep(l.Key)), act).x)
							one := run(t, alone)
							same(t, what+", first example", got[:len(one)], one)
						}
					}
				}
			}
		}
	})
}

// drawFew sets n random keep values to v, the others to 1.
func drawFew(rng *rand.Rand, keep []float32, n int, v float32) {
	copy(keep, filled(len(keep), 1))
	for _, c := range rng.Perm(len(keep))[:n] {
		keep[c] = v
	}
}

// Where the intact stem overflows, rows that ablate the channels at fault are finite and right.
func TestLayerAfterOverflowingStem(t *testing.T) {
	eachSet(t, func(t *testing.T, set *kernel.Set, rng *rand.Rand) {
		const channels, side = 16, 9
		first, l := drawLayer(rng, "conv1.weight", channels, 3, 3, 1), drawLayer(rng, "conv2.weight", 18, channels, 3, 1)
		m := drawImages(rng, 4, 3, side, side)
		p := compile(t, set, 4, 3, side, side, []string{first.Key}, func(b *Builder) *Map {
			in := b.Pack(1)
			return b.Conv(b.Stem(&in, first, false, 1), l, ReLU, 0)
		})
		for i := range 27 {
			first.Weight[i] = 3e38
		}
		first.Scale[0] = 1e30
		load(p, m)
		keep := p.Keep(first.Key)
		keep[0] = 0
		got := run(t, p)
		clear(first.Weight[:27])
		near(t, "ablated", got, activate(convolve(activate(convolve(m, first, nil), ReLU), l, nil), ReLU).x)
	})
}
