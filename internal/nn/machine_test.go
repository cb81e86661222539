package nn

import (
	"math/rand/v2"
	"slices"
	"testing"

	G "gorgonia.org/gorgonia"
)

// A graph run by gorgonia's own machine yields the same bits.
func TestMachineAgreesWithGorgonias(t *testing.T) {
	rng := rand.New(rand.NewPCG(20, 1))
	first, second, third := drawLayer(rng, "a", 6, 3, 3, 1), drawLayer(rng, "b", 6, 6, 3, 1), drawLayer(rng, "c", 4, 6, 1, 2)
	b := NewBuilder(detect(t), false, 2, 3, 8, 8, map[string]bool{"b": true, "c": true})
	x := b.Pack(1)
	y := b.Conv(&x, first, ReLU, 1)
	z := b.Conv(b.ConvAdd(y, second, ReLU, 0, y), third, None, 0)
	z = b.AveragePool("pool", z, z.H)
	p, err := b.Compile(z)
	if err != nil {
		t.Fatal(err)
	}
	load(p, drawImages(rng, 2, 3, 8, 8))
	copy(p.Keep("b"), []float32{1, 1, 0, .5, 1, 0})
	copy(p.Keep("c"), []float32{1, 0, .5, 1})
	want := run(t, p)
	clear(p.logits)
	vm := G.NewTapeMachine(b.graph)
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(p.logits, want) {
		t.Errorf("gorgonia's machine computes %v, ours %v", p.logits, want)
	}
}
