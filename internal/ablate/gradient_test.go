package ablate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"coar/internal/kernel"
	"coar/internal/margin"
	"coar/internal/models"
)

// softened draws keep values from a seed: a fifth of them uniform and wanted, the rest 1; hard zeros are wanted now and then.
func softened(seed uint64) GradientRows {
	return func(r int, keep []float32, wanted []bool) {
		rng := rand.New(rand.NewPCG(seed, uint64(r)))
		for c := range keep {
			keep[c], wanted[c] = 1, false
			switch u := rng.Float64(); {
			case u < .2:
				keep[c], wanted[c] = rng.Float32(), true
			case u < .25:
				keep[c], wanted[c] = 0, u < .225
			}
		}
	}
}

// measured is what EachGradient reported: margins [row][example], gradients [row][example][p].
type measured struct {
	margins   [][]float32
	gradients [][][]float32
}

func eachGradient(t *testing.T, e *Engine, ex Examples, nRows int, rows GradientRows, out margin.Output) measured {
	t.Helper()
	var m measured
	for range nRows {
		m.margins = append(m.margins, make([]float32, ex.Len()))
		m.gradients = append(m.gradients, make([][]float32, ex.Len()))
	}
	next := make([]int, ex.Len())
	var mu sync.Mutex
	err := e.EachGradient(t.Context(), ex, nRows, rows, out, func(row, example int, margin float32, gradient []float32) error {
		mu.Lock()
		defer mu.Unlock()
		if row != next[example] {
			return fmt.Errorf("example %d: row %d was visited, %d is next", example, row, next[example])
		}
		next[example]++
		m.margins[row][example], m.gradients[row][example] = margin, slices.Clone(gradient)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range next {
		if n != nRows {
			t.Fatalf("example %d: %d rows of %d were visited", i, n, nRows)
		}
	}
	return m
}

func TestGradientsDoNotDependOnWorkersOrBatch(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 1))
	w, ex := drawTiny(rng), drawPictures(rng, 11)
	const nRows = 7
	want := eachGradient(t, start(t, w, 1, 1), ex, nRows, softened(3), margin.Output{})
	for _, c := range [][2]int{{1, 16}, {2, 0}, {4, 16}, {3, 3}, {2, 4}, {1, 7}} {
		got := eachGradient(t, start(t, w, c[0], c[1]), ex, nRows, softened(3), margin.Output{})
		for r := range nRows {
			if !slices.Equal(got.margins[r], want.margins[r]) {
				t.Errorf("%d workers, batches of %d: margins of row %d are %v, want %v", c[0], c[1], r, got.margins[r], want.margins[r])
			}
			for i := range ex {
				if !slices.Equal(got.gradients[r][i], want.gradients[r][i]) {
					t.Errorf("%d workers, batches of %d: row %d, example %d has another gradient", c[0], c[1], r, i)
				}
			}
		}
	}
}

func TestGradientsAreZeroWhereNotWantedAndOtherwiseTheSame(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 1))
	w, ex := drawTiny(rng), drawPictures(rng, 3)
	e := start(t, w, 1, 0)
	all := eachGradient(t, e, ex, 2, func(r int, keep []float32, wanted []bool) {
		softened(8)(r, keep, wanted)
		for c := range wanted {
			wanted[c] = true
		}
	}, margin.Output{})
	some := eachGradient(t, e, ex, 2, softened(8), margin.Output{})
	keep, wanted := make([]float32, tinyComponents), make([]bool, tinyComponents)
	for r := range 2 {
		softened(8)(r, keep, wanted)
		for i := range ex {
			for c, g := range some.gradients[r][i] {
				switch full := all.gradients[r][i][c]; {
				case !wanted[c] && g != 0:
					t.Errorf("row %d, example %d: derivative %g by component %d was not wanted", r, i, g, c)
				case wanted[c] && math.Abs(float64(g-full)) > 1e-4*(1e-1+math.Abs(float64(full))):
					t.Errorf("row %d, example %d, component %d (keep %g): %g, with all wanted %g", r, i, c, keep[c], g, full)
				}
			}
		}
	}
}

