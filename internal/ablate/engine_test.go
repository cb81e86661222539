package ablate

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"coar/internal/margin"
)

// sampled fills rows of an Each from a sampler.
func sampled(r int, dst []float32) {
	keep := make([]byte, len(dst))
	sampler.Row(r, keep)
	for c, k := range keep {
		dst[c] = float32(k)
	}
}

var sampler = Sampler{Seed: 3, Purpose: Train, Fraction: 0.3}

// each returns the logits [nRows, n, classes] and fails unless every row and example is visited exactly once.
func each(t *testing.T, e *Engine, ex Examples, nRows int, rows Rows) []float32 {
	t.Helper()
	all := make([]float32, nRows*ex.Len()*tinyClasses)
	visits := make([]int, nRows*ex.Len())
	var mu sync.Mutex
	err := e.Each(t.Context(), ex, nRows, rows, func(row, example int, logits []float32) error {
		mu.Lock()
		defer mu.Unlock()
		visits[row*ex.Len()+example]++
		if len(logits) != tinyClasses {
			return fmt.Errorf("%d logits", len(logits))
		}
		copy(all[(row*ex.Len()+example)*tinyClasses:], logits)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range visits {
		if v != 1 {
			t.Fatalf("row %d, example %d visited %d times", i/ex.Len(), i%ex.Len(), v)
		}
	}
	return all
}

// The promise that makes a resumed run equal an uninterrupted one, whatever the machine's number of processors.
func TestLogitsDependOnNeitherWorkersNorBatch(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	w, ex := drawTiny(rng), drawPictures(rng, 9)
	const nRows = 7
	want := each(t, start(t, w, 1, 1), ex, nRows, sampled)
	if slices.Equal(want[:tinyClasses], want[len(want)-tinyClasses:]) {
		t.Error("first and last row give one result")
	}
	for workers := 1; workers <= 3; workers++ {
		for _, batch := range []int{0, 1, 4, 8, 16} {
			e := start(t, w, workers, batch)
			for range 2 { // the second time on compiled programs that hold other images
				if got := each(t, e, ex, nRows, sampled); !slices.Equal(got, want) {
					t.Fatalf("%d workers, batch %d: logits differ from those of one worker, one by one", workers, batch)
				}
			}
		}
	}
}

// Ablating a component is zeroing its row in the checkpoint, through all layers. The layer after the first one may add
// in another order.
func TestAblatingEqualsZeroingInTheCheckpoint(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 1))
	w, ex := drawTiny(rng), drawPictures(rng, 3)
	e := start(t, w, 1, 4)
	kept := func(_ int, dst []float32) {
		for c := range dst {
			dst[c] = 1
		}
	}
	for c := range tinyComponents {
		group := e.Model.Groups[c/tinyPlanes]
		edited := tiny{map[string][]float32{}}
		for k, v := range w.tensors {
			edited.tensors[k] = slices.Clone(v)
		}
		row := len(w.tensors[group.Key]) / group.Rows
		clear(edited.tensors[group.Key][c%tinyPlanes*row:][:row])
		want := each(t, start(t, edited, 1, 4), ex, 1, kept)
		got := each(t, e, ex, 1, func(r int, dst []float32) {
			kept(r, dst)
			dst[c] = 0
		})
		if !slices.EqualFunc(got, want, func(a, b float32) bool { return math.Abs(float64(a-b)) <= 2e-6*(1+math.Abs(float64(b))) }) {
			t.Errorf("component %d of %s: ablated %v, zeroed %v", c, group.Key, got, want)
		}
	}
}

func TestLogitsThatAreNotFiniteAreRefused(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 1))
	w, ex := drawTiny(rng), make(pictures, 6)
	for i := range ex {
		ex[i] = make([]float32, 3*32*32)
	}
	for i := range ex[4] {
		ex[4][i] = 100
	}
	for i := range 27 { // the first filter overflows on images that are not black, as long as it is kept
		w.tensors["conv1.weight"][i] = 3e38
	}
	w.tensors["bn1.weight"][0] = 1
	for _, workers := range []int{1, 3} {
		err := start(t, w, workers, 4).Each(t.Context(), ex, 8, func(r int, dst []float32) {
			for c := range dst {
				dst[c] = 1
			}
			if r != 5 {
				dst[0] = 0
			}
		}, func(row, example int, logits []float32) error {
			for _, v := range logits {
				if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
					t.Errorf("row %d, example %d was visited with %v", row, example, logits)
				}
			}
			return nil
		})
		if err == nil || !strings.Contains(err.Error(), "row 5, example 4:") {
			t.Errorf("want an error that names row 5 and example 4, got %v", err)
		}
	}
}

