package nn

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"coar/internal/kernel"
)

// Maps of whole and of broken tiles, examples in whole and in broken vectors, borders wider than the layer needs.
func TestWinogradMatchesDefinition(t *testing.T) {
	eachSet(t, func(t *testing.T, set *kernel.Set, rng *rand.Rand) {
		for _, side := range []int{2, 4, 7, 8, 14, 17} {
			for _, size := range []int{1, 2, 3, 4, 8, 16, 32} {
				if side*side*size > 2000 {
					continue
				}
				l := drawLayer(rng, "conv.weight", 1+rng.IntN(11), winogradMinChannels+rng.IntN(4), 3, 1)
				if !winogradFits(l, Plane{}) {
					t.Fatal("the layer is not computed by Winograd's algorithm")
				}
				act, pads := Activation(rng.IntN(3)), [2]int{1 + rng.IntN(2), rng.IntN(3)}
				first := drawLayer(rng, "first.weight", l.In, 2, 1, 1)
				m := drawImages(rng, size, 2, side, side)
				p := compile(t, set, size, 2, side, side, []string{l.Key}, func(b *Builder) *Map {
					in := b.Pack(0)
					return b.Conv(b.Conv(&in, first, None, pads[0]), l, act, pads[1])
				})
				load(p, m)
				keep := drawKeep(rng, p.Keep(l.Key))
				near(t, fmt.Sprintf("side %d, batch %d, borders %v", side, size, pads), run(t, p), activate(convolve(convolve(m, first, nil), l, keep), act).x)
			}
		}
	})
}

// The residual comes from a plane, or from every second position of one.
func TestWinogradAddsResiduals(t *testing.T) {
	eachSet(t, func(t *testing.T, set *kernel.Set, rng *rand.Rand) {
		for _, side := range []int{2, 7, 16} {
			for _, size := range []int{1, 4, 8, 16} {
				const in, out, shift = 16, 24, 4
				m := drawImages(rng, size, in, side, side)
				lift, half := drawLayer(rng, "lift.weight", in, in, 1, 1), drawLayer(rng, "half.weight", out, in, 3, 2)
				l, last := drawLayer(rng, "b.weight", out, out, 3, 1), drawLayer(rng, "c.weight", out, out, 3, 1)
				p := compile(t, set, size, in, side, side, []string{l.Key, last.Key}, func(b *Builder) *Map {
					x := b.Pack(1)
					skip := b.Conv(&x, lift, None, 1)
					y := b.ConvAddSubsampled(b.Conv(skip, half, ReLU, 1), l, ReLU, 1, skip, shift)
					return b.ConvAdd(y, last, ReLU, 0, y)
				})
				load(p, m)
				lifted := convolve(m, lift, nil)
				y := convolve(activate(convolve(lifted, half, nil), ReLU), l, drawKeep(rng, p.Keep(l.Key)))
				for i := range y.x {
					x, row := i%y.w, i/y.w%y.h
					c, n := i/y.w/y.h%y.c, i/y.w/y.h/y.c
					if c >= shift && c < shift+in {
						y.x[i] += lifted.at(n, c-shift, 2*row, 2*x)
					}
				}
				activate(y, ReLU)
				want := convolve(y, last, drawKeep(rng, p.Keep(last.Key)))
				for i, v := range y.x {
					want.x[i] += v
				}
				near(t, fmt.Sprintf("side %d, batch %d", side, size), run(t, p), activate(want, ReLU).x)
			}
		}
	})
}

// Filters that are ablated leave channels of one value, which the next layer does not read. The border makes that
// visible: it is zero, not the value.
func TestConstantChannelsAreFoldedExactly(t *testing.T) {
	eachSet(t, func(t *testing.T, set *kernel.Set, rng *rand.Rand) {
		for _, kernelSide := range []int{1, 3} {
			for _, act := range []Activation{None, ReLU, GELU} {
				const size, side, channels = 4, 9, 20
				m := drawImages(rng, size, 3, side, side)
				first, second := drawLayer(rng, "a.weight", channels, 3, 3, 2), drawLayer(rng, "b.weight", 7, channels, kernelSide, 1)
				p := compile(t, set, size, 3, side, side, []string{first.Key, second.Key}, func(b *Builder) *Map {
					in := b.Pack(1)
					return b.Conv(b.Conv(&in, first, act, second.Pad), second, None, 0)
				})
				load(p, m)
				for _, ablated := range []int{0, 1, 2, 3, 10, channels, 5} {
					keep := p.Keep(first.Key)
					for i, c := range rng.Perm(channels) {
						keep[c] = 1
						if i < ablated {
							keep[c] = 0
						}
					}
					want := convolve(activate(convolve(m, first, keep), act), second, drawKeep(rng, p.Keep(second.Key)))
					near(t, fmt.Sprintf("kernel %d, activation %d, %d ablated", kernelSide, act, ablated), run(t, p), want.x)
				}
			}
		}
	})
}
