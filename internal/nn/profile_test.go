package nn

import (
	"math/rand/v2"
	"testing"
)

func TestProfileCountsTheKeptRowsAndChangesNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 5))
	stem, l := drawLayer(rng, "conv1.weight", 6, 3, 3, 1), drawLayer(rng, "conv2.weight", 8, 6, 3, 2)
	m := drawImages(rng, 3, 3, 14, 14) // examples that fill no vector, so that stride 2 reads a copy split by parity
	program := func(p *Profile) *Program {
		prog := compile(t, detect(t), m.n, m.c, m.h, m.w, []string{stem.Key, l.Key}, func(b *Builder) *Map {
			b.Profile(p)
			in := b.Pack(1)
			return b.AveragePool("pool", b.Conv(b.Stem(&in, stem, false, 1), l, ReLU, 0), 1)
		})
		load(prog, m)
		for i := range prog.Keep(l.Key) {
			prog.Keep(l.Key)[i] = []float32{1, 0, 0.5}[i%3] // 3 of 8 rows are ablated
		}
		return prog
	}
	var profile Profile
	watched := program(&profile)
	same(t, "profiled", run(t, watched), run(t, program(nil)))

	flops := func() map[string]float64 {
		all := map[string]float64{}
		for _, op := range profile.Ops() {
			all[op.Class] = op.Flops
		}
		return all
	}
	const stemFlops = 2 * 6 * 3 * 3 * 3 * 14 * 14 * 3
	if got := flops()["stem"]; got != stemFlops {
		t.Errorf("the stem's first run: %g flops, want %d", got, stemFlops)
	}
	profile.Reset()
	run(t, watched)
	run(t, watched)
	const convFlops = 2 * 5 * 6 * 3 * 3 * 7 * 7 * 3
	for class, want := range map[string]float64{"pack": 0, "stem": 0, "split by parity": 0, "conv 3x3 /2 to 7x7": convFlops, "average pool": 0, "logits": 0} {
		if got, ok := flops()[class]; !ok || got != want {
			t.Errorf("%s: %g flops, want %g; measured were %v", class, got, want, flops())
		}
	}
	for _, op := range profile.Ops() {
		if len(op.Times) != 2 {
			t.Errorf("%s ran %d times since the reset, want 2", op.Name, len(op.Times))
		}
	}
}
