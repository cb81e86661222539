package nn

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"coar/internal/kernel"
)

// A sum takes its summand's memory, where gradients run too, unless somebody reads that later or the convolution itself reads it as its input.
func TestSumsTakeTheirSummandsPlace(t *testing.T) {
	eachSet(t, func(t *testing.T, set *kernel.Set, rng *rand.Rand) {
		for _, channels := range []int{5, 16} { // directly, and by Winograd's algorithm
			for _, size := range []int{4, 16} {
				for k, how := range []string{"last reader", "read again", "its own input", "last reader", "read again", "its own input"} {
					gradients := k >= 3
					m := drawImages(rng, size, 2, 9, 9)
					var ls [4]Layer
					for i := range ls {
						ls[i] = drawLayer(rng, fmt.Sprintf("%d.weight", i), channels, channels, 3, 1)
					}
					first := drawLayer(rng, "first.weight", channels, 2, 3, 1)
					var builder *Builder
					var skip, sum *Map
					p := compile(t, set, size, 2, 9, 9, []string{ls[2].Key}, func(b *Builder) *Map {
						if gradients {
							b.Differentiate()
						}
						in := b.Pack(1)
						builder, skip = b, b.Conv(b.Conv(&in, first, None, 1), ls[0], ReLU, 1)
						x := b.Conv(skip, ls[1], ReLU, 1)
						if how == "its own input" {
							skip = x
						}
						sum = b.ConvAdd(x, ls[2], ReLU, 1, skip)
						if how == "read again" {
							return b.ConvAdd(sum, ls[3], None, 1, skip)
						}
						return b.Conv(sum, ls[3], None, 1)
					})
					load(p, m)
					keep := drawKeep(rng, p.Keep(ls[2].Key))
					lifted := convolve(m, first, nil)
					s := activate(convolve(lifted, ls[0], nil), ReLU)
					x := activate(convolve(s, ls[1], nil), ReLU)
					if how == "its own input" {
						s = x
					}
					y := activate(plus(convolve(x, ls[2], keep), s), ReLU)
					want := convolve(y, ls[3], nil)
					if how == "read again" {
						want = plus(want, s)
					}
					what := fmt.Sprintf("%d channels, batch %d, gradients %v, %s", channels, size, gradients, how)
					within(t, what, run(t, p), want.x, 1e-4) // of five convolutions; what another op overwrote is off by 1
					inPlace := &builder.ops[sum.node].memory()[0] == &builder.ops[skip.node].memory()[0]
					if inPlace != (how == "last reader") {
						t.Errorf("%s: in place is %v", what, inPlace)
					}
				}
			}
		}
	})
}

// plus is the sum, in a copy.
func plus(a, b images) images {
	out := newImages(a.n, a.c, a.h, a.w)
	for i := range out.x {
		out.x[i] = a.x[i] + b.x[i]
	}
	return out
}
