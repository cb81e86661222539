package models

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"coar/internal/kernel"
	"coar/internal/margin"
)

// goldenGradients is a file of testdata/gradients: derivatives of margins by keep values, of the network of the golden
// margins that has its name. testdata/oracle/golden_gradients.py writes them.
type goldenGradients struct {
	Labels    []int
	Step      int
	Margins   [][]float64   // [rows][examples]
	Norms     [][]float64   // of all p derivatives
	Gradients [][][]float64 // every Step-th, from the row's number on
}

func readGradients(t testing.TB, name string) goldenGradients {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "testdata", "gradients", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var g goldenGradients
	if err := json.Unmarshal(b, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

// keepRow repeats the script's rows: softened where r is even, hard where it is odd.
func keepRow(r, rows, p int, fraction float64) []float32 {
	u, level := draw("keep", rows*p)[r*p:], draw("level", rows*p)[r*p:]
	keep := make([]float32, p)
	for c := range keep {
		keep[c] = 1
		switch {
		case r%2 == 0 && float64(u[c]) < 4*fraction-1:
			keep[c] = (level[c] + 1) / 2
		case r%2 == 1 && float64(u[c]) < 2*fraction-1:
			keep[c] = 0
		}
	}
	return keep
}

// gradients runs one row over the loaded examples and returns the margins and all keep gradients of each example.
func gradients(t testing.TB, prog *Program, keep []float32, labels []int) (margins []float32, grads [][]float32) {
	t.Helper()
	prog.SetKeep(keep)
	classes := len(prog.Images())
	_, err := prog.RunGradient(func(logits, d []float32) error {
		classes = len(logits) / prog.Size()
		clear(d)
		for i, label := range labels {
			l := logits[i*classes : (i+1)*classes]
			margins = append(margins, margin.Output{}.Of(l, label))
			margin.Output{}.Gradient(l, label, d[i*classes:(i+1)*classes])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range labels {
		g := make([]float32, len(keep))
		prog.KeepGradients(i, g)
		grads = append(grads, g)
	}
	return margins, grads
}

func TestKeepGradientsAgreeWithPyTorch(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "testdata", "gradients", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatal("no golden gradients", err)
	}
	set, err := kernel.Detect(false)
	if err != nil {
		t.Fatal(err)
	}
	count, flipped := 0, 0
	for _, file := range files {
		name := filepath.Base(file[:len(file)-len(".json")])
		t.Run(name, func(t *testing.T) {
			net, want := readGolden(t, name), readGradients(t, name)
			skipSlow(t, set, net)
			m := openGolden(t, net)
			n, p, size := len(want.Labels), m.Components(), 3*net.Side*net.Side
			prog, err := m.NewProgram(Build{Set: set, Batch: n, Height: net.Side, Width: net.Side, Gradients: true})
			if err != nil {
				t.Fatal(err)
			}
			defer prog.Close()
			for i, v := range draw("images", n*size) {
				prog.Images()[i] = 2 * v
			}
			prog.Load()
			wanted := make([]bool, p)
			for c := range wanted {
				wanted[c] = true
			}
			prog.SetWanted(wanted)
			for r := range want.Margins {
				margins, grads := gradients(t, prog, keepRow(r, len(want.Margins), p, net.Fraction), want.Labels)
				for i, g := range grads {
					count++
					if !checkGradient(t, r, i, margins[i], g, want) {
						flipped++
					}
				}
			}
		})
	}
	if 20*flipped > count {
		t.Errorf("%d of %d gradients are off by more than rounding", flipped, count)
	}
}

// skipSlow skips a network that takes portable kernels minutes.
func skipSlow(t *testing.T, set *kernel.Set, net golden) {
	t.Helper()
	big := net.Side > 32
	if big && testing.Short() || big && set.Name == "portable" && os.Getenv("COAR_SLOW") == "" {
		t.Skip("minutes with portable kernels; COAR_SLOW=1 runs it")
	}
}

// checkGradient says whether a gradient is PyTorch's up to rounding. It may differ by more, but not by much, where rounding
// takes the argument of a ReLU to the other side of zero.
func checkGradient(t *testing.T, r, i int, got float32, g []float32, want goldenGradients) bool {
	t.Helper()
	const rounding, flip = 1e-4, 2e-2
	if d := math.Abs(float64(got) - want.Margins[r][i]); d > 1e-3 {
		t.Errorf("row %d, example %d: margin %g, PyTorch has %g", r, i, got, want.Margins[r][i])
	}
	var norm, off, all float64
	for k, w := range want.Gradients[r][i] {
		d := float64(g[r+k*want.Step]) - w
		off += d * d
		norm += w * w
	}
	for _, v := range g {
		all += float64(v) * float64(v)
	}
	difference := max(math.Sqrt(off/norm), math.Abs(math.Sqrt(all)/want.Norms[r][i]-1))
	t.Logf("row %d, example %d: relative difference %.2g", r, i, difference)
	if !(difference < flip) {
		t.Errorf("row %d, example %d: relative difference %g", r, i, difference)
	}
	return difference < rounding
}

// Beside which examples another is computed changes no bit of its gradient.
func TestKeepGradientsDoNotDependOnTheBatch(t *testing.T) {
	set, err := kernel.Detect(false)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"resnet20_28", "resnet18_64", "vit_small", "vit_28"} {
		t.Run(name, func(t *testing.T) { checkBatches(t, set, name) })
	}
}

func checkBatches(t *testing.T, set *kernel.Set, name string) {
	net := readGolden(t, name)
	skipSlow(t, set, net)
	m := openGolden(t, net)
	const n = 5
	size, p := 3*net.Side*net.Side, m.Components()
	images, keep := draw("images", n*size), keepRow(0, 1, p, net.Fraction)
	wanted := make([]bool, p)
	for c := range wanted {
		wanted[c] = keep[c] != 1
	}
	var first [][]float32
	for _, batch := range []int{8, 1, 2, 5} {
		prog, err := m.NewProgram(Build{Set: set, Batch: batch, Height: net.Side, Width: net.Side, Gradients: true})
		if err != nil {
			t.Fatal(err)
		}
		var grads [][]float32
		for at := 0; at < n; at += batch {
			count := min(batch, n-at)
			copy(prog.Images(), images[at*size:(at+count)*size])
			prog.Load()
			prog.SetWanted(wanted)
			_, g := gradients(t, prog, keep, make([]int, count))
			grads = append(grads, g...)
		}
		if first == nil {
			first = grads
		}
		for i := range grads {
			if !slices.Equal(grads[i], first[i]) {
				t.Errorf("%s: in batches of %d, example %d has another gradient", name, batch, i)
			}
		}
		prog.Close()
	}
}

// Asking for fewer derivatives changes those that are asked for by no more than rounding, at soft values as at 0 and 1.
func TestKeepGradientsOfWantedRowsAlone(t *testing.T) {
	set, err := kernel.Detect(false)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"resnet20_28", "vit_small", "vit_28"} {
		net := readGolden(t, name)
		m := openGolden(t, net)
		p, labels := m.Components(), []int{3, 1}
		prog, err := m.NewProgram(Build{Set: set, Batch: len(labels), Height: net.Side, Width: net.Side, Gradients: true})
		if err != nil {
			t.Fatal(err)
		}
		copy(prog.Images(), draw("images", len(prog.Images())))
		prog.Load()
		all, some := make([]bool, p), make([]bool, p)
		u := draw("wanted", p)
		for c := range all {
			all[c], some[c] = true, u[c] < -.6
		}
		for r := range 2 {
			keep := keepRow(r, 2, p, .1)
			prog.SetWanted(all)
			_, want := gradients(t, prog, keep, labels)
			prog.SetWanted(some)
			_, got := gradients(t, prog, keep, labels)
			for i := range labels {
				var off, norm float64
				for c, v := range got[i] {
					if !some[c] {
						if v != 0 {
							t.Fatalf("%s: component %d has the derivative %g, which nobody wanted", name, c, v)
						}
						continue
					}
					off += float64(v-want[i][c]) * float64(v-want[i][c])
					norm += float64(v) * float64(v)
				}
				if !(math.Sqrt(off) <= 2e-5*math.Sqrt(norm)) {
					t.Errorf("%s, row %d, example %d: relative difference %g", name, r, i, math.Sqrt(off/norm))
				}
			}
		}
		prog.Close()
	}
}
