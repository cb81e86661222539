package ablate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"coar/internal/checkpoint"
	"coar/internal/kernel"
	"coar/internal/models"
)

// tiny is a mini ResNet of 16 planes and one block, held in memory: 48 components in three groups.
type tiny struct{ tensors map[string][]float32 }

const (
	tinyPlanes     = 16
	tinyClasses    = 4
	tinyComponents = 3 * tinyPlanes
)

func drawTiny(rng *rand.Rand) tiny {
	w := tiny{map[string][]float32{}}
	for _, key := range w.Keys() {
		shape, _ := w.Shape(key)
		n, fan := 1, 1
		for i, d := range shape {
			n *= d
			if i > 0 {
				fan *= d
			}
		}
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(rng.NormFloat64() / math.Sqrt(float64(fan)))
			if len(shape) == 1 { // of a norm; variances must be positive
				x[i] = 0.5 + rng.Float32()
			}
		}
		w.tensors[key] = x
	}
	return w
}

func (tiny) Path() string { return "tiny" }

func (tiny) Keys() []string {
	keys := []string{"linear.weight", "linear.bias"}
	for _, at := range [][2]string{{"", "1"}, {"layer.0.", "1"}, {"layer.0.", "2"}} {
		keys = append(keys, at[0]+"conv"+at[1]+".weight")
		for _, n := range []string{"weight", "bias", "running_mean", "running_var"} {
			keys = append(keys, at[0]+"bn"+at[1]+"."+n)
		}
	}
	return keys
}

func (w tiny) Shape(key string) ([]int, bool) {
	if !slices.Contains(w.Keys(), key) {
		return nil, false
	}
	switch key {
	case "conv1.weight":
		return []int{tinyPlanes, 3, 3, 3}, true
	case "layer.0.conv1.weight", "layer.0.conv2.weight":
		return []int{tinyPlanes, tinyPlanes, 3, 3}, true
	case "linear.weight":
		return []int{tinyClasses, 16 * tinyPlanes}, true
	case "linear.bias":
		return []int{tinyClasses}, true
	}
	return []int{tinyPlanes}, true
}

func (w tiny) Bind(wants []checkpoint.Want) (map[string][]float32, error) {
	bound := map[string][]float32{}
	for _, want := range wants {
		if w.tensors[want.Key] == nil {
			return nil, fmt.Errorf("no tensor %s", want.Key)
		}
		bound[want.Key] = w.tensors[want.Key]
	}
	return bound, nil
}

// pictures are examples in memory.
type pictures [][]float32

func drawPictures(rng *rand.Rand, n int) pictures {
	p := make(pictures, n)
	for i := range p {
		p[i] = make([]float32, 3*32*32)
		for j := range p[i] {
			p[i][j] = float32(rng.NormFloat64())
		}
	}
	return p
}

func (p pictures) Len() int             { return len(p) }
func (p pictures) Label(i int) int      { return i % tinyClasses }
func (p pictures) Shape() (c, h, w int) { return 3, 32, 32 }

func (p pictures) Image(i int, dst []float32) error {
	copy(dst, p[i])
	return nil
}

// start returns an engine on w, closed at the end of the test.
func start(t *testing.T, w tiny, workers, batch int) *Engine {
	t.Helper()
	m, err := models.Open(w, models.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if m.Components() != tinyComponents {
		t.Fatalf("%d components, want %d", m.Components(), tinyComponents)
	}
	set, err := kernel.Detect(false)
	if err != nil {
		t.Fatal(err)
	}
	e := &Engine{Model: m, Set: set, Workers: workers, Batch: batch}
	t.Cleanup(func() {
		e.Close()
	})
	return e
}
