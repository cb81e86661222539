package regress

import (
	"context"
	"errors"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"coar/internal/fault"
)

// every combination of method and solver.
var ways = []struct {
	method Method
	solver Solver
}{{Lasso, SolverGram}, {Lasso, SolverRows}, {Ridge, SolverGram}, {Ridge, SolverKernel}, {OLS, SolverGram}, {OLS, SolverKernel}}

func TestSolversAgree(t *testing.T) {
	for _, src := range []*synthetic{newSynthetic(500, 90, 9, 0.1, 1), newSynthetic(70, 130, 9, 0.3, 2)} {
		for i := 0; i < len(ways); i += 2 {
			opts := Options{Method: ways[i].method, Lambda: -1, ValFraction: 0.15}
			opts.solver = ways[i].solver
			a := mustFit(t, src, opts)
			opts.solver = ways[i+1].solver
			b := mustFit(t, src, opts)
			if a.NotConverged > 1 || b.NotConverged > 1 {
				t.Errorf("%s: %d and %d of %d examples ran out of sweeps", opts.Method, a.NotConverged, b.NotConverged, src.nExamples)
			}
			for e := range src.nExamples {
				if !a.Converged[e] || !b.Converged[e] {
					continue // λ far down the path of more components than rows; each says so
				}
				if math.Abs(a.Lambda[e]-b.Lambda[e]) > 1e-9*a.Lambda[e] {
					t.Fatalf("%s, example %d: λ %g by %s, %g by %s", opts.Method, e, a.Lambda[e], a.Solver, b.Lambda[e], b.Solver)
				}
				want := make([]float64, len(a.thetaOf(e)))
				for c, v := range a.thetaOf(e) {
					want[c] = float64(v)
				}
				if d := distance(b.thetaOf(e), want); d > 1e-4 {
					t.Errorf("%s, example %d: θ by %s and %s differ by %.1e", opts.Method, e, a.Solver, b.Solver, d)
				}
				va, vb := a.Result.Validation[e], b.Result.Validation[e]
				if math.Abs(va.MSE-vb.MSE) > 1e-3*va.MSE || math.Abs(va.Correlation-vb.Correlation) > 1e-3 {
					t.Errorf("%s, example %d: validation %+v by %s, %+v by %s", opts.Method, e, va, a.Solver, vb, b.Solver)
				}
			}
		}
	}
}

// Neither the number of workers nor the size of the blocks changes a bit.
func TestResultsDoNotDependOnWorkersOrMemory(t *testing.T) {
	src := newSynthetic(150, 75, 19, 0.1, 4)
	for _, way := range ways {
		opts := Options{Method: way.method, Lambda: -1, ValFraction: 0.1, Workers: 1, solver: way.solver}
		want := mustFit(t, src, opts)
		opts.Workers = 4
		compareBits(t, want, mustFit(t, src, opts))
		d, err := pack(context.Background(), src, splitRows(src.nRows, 0.1, 0))
		if err != nil {
			t.Fatal(err)
		}
		opts.PathLength = 50
		least := needs(d, way.solver, opts.Workers, opts)
		for _, examples := range []int64{1, 9} {
			opts.Memory = least.fixed + examples*least.perExample
			got := mustFit(t, src, opts)
			compareBits(t, want, got)
			if got.MemoryBytes > opts.Memory {
				t.Errorf("%s by %s: plans %d bytes of %d", way.method, way.solver, got.MemoryBytes, opts.Memory)
			}
		}
	}
}

func compareBits(t *testing.T, want, got outcome) {
	t.Helper()
	same := slices.Equal(want.Theta, got.Theta) && slices.Equal(want.Intercept, got.Intercept) && slices.Equal(want.Lambda, got.Lambda) &&
		slices.Equal(want.Gap, got.Gap) && slices.Equal(want.Sweeps, got.Sweeps) && slices.Equal(want.Result.Validation, got.Result.Validation)
	if !same {
		t.Errorf("%s by %s: results differ", want.Method, want.Solver)
	}
}

