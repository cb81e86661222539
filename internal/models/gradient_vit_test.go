package models

import (
	"math"
	"strings"
	"testing"

	"coar/internal/kernel"
)

// differentiable opens a program with gradients and loads a few pictures.
func differentiable(t *testing.T, m *Model, g golden, batch int) *Program {
	t.Helper()
	set, err := kernel.Detect(false)
	if err != nil {
		t.Fatal(err)
	}
	prog, err := m.NewProgram(Build{Set: set, Batch: batch, Height: g.Side, Width: g.Side, Gradients: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { prog.Close() })
	copy(prog.Images(), draw("images", len(prog.Images())))
	prog.Load()
	return prog
}

// The derivative by a keep value of the head is what its row adds to the logit.
func TestKeepGradientsOfATransformersHead(t *testing.T) {
	g := readGolden(t, "vit_small")
	m, err := Open(formula{g}, Options{Heads: g.Heads, Include: []string{"*"}})
	if err != nil {
		t.Fatal(err)
	}
	const batch = 3
	prog, p := differentiable(t, m, g, batch), m.Components()
	keep, wanted := keepRow(0, 1, p, .1), make([]bool, p)
	for c := range wanted {
		wanted[c] = true
	}
	prog.SetKeep(keep)
	prog.SetWanted(wanted)
	logits, err := prog.RunGradient(func(_, d []float32) error {
		for i := range d {
			d[i] = 1
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	bias, got := weight("heads.head.bias", []int{m.Classes}), make([]float32, p)
	for i := range batch {
		prog.KeepGradients(i, got)
		for k := range m.Classes {
			c := p - m.Classes + k
			want := float64(logits[i*m.Classes+k] - bias[k])
			if d := float64(got[c]) * float64(keep[c]); math.Abs(d-want) > 1e-5 {
				t.Errorf("example %d, class %d: the row adds %g, its derivative says %g", i, k, want, d)
			}
		}
	}
}

// In a transformer of one block the class token's way past the block is known before any keep value.
func TestKeepGradientsOfASingleBlock(t *testing.T) {
	g := readGolden(t, "vit_small")
	all := g.Tensors
	g.Tensors = nil
	for _, x := range all {
		if !strings.HasPrefix(x.Key, "encoder.layers.") || strings.HasPrefix(x.Key, "encoder.layers.encoder_layer_0.") {
			g.Tensors = append(g.Tensors, x)
		}
	}
	m := openGolden(t, g)
	labels := []int{3, 1, 4}
	prog, p := differentiable(t, m, g, len(labels)), m.Components()
	keep, direction, wanted := keepRow(0, 1, p, .1), draw("direction", p), make([]bool, p)
	for c := range wanted {
		wanted[c] = true
	}
	prog.SetWanted(wanted)
	const h = 1e-3
	moved := func(by float32) []float32 {
		k := make([]float32, p)
		for c := range k {
			k[c] = keep[c] + by*direction[c]
		}
		return k
	}
	up, _ := gradients(t, prog, moved(h), labels)
	down, _ := gradients(t, prog, moved(-h), labels)
	_, grads := gradients(t, prog, keep, labels)
	for i, g := range grads {
		got, want := 0.0, float64(up[i]-down[i])/(2*h)
		for c, v := range g {
			got += float64(v) * float64(direction[c])
		}
		if math.Abs(got-want) > 5e-3*(1+math.Abs(want)) {
			t.Errorf("example %d: derivative %g along a direction, differences give %g", i, got, want)
		}
	}
}
