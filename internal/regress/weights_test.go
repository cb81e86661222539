package regress

import (
	"math"
	"math/rand/v2"
	"testing"
)

// weightsOf draws weights over two decades.
func weightsOf(n int, seed uint64) []float64 {
	random := rand.New(rand.NewPCG(seed, 11))
	w := make([]float64, n)
	for c := range w {
		w[c] = math.Pow(10, 2*random.Float64()-1)
	}
	return w
}

// A weighted ridge is at the minimum of its objective: the gradient of every component is λθ/w, by both solvers, which
// agree on the validation too.
func TestWeightedRidgeIsTheMinimum(t *testing.T) {
	for _, src := range []*synthetic{newSynthetic(300, 70, 5, 0.2, 21), newSynthetic(60, 110, 5, 0.3, 22)} {
		opts := Options{Method: Ridge, Lambda: 0.05, ValFraction: 0.2, Weights: weightsOf(src.nComponents, 3)}
		var scores []Score
		for _, solver := range []Solver{SolverGram, SolverKernel} {
			opts.solver = solver
			got := mustFit(t, src, opts)
			scores = append(scores, got.Result.Validation[0])
			for e := range src.nExamples {
				theta, b := got.thetaOf(e), got.Result.Intercept[e]
				slope := make([]float64, src.nComponents) // Xᵀr/m
				for row := range src.nRows {
					rest := float64(src.margins[row*src.nExamples+e]) - b
					for c, v := range theta {
						rest -= float64(v) * float64(src.keep[row*src.nComponents+c])
					}
					for c := range slope {
						slope[c] += rest * float64(src.keep[row*src.nComponents+c]) / float64(src.nRows)
					}
				}
				for c, v := range theta {
					if want := opts.Lambda * float64(v) / opts.Weights[c]; math.Abs(slope[c]-want) > 1e-4 {
						t.Fatalf("%s, %d rows, example %d, component %d: gradient %g, penalty's %g", solver, src.nRows, e, c, slope[c], want)
					}
				}
			}
		}
		if a, b := scores[0], scores[1]; math.Abs(a.MSE-b.MSE) > 1e-6*a.MSE || math.Abs(a.Correlation-b.Correlation) > 1e-6 {
			t.Errorf("validation %+v and %+v", a, b)
		}
	}
}

// Equal weights are none.
func TestEqualWeightsChangeNothing(t *testing.T) {
	src := newSynthetic(200, 40, 4, 0.1, 23)
	ones := make([]float64, src.nComponents)
	for c := range ones {
		ones[c] = 1
	}
	for _, solver := range []Solver{SolverGram, SolverKernel} {
		opts := Options{Method: Ridge, Lambda: -1, ValFraction: 0.1, solver: solver}
		want := mustFit(t, src, opts)
		opts.Weights = ones
		got := mustFit(t, src, opts)
		for e := range src.nExamples {
			for c, v := range want.thetaOf(e) {
				if math.Abs(float64(got.thetaOf(e)[c]-v)) > 1e-5 {
					t.Fatalf("%s, example %d, component %d: %g, without weights %g", solver, e, c, got.thetaOf(e)[c], v)
				}
			}
		}
	}
	for _, bad := range [][]float64{{1}, make([]float64, src.nComponents)} {
		if _, err := Fit(t.Context(), src, Options{Method: Ridge, Lambda: 1, Weights: bad}, func(Result) error { return nil }); err == nil {
			t.Errorf("weights %v were taken", bad)
		}
	}
}
