package models

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"coar/internal/checkpoint"
	"coar/internal/kernel"
	"coar/internal/margin"
)

// golden is a file of testdata/margins: what PyTorch computes for a network whose tensors come from a formula.
// testdata/oracle/golden_margins.py writes them.
type golden struct {
	Arch     string
	Heads    int
	Side     int
	Fraction float64
	Labels   []int
	Groups   []Group
	Margins  [][]float64
	Tensors  []struct {
		Key   string
		Shape []int
	}
}

func readGolden(t testing.TB, name string) golden {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "testdata", "margins", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(b, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

// draw repeats the script's draw: n numbers in [-1, 1), a pure function of the name.
func draw(name string, n int) []float32 {
	h := uint64(0xcbf29ce484222325)
	for _, c := range []byte(name) {
		h = (h ^ uint64(c)) * 0x100000001b3
	}
	x := make([]float32, n)
	for i := range x {
		z := h + uint64(i+1)*0x9e3779b97f4a7c15
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		z ^= z >> 31
		x[i] = float32(float64(z>>40)/(1<<23) - 1)
	}
	return x
}

// weight repeats the script's weight.
func weight(key string, shape []int) []float32 {
	n, fan := 1, 1
	for i, d := range shape {
		n *= d
		if i > 0 {
			fan *= d
		}
	}
	u := draw(key, n)
	scale, shift := float32(.1), float32(0)
	switch {
	case filepath.Ext(key) == ".running_var":
		scale, shift = .5, 1
	case len(shape) > 1:
		scale = float32(math.Sqrt(3 / float64(fan)))
	case filepath.Ext(key) == ".weight":
		shift = 1
	}
	for i := range u {
		u[i] = u[i]*scale + shift
	}
	return u
}

// formula is a golden's tensors as a checkpoint.
type formula struct{ g golden }

func (f formula) Path() string { return "formula" }

func (f formula) Keys() []string {
	var keys []string
	for _, t := range f.g.Tensors {
		keys = append(keys, t.Key)
	}
	return keys
}

func (f formula) Shape(key string) ([]int, bool) {
	for _, t := range f.g.Tensors {
		if t.Key == key {
			return t.Shape, true
		}
	}
	return nil, false
}

func (f formula) Bind(wants []checkpoint.Want) (map[string][]float32, error) {
	bound := map[string][]float32{}
	for _, w := range wants {
		shape, ok := f.Shape(w.Key)
		if !ok || !slices.Equal(shape, w.Shape) {
			return nil, fmt.Errorf("%s: the model wants shape %v, PyTorch has %v", w.Key, w.Shape, shape)
		}
		bound[w.Key] = weight(w.Key, shape)
	}
	if len(bound) != len(f.g.Tensors) {
		return nil, fmt.Errorf("the model wants %d tensors, PyTorch has %d", len(bound), len(f.g.Tensors))
	}
	return bound, nil
}

func openGolden(t testing.TB, g golden) *Model {
	t.Helper()
	m, err := Open(formula{g}, Options{Heads: g.Heads})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMarginsAgreeWithPyTorch(t *testing.T) {
	const tolerance = 1e-3 // of a margin, in logits
	files, err := filepath.Glob(filepath.Join("..", "..", "testdata", "margins", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatal("no golden margins", err)
	}
	set, err := kernel.Detect(false)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := filepath.Base(file[:len(file)-len(".json")])
		t.Run(name, func(t *testing.T) {
			g := readGolden(t, name)
			slow := set.Name == "portable" && (g.Side == 224 || name == "mini_resnet_256")
			if testing.Short() || slow && os.Getenv("COAR_SLOW") == "" {
				t.Skip("minutes with portable kernels; COAR_SLOW=1 runs it")
			}
			worst := checkGolden(t, set, false, g)
			t.Logf("%s: largest difference %.2g", set.Name, worst)
			if worst > tolerance {
				t.Errorf("margins differ from PyTorch's by up to %g", worst)
			}
		})
	}
}

// checkGolden runs every row at several batch sizes, the first one again at the end, and returns the largest difference from the golden margins.
func checkGolden(t *testing.T, set *kernel.Set, bf16 bool, g golden) float64 {
	m := openGolden(t, g)
	if len(m.Groups) != len(g.Groups) {
		t.Fatalf("%d component groups, PyTorch has %d", len(m.Groups), len(g.Groups))
	}
	for i := range g.Groups {
		if m.Groups[i] != g.Groups[i] {
			t.Fatalf("group %d is %v, PyTorch has %v", i, m.Groups[i], g.Groups[i])
		}
	}
	n, p, size := len(g.Labels), m.Components(), 3*g.Side*g.Side
	images := draw("images", n*size)
	u := draw("keep", len(g.Margins)*p)
	worst := 0.0
	for _, batch := range []int{1, 2, 4, 8, 16} {
		if batch > 1 && batch/2 >= n {
			break
		}
		prog, err := m.NewProgram(Build{Set: set, BF16: bf16, Batch: batch, Height: g.Side, Width: g.Side})
		if err != nil {
			t.Fatal(err)
		}
		keep := make([]float32, p)
		for first := 0; first < n; first += batch {
			count := min(batch, n-first)
			clear(prog.Images())
			for i, v := range images[first*size : (first+count)*size] {
				prog.Images()[i] = 2 * v
			}
			prog.Load()
			var before []float32 // of row 0
			for i := range len(g.Margins) + 1 {
				r := i % len(g.Margins) // row 0 once more at the end: rows leave nothing behind
				for c := range keep {
					keep[c] = 0
					if float64(u[r*p+c]) >= 2*g.Fraction-1 {
						keep[c] = 1
					}
				}
				prog.SetKeep(keep)
				logits, err := prog.Run()
				if err != nil {
					t.Fatal(err)
				}
				switch i {
				case 0:
					before = slices.Clone(logits)
				case len(g.Margins):
					if !slices.Equal(logits, before) {
						t.Errorf("%s, bfloat16 %t, batch %d: row 0 has other logits after other rows", set.Name, bf16, batch)
					}
				}
				for i := range count {
					got := margin.Output{}.Of(logits[i*m.Classes:(i+1)*m.Classes], g.Labels[first+i])
					worst = max(worst, math.Abs(float64(got)-g.Margins[r][first+i]))
				}
			}
		}
		prog.Close()
	}
	return worst
}