// What a fit allocates altogether, in one block, stays within the memory it plans for and a sixth for what gonum throws
// away.
func TestMemoryPlanCoversWhatIsAllocated(t *testing.T) {
	for _, src := range []*synthetic{newSynthetic(900, 200, 64, 0.1, 1), newSynthetic(200, 500, 16, 0.1, 2)} {
		for _, way := range ways {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			summary, err := Fit(context.Background(), src, Options{Method: way.method, Lambda: -1, ValFraction: 0.1, PathLength: 10, PathRatio: 0.1, Workers: 2, solver: way.solver},
				func(Result) error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			runtime.ReadMemStats(&after)
			if used := int64(after.TotalAlloc - before.TotalAlloc); used > summary.MemoryBytes*7/6+1<<20 {
				t.Errorf("%s by %s: %d bytes allocated, %d planned", way.method, way.solver, used, summary.MemoryBytes)
			}
		}
	}
}

func TestPredictionsAreCalibrated(t *testing.T) {
	src := newSynthetic(900, 100, 5, 0.1, 11)
	d := readPlain(t, src)
	got := mustFit(t, src, Options{Method: OLS, Lambda: -1, ValFraction: 0.1})
	for e := range src.nExamples {
		predicted := d.predict(got, e)
		var mp, my, pp, py float64
		for row, v := range predicted {
			mp += v / float64(d.m)
			my += d.y[row*d.n+e] / float64(d.m)
		}
		for row, v := range predicted {
			pp += (v - mp) * (v - mp)
			py += (v - mp) * (d.y[row*d.n+e] - my)
		}
		if slope := py / pp; math.Abs(slope-1) > 1e-5 || math.Abs(mp-my) > 1e-5 {
			t.Errorf("example %d: slope %g, mean %g predicted and %g measured", e, slope, mp, my)
		}
	}
}

func TestConstantsAreAttributedNothing(t *testing.T) {
	src := newSynthetic(120, 20, 4, 0.2, 12)
	for row := range src.nRows {
		src.keep[row*20+3] = 1
		src.keep[row*20+8] = 0
		src.margins[row*4+2] = 0.1
	}
	for _, way := range ways {
		got := mustFit(t, src, Options{Method: way.method, Lambda: -1, ValFraction: 0.1, solver: way.solver})
		if got.ConstantComponents != 2 || got.ConstantExamples != 1 || got.MinimumNorm {
			t.Errorf("%s by %s: %+v", way.method, way.solver, got.Summary)
		}
		for e := range src.nExamples {
			if theta := got.thetaOf(e); theta[3] != 0 || theta[8] != 0 {
				t.Errorf("%s by %s, example %d: constant components get %g and %g", way.method, way.solver, e, theta[3], theta[8])
			}
		}
		if got.NonZeros[2] != 0 || math.Abs(got.Intercept[2]-float64(float32(0.1))) > 1e-15 || got.Result.Validation[2].Defined {
			t.Errorf("%s by %s: constant example has %d attributions, intercept %v, %+v", way.method, way.solver, got.NonZeros[2], got.Intercept[2], got.Result.Validation[2])
		}
	}
}

// A component or a margin may vary in the rows held out alone.
func TestConstantInTheFittedRows(t *testing.T) {
	src := newSynthetic(60, 10, 2, 0.2, 13)
	s := splitRows(60, 0.1, 0)
	for row := range src.nRows {
		src.keep[row*10+4] = 1
		src.margins[row*2+1] = -2.3
	}
	src.keep[s.held[0]*10+4] = 0
	src.margins[s.held[1]*2+1] = 4
	for _, way := range ways {
		got := mustFit(t, src, Options{Method: way.method, Lambda: -1, ValFraction: 0.1, solver: way.solver})
		for _, v := range got.Theta {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				t.Fatalf("%s by %s: θ %v", way.method, way.solver, got.Theta)
			}
		}
		if way.method == Lasso && got.NonZeros[1] != 0 {
			t.Errorf("%s: %d attributions from rows that validation never saw vary", way.solver, got.NonZeros[1])
		}
	}
}

