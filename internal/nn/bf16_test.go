package nn

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"coar/internal/kernel"
)

// eachBF16Set runs the test on every instruction set that has bfloat16.
func eachBF16Set(t *testing.T, test func(t *testing.T, set *kernel.Set, rng *rand.Rand)) {
	each(t, kernel.AvailableBF16(), test)
}

// compileBF16 is compile for a program in bfloat16.
func compileBF16(t *testing.T, set *kernel.Set, m images, masked []string, build func(*Builder) *Map) *Program {
	t.Helper()
	keys := map[string]bool{}
	for _, k := range masked {
		keys[k] = true
	}
	b := NewBuilder(set, true, m.n, m.c, m.h, m.w, keys)
	out := build(b)
	if out.H > 1 || out.Cells {
		out = b.AveragePool("flatten", out, out.H)
	}
	p, err := b.Compile(out)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	load(p, m)
	return p
}

// bf16Of rounds every value to bfloat16, as a program does with what a layer reads.
func bf16Of(m images) images {
	out := newImages(m.n, m.c, m.h, m.w)
	for i, v := range m.x {
		even, _ := kernel.Halves(kernel.Cell(float32(v), 0))
		out.x[i] = float64(even)
	}
	return out
}

func bf16Layer(l Layer) Layer {
	w := make([]float32, len(l.Weight))
	for i, v := range l.Weight {
		w[i], _ = kernel.Halves(kernel.Cell(v, 0))
	}
	l.Weight = w
	return l
}

// closeTo fails where got is further from want than some roundings to bfloat16 of a value of want's size plus floor.
func closeTo(t *testing.T, what string, got []float32, want []float64, roundings, floor float64) {
	t.Helper()
	for i, w := range want {
		if d := math.Abs(float64(got[i]) - w); !(d <= roundings*0x1p-8*(floor+math.Abs(w))) {
			t.Fatalf("%s: value %d is %g, want %g", what, i, got[i], w)
		}
	}
}

// With inputs and weights rounded beforehand, only the rounding of the result is left: sums are float32.
func TestBF16ConvRoundsOnlyItsResult(t *testing.T) {
	eachBF16Set(t, func(t *testing.T, set *kernel.Set, rng *rand.Rand) {
		for _, c := range []struct{ kernel, stride, side int }{{1, 1, 7}, {3, 1, 9}, {3, 2, 14}, {1, 2, 14}} {
			for _, size := range []int{1, 3, 8, 16} {
				for _, in := range []int{3, 8} { // an odd number of channels leaves half a cell
					l := bf16Layer(drawLayer(rng, "conv.weight", 5+rng.IntN(9), in, c.kernel, c.stride))
					m := bf16Of(drawImages(rng, size, in, c.side, c.side))
					act := Activation(rng.IntN(3))
					p := compileBF16(t, set, m, []string{l.Key}, func(b *Builder) *Map {
						x := b.Pack(l.Pad)
						x.frozen = false // otherwise the layer would be computed once, in float32
						return b.Conv(&x, l, act, rng.IntN(2))
					})
					keep := drawKeep(rng, p.Keep(l.Key))
					closeTo(t, fmt.Sprintf("%+v, batch %d, %d channels, activation %d", c, size, in, act), run(t, p), activate(convolve(m, l, keep), act).x, 1.01+float64(act/GELU), 0.05+0.5*float64(act/GELU))
				}
			}
		}
	})
}

// Blocks of rows and groups of channels of every kind that a matrix unit cuts a layer into.
func TestBF16ConvOfManyChannelsMatchesDefinition(t *testing.T) {
	eachBF16Set(t, func(t *testing.T, set *kernel.Set, rng *rand.Rand) {
		for _, c := range []struct{ kernel, stride, in, out, size int }{
			{3, 1, 33, 16, 3}, {3, 2, 64, 17, 16}, {1, 1, 70, 32, 5}, {1, 2, 67, 48, 16}, {1, 1, 96, 69, 2}, {3, 1, 40, 64, 1},
		} {
			l := bf16Layer(drawLayer(rng, "conv.weight", c.out, c.in, c.kernel, c.stride))
			m := bf16Of(drawImages(rng, c.size, c.in, 6, 6))
			p := compileBF16(t, set, m, []string{l.Key}, func(b *Builder) *Map {
				x := b.Pack(l.Pad)
				x.frozen = false
				return b.Conv(&x, l, ReLU, rng.IntN(2))
			})
			for range 2 {
				keep := drawKeep(rng, p.Keep(l.Key))
				closeTo(t, fmt.Sprintf("%+v", c), run(t, p), activate(convolve(m, l, keep), ReLU).x, 1.01, 0.1)
			}
		}
	})
}

