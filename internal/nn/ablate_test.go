package nn

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"coar/internal/kernel"
)

// ablation is a network of one layer whose rows are components, run by itself or with the weights scaled instead.
type ablation struct {
	set *kernel.Set
	l   Layer
	m   images
}

func drawAblation(set *kernel.Set, rng *rand.Rand) ablation {
	return ablation{set, drawLayer(rng, "conv.weight", 13, 4, 3, 1), drawImages(rng, 5, 4, 9, 9)}
}

func (a ablation) program(t *testing.T, masked bool) *Program {
	var keys []string
	if masked {
		keys = []string{a.l.Key}
	}
	p := compile(t, a.set, a.m.n, a.m.c, a.m.h, a.m.w, keys, func(b *Builder) *Map {
		in := b.Pack(1)
		return b.Conv(&in, a.l, None, 0)
	})
	load(p, a.m)
	return p
}

func TestKeepingEverythingChangesNothing(t *testing.T) {
	eachSet(t, func(t *testing.T, set *kernel.Set, rng *rand.Rand) {
		a := drawAblation(set, rng)
		p, plain := a.program(t, true), a.program(t, false)
		if plain.Keep(a.l.Key) != nil {
			t.Error("a layer that is no component group has a keep vector")
		}
		same(t, "all kept", run(t, p), run(t, plain))
	})
}

func TestAblatingARowIsZeroingItsWeights(t *testing.T) {
	eachSet(t, func(t *testing.T, set *kernel.Set, rng *rand.Rand) {
		a := drawAblation(set, rng)
		p, per := a.program(t, true), a.l.In*a.l.Kernel*a.l.Kernel
		for range 5 {
			edited := a
			edited.l.Weight = append([]float32(nil), a.l.Weight...)
			for r := range p.Keep(a.l.Key) {
				k := float32(rng.IntN(2))
				p.Keep(a.l.Key)[r] = k
				if k == 0 {
					clear(edited.l.Weight[r*per : (r+1)*per])
				}
			}
			same(t, "ablated", run(t, p), run(t, edited.program(t, false)))
		}
	})
}

// The output before the activation is linear in keep: out(k) = out(0) + k·(out(1) − out(0)).
func TestKeepScalesARow(t *testing.T) {
	eachSet(t, func(t *testing.T, set *kernel.Set, rng *rand.Rand) {
		a := drawAblation(set, rng)
		p := a.program(t, true)
		at := func(k float32) []float32 {
			copy(p.Keep(a.l.Key), filled(a.l.Out, k))
			return run(t, p)
		}
		zero, one := at(0), at(1)
		for _, k := range []float32{0.25, 0.5, 0.9, 1e-3} {
			want := make([]float64, len(zero))
			for i := range want {
				want[i] = float64(zero[i]) + float64(k)*(float64(one[i])-float64(zero[i]))
			}
			near(t, fmt.Sprint("keep ", k), at(k), want)
		}
	})
}

// An ablated row is skipped, not multiplied: what it would have read need not even be finite.
func TestAblatedRowsAreNotComputed(t *testing.T) {
	eachSet(t, func(t *testing.T, set *kernel.Set, rng *rand.Rand) {
		a := drawAblation(set, rng)
		per := a.l.In * a.l.Kernel * a.l.Kernel
		a.l.Weight[3*per] = 3e38
		a.l.Weight[3*per+1] = 3e38
		for i := range a.m.x {
			a.m.x[i] = 10
		}
		p := a.program(t, true)
		p.Keep(a.l.Key)[3] = 0
		want := convolve(a.m, a.l, p.Keep(a.l.Key)).x
		got, positions := run(t, p), a.m.h*a.m.w
		for n := range a.m.n {
			for i, v := range got[(n*a.l.Out+3)*positions:][:positions] {
				if w := want[(n*a.l.Out+3)*positions+i]; float64(v) != w {
					t.Fatalf("example %d, position %d of the ablated row is %g, want its shift %g", n, i, v, w)
				}
			}
		}
	})
}

// Examples do not see each other: each one's result is the same, bit for bit, alone, in company, and beside leftovers.
func TestExamplesAreIndependent(t *testing.T) {
	eachSet(t, func(t *testing.T, set *kernel.Set, rng *rand.Rand) {
		const c, side, n = 3, 9, 5
		m := drawImages(rng, n, c, side, side)
		first, second := drawLayer(rng, "a.weight", 7, c, 3, 1), drawLayer(rng, "b.weight", 5, 7, 3, 2)
		build := func(b *Builder) *Map {
			in := b.Pack(1)
			return b.Conv(b.Stem(&in, first, false, 1), second, ReLU, 0)
		}
		var alone []float32
		one := compile(t, set, 1, c, side, side, nil, build)
		for i := range n {
			load(one, images{1, c, side, side, m.x[i*c*side*side:][:c*side*side]})
			alone = append(alone, run(t, one)...)
		}
		for _, size := range []int{5, 8, 16} {
			p := compile(t, set, size, c, side, side, nil, build)
			load(p, m)
			same(t, fmt.Sprintf("five of %d examples, the others zero", size), run(t, p)[:len(alone)], alone)
			load(p, drawImages(rng, size, c, side, side))
			run(t, p)
			load(p, m)
			same(t, fmt.Sprintf("five of %d examples, the others left over", size), run(t, p)[:len(alone)], alone)
		}
	})
}