func TestSmallestStudies(t *testing.T) {
	for _, shape := range [][3]int{{4, 1, 1}, {5, 3, 2}, {4, 200, 9}, {70, 1, 1}} {
		for _, way := range ways {
			src := newSynthetic(shape[0], shape[1], shape[2], 0.4, 14)
			got := mustFit(t, src, Options{Method: way.method, Lambda: -1, ValFraction: 0.1, solver: way.solver})
			for _, v := range got.Intercept {
				if math.IsNaN(v) || math.IsInf(v, 0) {
					t.Errorf("%v, %s by %s: intercept %v", shape, way.method, way.solver, v)
				}
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	src := newSynthetic(50, 30, 3, 0.1, 15)
	broken := newSynthetic(50, 30, 3, 0.1, 15)
	broken.margins[17*3+2] = float32(math.NaN())
	for _, c := range []struct {
		name string
		src  Source
		opts Options
		kind fault.Kind
		says string
	}{
		{"method", src, Options{Method: "lars"}, fault.Usage, "lars"},
		{"nothing to choose by", src, Options{Lambda: -1}, fault.Usage, "--val-fraction 0"},
		{"lasso without penalty", src, Options{Lambda: 0, ValFraction: 0.1}, fault.Usage, "--method ols"},
		{"ols with penalty", src, Options{Method: OLS, Lambda: 1}, fault.Usage, "--lambda 1"},
		{"lambda", src, Options{Lambda: math.NaN()}, fault.Usage, "--lambda NaN"},
		{"path length", src, Options{Lambda: -1, ValFraction: 0.1, PathLength: -1}, fault.Usage, "--path-length"},
		{"path ratio", src, Options{Lambda: -1, ValFraction: 0.1, PathRatio: 2}, fault.Usage, "--path-ratio"},
		{"fraction", src, Options{Lambda: -1, ValFraction: 1}, fault.Usage, "--val-fraction 1"},
		{"memory", src, Options{Lambda: -1, ValFraction: 0.1, Memory: 1000}, fault.Usage, "--memory allows 1kB"},
		{"memory of the kernel", newSynthetic(400, 500, 3, 0.1, 1), Options{Method: Ridge, Lambda: -1, ValFraction: 0.1, Memory: 2e6, Workers: 2}, fault.Usage, "or --method lasso, which fits"},
		{"rows", newSynthetic(3, 30, 3, 0.1, 1), Options{Lambda: -1, ValFraction: 0.1}, fault.Missing, "3 completed rows"},
		{"not a number", broken, Options{Lambda: -1, ValFraction: 0.1}, fault.Malformed, "example 2 in row 17 is NaN"},
	} {
		_, err := collect(c.src, c.opts)
		if err == nil || fault.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: kind %d: %v; want kind %d and %q", c.name, fault.KindOf(err), err, c.kind, c.says)
		}
	}
}

func TestCallbacks(t *testing.T) {
	src := newSynthetic(50, 30, 11, 0.1, 16)
	calls := 0
	opts := Options{Lambda: -1, ValFraction: 0.1, Workers: 3, Progress: func(done, total int) {
		calls++
		if done != calls || total != 11 {
			t.Errorf("progress %d of %d at call %d", done, total, calls)
		}
	}}
	mustFit(t, src, opts)
	if calls != 11 {
		t.Errorf("%d calls of Progress", calls)
	}
	opts.Progress = nil
	full := errors.New("disk full")
	if _, err := Fit(context.Background(), src, opts, func(Result) error { return full }); !errors.Is(err, full) {
		t.Errorf("emit's error came back as %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	opts.Progress = func(int, int) { cancel() }
	if _, err := Fit(ctx, src, opts, func(Result) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestCompareMethods(t *testing.T) {
	src := newSynthetic(200, 40, 9, 0.1, 17)
	sample := []int{7, 2}
	got, err := CompareMethods(context.Background(), src, Options{ValFraction: 0.1}, sample)
	if err != nil {
		t.Fatal(err)
	}
	for i, method := range []Method{Lasso, Ridge, OLS} {
		whole := mustFit(t, src, Options{Method: method, Lambda: -1, ValFraction: 0.1})
		a, b := whole.Result.Validation[7], whole.Result.Validation[2]
		if got[i].Method != method || got[i].Validation.MSE != (a.MSE+b.MSE)/2 || got[i].Validation.Correlation != (a.Correlation+b.Correlation)/2 {
			t.Errorf("%s: %+v, want the mean of %+v and %+v", method, got[i].Validation, a, b)
		}
	}
	if _, err := CompareMethods(context.Background(), src, Options{ValFraction: 0.1}, []int{9}); fault.KindOf(err) != fault.Usage {
		t.Errorf("example out of range: %v", err)
	}
	wide := newSynthetic(400, 500, 3, 0.1, 1)
	got, err = CompareMethods(context.Background(), wide, Options{ValFraction: 0.1, Memory: 2e6, Workers: 2}, []int{0})
	if err != nil || got[0].Validation == nil || got[1].Skipped == "" || got[2].Skipped == "" {
		t.Errorf("little memory: %+v, %v", got, err)
	}
}

// Validate leaves out nothing that the rows held out are scored by.
func TestValidateScoresAsFit(t *testing.T) {
	for _, p := range []int{40, 300} { // by the Gram matrix, and by the rows
		src := newSynthetic(200, p, 5, 0.1, 17)
		for _, opts := range []Options{{Method: Lasso, Lambda: -1}, {Method: Ridge, Lambda: -1}, {Method: Ridge, Lambda: 0.01}, {Method: OLS, Lambda: -1}} {
			opts.ValFraction = 0.1
			got, err := Validate(t.Context(), src, opts)
			if err != nil {
				t.Fatal(err)
			}
			if want := *mustFit(t, src, opts).Summary.Validation; got != want {
				t.Errorf("%d components, %s: %+v, want %+v", p, opts.Method, got, want)
			}
		}
	}
}

// Where the Gram matrices exceed the memory allowed, the rows give the same fit in less.
func TestSolverFollowsMemory(t *testing.T) {
	src := newSynthetic(700, 400, 3, 0.1, 18)
	opts := Options{Lambda: -1, ValFraction: 0.1, Workers: 2}
	roomy := mustFit(t, src, opts)
	opts.Memory = 2e6
	tight := mustFit(t, src, opts)
	if roomy.Solver != SolverGram || tight.Solver != SolverRows || tight.MemoryBytes > opts.Memory {
		t.Errorf("%s in %d bytes, then %s in %d", roomy.Solver, roomy.MemoryBytes, tight.Solver, tight.MemoryBytes)
	}
	d, err := pack(t.Context(), src, splitRows(src.nRows, 0.1, 0))
	if err != nil {
		t.Fatal(err)
	}
	least := needs(d, SolverGram, 1, Options{Method: Lasso})
	for _, workers := range []int{1, 50} { // the workers' own memory does not change what they work with
		opts.Workers, opts.Memory = workers, least.fixed+least.perExample
		if got := mustFit(t, src, opts); got.Solver != SolverGram || got.MemoryBytes > opts.Memory {
			t.Errorf("%d workers: %s in %d bytes of %d", workers, got.Solver, got.MemoryBytes, opts.Memory)
		}
	}
	for e := range src.nExamples {
		want := make([]float64, src.nComponents)
		for c, v := range roomy.thetaOf(e) {
			want[c] = float64(v)
		}
		if d := distance(tight.thetaOf(e), want); d > 1e-4 {
			t.Errorf("example %d: θ differs by %.1e", e, d)
		}
	}
	if wide := mustFit(t, newSynthetic(60, 90, 1, 0.1, 1), Options{Lambda: -1, ValFraction: 0.1}); wide.Solver != SolverRows {
		t.Errorf("lasso with fewer rows than components by %s", wide.Solver)
	}
	if wide := mustFit(t, newSynthetic(60, 90, 1, 0.1, 1), Options{Method: OLS, Lambda: -1}); wide.Solver != SolverKernel || !wide.MinimumNorm {
		t.Errorf("ols with fewer rows than components by %s, minimum norm %v", wide.Solver, wide.MinimumNorm)
	}
}