// A convolution computed directly and by Winograd's algorithm, what is added to it in cells, rows ablated at random.
func TestBF16ConvAddMatchesDefinition(t *testing.T) {
	eachBF16Set(t, func(t *testing.T, set *kernel.Set, rng *rand.Rand) {
		for _, channels := range []int{6, winogradMinChannelsBF16 + 3} {
			for _, size := range []int{1, 5, 16} {
				const side, out = 8, 7
				wide, skip := bf16Layer(drawLayer(rng, "a.weight", channels, 4, 1, 1)), bf16Layer(drawLayer(rng, "s.weight", out, 4, 1, 1))
				l := bf16Layer(drawLayer(rng, "b.weight", out, channels, 3, 1))
				if winogradFits(l, Plane{H: side, W: side, Cells: true}) != (channels > 100) {
					t.Fatal("the case does not test what it means to")
				}
				m := bf16Of(drawImages(rng, size, 4, side, side))
				p := compileBF16(t, set, m, []string{wide.Key, l.Key}, func(b *Builder) *Map {
					x := b.Pack(1)
					x.frozen = false
					return b.ConvAdd(b.Conv(&x, wide, ReLU, 1), l, ReLU, 1, b.Conv(&x, skip, ReLU, 1))
				})
				added := bf16Of(activate(convolve(m, skip, nil), ReLU))
				for range 2 {
					hidden := bf16Of(activate(convolve(m, wide, drawKeep(rng, p.Keep(wide.Key))), ReLU))
					want := convolve(hidden, l, drawKeep(rng, p.Keep(l.Key)))
					for i, v := range added.x {
						want.x[i] += v
					}
					// Sums that fall on an edge between two roundings may go either way in the hidden map and in what is
					// added: the result then differs by more than its own rounding.
					closeTo(t, fmt.Sprintf("%d channels, batch %d", channels, size), run(t, p), activate(want, ReLU).x, 2.5, 0.5)
				}
			}
		}
	})
}

func TestBF16ResultsDependOnNoBatch(t *testing.T) {
	eachBF16Set(t, func(t *testing.T, set *kernel.Set, rng *rand.Rand) {
		const channels, side, n = winogradMinChannelsBF16, 8, 3
		m := drawImages(rng, n, 3, side, side)
		stem, l, last := drawLayer(rng, "s.weight", channels, 3, 3, 1), drawLayer(rng, "a.weight", 9, channels, 3, 1), drawLayer(rng, "b.weight", 5, 9, 3, 2)
		build := func(b *Builder) *Map {
			in := b.Pack(1)
			return b.Conv(b.Conv(b.Stem(&in, stem, false, 1), l, ReLU, 1), last, ReLU, 0)
		}
		var alone []float32
		for i := range n {
			alone = append(alone, run(t, compileBF16(t, set, images{1, 3, side, side, m.x[i*3*side*side:][:3*side*side]}, nil, build))...)
		}
		for _, size := range []int{4, 16} {
			padded := newImages(size, 3, side, side)
			copy(padded.x, m.x)
			same(t, fmt.Sprintf("batch %d", size), run(t, compileBF16(t, set, padded, nil, build))[:len(alone)], alone)
		}
	})
}

// Heads of even and odd width, of one step and several, with all tokens attending or the class token alone.
func TestBF16AttentionMatchesDefinition(t *testing.T) {
	eachBF16Set(t, func(t *testing.T, set *kernel.Set, rng *rand.Rand) {
		for _, c := range []struct {
			side, dim, heads, size int
			all                    bool
		}{{12, 9, 3, 2, true}, {24, 64, 2, 3, true}, {28, 80, 1, 1, true}, {48, 70, 2, 2, true}, {28, 64, 1, 9, false}, {12, 33, 1, 2, false}} {
			const patch = 4
			tokens := c.side / patch * c.side / patch
			patches := drawLayer(rng, "conv_proj.weight", c.dim, 3, patch, patch)
			patches.Pad, patches.Scale = 0, nil
			class, pos := normals(rng, c.dim, 1), normals(rng, c.dim*(tokens+1), 1)
			qkv := drawLayer(rng, "in_proj_weight", 3*c.dim, c.dim, 1, 1)
			qkv.Scale = nil
			same := Layer{Key: "identity", Weight: make([]float32, c.dim*c.dim), Out: c.dim, In: c.dim, Kernel: 1, Stride: 1}
			for i := range c.dim {
				same.Weight[i*c.dim+i] = 1
			}
			m := drawImages(rng, c.size, 3, c.side, c.side)
			p := compileBF16(t, set, m, nil, func(b *Builder) *Map {
				x, n := b.Embed(patches, class, pos)
				x = b.Conv(x, qkv, None, 0)
				if c.all {
					return b.ClassTokens(b.Conv(b.Attention("attention", x, n, n, c.heads), same, None, 0), n)
				}
				return b.Conv(b.Attention("attention", x, n, 1, c.heads), same, None, 0)
			})
			want := newImages(c.size, c.dim, 1, 1)
			for n, y := range embedReference(m, patches, class, pos).linear(qkv, nil).attend(c.heads) {
				copy(want.x[c.dim*n:], y[0])
			}
			closeTo(t, fmt.Sprintf("%+v", c), run(t, p), want.x, 20, 0.5) // scores of ten and more are rounded too
		}
	})
}