func TestEachStops(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 1))
	w, ex := drawTiny(rng), drawPictures(rng, 20)
	errVisit, errImage := errors.New("no visit"), errors.New("no image")
	for _, workers := range []int{1, 3} {
		const batch = 4
		e := start(t, w, workers, batch)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var visits, after atomic.Int64
		err := e.Each(ctx, ex, 1000, sampled, func(int, int, []float32) error {
			if ctx.Err() != nil {
				after.Add(1)
			}
			if visits.Add(1) == 30 {
				cancel()
			}
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		if after.Load() > int64(workers*batch) {
			t.Errorf("%d visits after the cancellation; at most the batch in hand of each of %d workers should finish", after.Load(), workers)
		}
		if err := e.Each(ctx, ex, 10, sampled, func(int, int, []float32) error { return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled before the start: %v", err)
		}
		if err := e.Each(t.Context(), ex, 10, sampled, func(row, _ int, _ []float32) error {
			if row == 3 {
				return errVisit
			}
			return nil
		}); !errors.Is(err, errVisit) {
			t.Errorf("the visit failed: %v", err)
		}
		if err := e.Each(t.Context(), unreadable{ex, errImage}, 10, sampled, func(int, int, []float32) error { return nil }); !errors.Is(err, errImage) {
			t.Errorf("the image failed: %v", err)
		}
		each(t, e, ex[:3], 2, sampled) // still works
	}
}

// unreadable are pictures the seventh of which cannot be read.
type unreadable struct {
	pictures
	err error
}

func (u unreadable) Image(i int, dst []float32) error {
	if i == 6 {
		return u.err
	}
	return u.pictures.Image(i, dst)
}

func TestMeasureCommitsEveryRowOnce(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 5))
	w, ex := drawTiny(rng), drawPictures(rng, 5)
	const nRows = 12
	out, err := margin.Parse("logodds")
	if err != nil {
		t.Fatal(err)
	}
	logits := each(t, start(t, w, 1, 1), ex, nRows, sampled)
	todo := []int{0, 1, 2, 4, 5, 9, 11}
	for workers := 1; workers <= 3; workers++ {
		for _, batch := range []int{1, 4, 8, 16} {
			var mu sync.Mutex
			var done []int
			err := start(t, w, workers, batch).Measure(t.Context(), ex, out, todo, func(r int, keep []byte) error {
				sampler.Row(r, keep)
				return nil
			}, func(first int, keep []byte, margins []float32) error {
				mu.Lock()
				defer mu.Unlock()
				if len(keep)/tinyComponents*len(ex) != len(margins) {
					return fmt.Errorf("%d keep values with %d margins", len(keep), len(margins))
				}
				row := make([]byte, tinyComponents)
				for r := range len(keep) / tinyComponents {
					done = append(done, first+r)
					if sampler.Row(first+r, row); !slices.Equal(row, keep[r*tinyComponents:(r+1)*tinyComponents]) {
						t.Errorf("row %d was committed with another row's keep values", first+r)
					}
					for i := range ex {
						want := out.Of(logits[((first+r)*len(ex)+i)*tinyClasses:][:tinyClasses], ex.Label(i))
						if got := margins[r*len(ex)+i]; got != want {
							t.Errorf("%d workers, batch %d: row %d, example %d: margin %g, want exactly %g", workers, batch, first+r, i, got, want)
						}
					}
				}
				return nil
			})
			if slices.Sort(done); err != nil || !slices.Equal(done, todo) {
				t.Fatalf("%d workers, batch %d: rows %v committed of %v, error %v", workers, batch, done, todo, err)
			}
		}
	}
}

func TestMeasureReportsErrors(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 1))
	e, ex := start(t, drawTiny(rng), 2, 4), drawPictures(rng, 2)
	errRow, errCommit := errors.New("no row"), errors.New("no commit")
	todo := []int{7, 8, 9}
	rows := func(r int, keep []byte) error {
		sampler.Row(r, keep)
		return nil
	}
	commit := func(int, []byte, []float32) error { return nil }
	if err := e.Measure(t.Context(), ex, margin.Output{}, todo, func(r int, _ []byte) error { return errRow }, commit); !errors.Is(err, errRow) || !strings.Contains(err.Error(), "row") {
		t.Errorf("the row failed: %v", err)
	}
	if err := e.Measure(t.Context(), ex, margin.Output{}, todo, rows, func(int, []byte, []float32) error { return errCommit }); !errors.Is(err, errCommit) {
		t.Errorf("the commit failed: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Measure(ctx, ex, margin.Output{}, todo, rows, func(first int, _ []byte, _ []float32) error {
		t.Errorf("row %d committed after the cancellation", first)
		return nil
	}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := e.Measure(t.Context(), ex, margin.Output{}, nil, rows, commit); err != nil {
		t.Errorf("nothing to do: %v", err)
	}
}