// The tiny network is linear in a keep value between the points where a ReLU's argument changes sign; a central difference
// over a small step meets few of them.
func TestGradientsAreFiniteDifferences(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 1))
	w, ex := drawTiny(rng), drawPictures(rng, 2)
	e := start(t, w, 1, 0)
	const step = 1e-3
	for _, name := range []string{"margin", "logodds", "logit", "logit:2"} {
		out, err := margin.Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		g := eachGradient(t, e, ex, 1, softened(4), out)
		keep, wanted := make([]float32, tinyComponents), make([]bool, tinyComponents)
		softened(4)(0, keep, wanted)
		differences := eachGradient(t, e, ex, 2*tinyComponents, func(r int, k []float32, wanted []bool) {
			copy(k, keep)
			k[r/2] += float32(2*(r%2)-1) * step
			clear(wanted)
		}, out)
		for c := range keep {
			if !wanted[c] {
				continue
			}
			for i := range ex {
				want := float64(differences.margins[2*c+1][i]-differences.margins[2*c][i]) / (2 * step)
				if got := float64(g.gradients[0][i][c]); math.Abs(got-want) > .02*(.3+math.Abs(want)) {
					t.Errorf("%s, example %d, component %d (keep %g): derivative %g, difference quotient %g", name, i, c, keep[c], got, want)
				}
			}
		}
	}
}

func TestMemoryBoundsGradientPrograms(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 1))
	w, ex := drawTiny(rng), drawPictures(rng, 16)
	free := start(t, w, 2, 0)
	want := eachGradient(t, free, ex, 1, softened(2), margin.Output{})
	held := func(e *Engine) (n int64) {
		for _, w := range e.workers {
			for _, programs := range []map[int]*models.Program{w.programs, w.gradients} {
				for _, p := range programs {
					n += p.Bytes()
				}
			}
		}
		return n
	}
	bounded := start(t, w, 2, 0)
	bounded.Memory = held(free) / 2
	for range 2 {
		got := eachGradient(t, bounded, ex, 1, softened(2), margin.Output{})
		if n := held(bounded); n > bounded.Memory {
			t.Errorf("the programs take %d bytes, %d are allowed", n, bounded.Memory)
		}
		if !slices.Equal(got.margins[0], want.margins[0]) {
			t.Error("a bound on memory changed the margins")
		}
		err := bounded.Each(t.Context(), ex, 1, AllKept, func(int, int, []float32) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		if n := held(bounded); n > bounded.Memory {
			t.Errorf("after forward rows the programs take %d bytes, %d are allowed", n, bounded.Memory)
		}
	}
}

// A bfloat16 engine differentiates in float32.
func TestGradientsAreFloat32(t *testing.T) {
	rng := rand.New(rand.NewPCG(10, 1))
	w, ex := drawTiny(rng), drawPictures(rng, 2)
	e := start(t, w, 1, 0)
	want := eachGradient(t, e, ex, 1, softened(2), margin.Output{})
	for _, set := range kernel.Available() {
		if set.Name == e.Set.Name && set.BF16() {
			half := start(t, w, 1, 0)
			half.BF16 = true
			if got := eachGradient(t, half, ex, 1, softened(2), margin.Output{}); !slices.Equal(got.gradients[0][0], want.gradients[0][0]) {
				t.Error("with bfloat16 the gradient is another")
			}
		}
	}
}

// Rows that were visited before are left out, each example's own number of them, and the others say the same.
func TestGradientsAfterSomeRows(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 1))
	w, ex := drawTiny(rng), drawPictures(rng, 9)
	const nRows = 6
	want := eachGradient(t, start(t, w, 1, 0), ex, nRows, softened(3), margin.Output{})
	done := []int{0, 3, 5, 6, 6, 6, 2, 6, 1}
	for _, c := range [][2]int{{1, 0}, {2, 3}, {3, 1}} {
		var mu sync.Mutex
		next := slices.Clone(done)
		err := start(t, w, c[0], c[1]).EachGradientAfter(t.Context(), done, ex, nRows, softened(3), margin.Output{}, func(row, example int, margin float32, gradient []float32) error {
			mu.Lock()
			defer mu.Unlock()
			if row != next[example] {
				return fmt.Errorf("example %d: row %d was visited, %d is next", example, row, next[example])
			}
			next[example]++
			if margin != want.margins[row][example] || !slices.Equal(gradient, want.gradients[row][example]) {
				return fmt.Errorf("example %d, row %d: other values", example, row)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if slices.Min(next) != nRows || slices.Max(next) != nRows {
			t.Errorf("%d workers, batches of %d: up to rows %v were visited", c[0], c[1], next)
		}
	}
}
