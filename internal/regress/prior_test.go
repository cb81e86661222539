package regress

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"
)

// withPrior is a synthetic study with prior attributions [nExamples][nComponents].
type withPrior struct {
	*synthetic
	theta []float64
}

func (w withPrior) Predictions(_ context.Context, first, last int, dst []float32) error {
	for row := range w.nRows {
		for e := first; e < last; e++ {
			sum := 0.0
			for c := range w.nComponents {
				sum += float64(w.keep[row*w.nComponents+c]) * w.theta[e*w.nComponents+c]
			}
			dst[row*(last-first)+e-first] = float32(sum)
		}
	}
	return nil
}

func randomPrior(s *synthetic, seed uint64) withPrior {
	random := rand.New(rand.NewPCG(seed, 7))
	w := withPrior{s, make([]float64, s.nExamples*s.nComponents)}
	for i := range w.theta {
		w.theta[i] = random.NormFloat64()
	}
	return w
}

// Least squares does not care where it starts: prior and what is fitted to the rest add up to the fit without a prior,
// and the held-out rows say the same of both.
func TestLeastSquaresForgetsThePrior(t *testing.T) {
	src := newSynthetic(400, 60, 9, 0.2, 5)
	prior := randomPrior(src, 1)
	for _, solver := range []Solver{SolverGram, SolverKernel} {
		opts := Options{Method: OLS, Lambda: -1, ValFraction: 0.2, solver: solver}
		plain, rest := mustFit(t, src, opts), mustFit(t, prior, opts)
		for e := range src.nExamples {
			for c, want := range plain.thetaOf(e) {
				if got := float64(rest.thetaOf(e)[c]) + prior.theta[e*src.nComponents+c]; math.Abs(got-float64(want)) > 1e-3 {
					t.Fatalf("%s, example %d, component %d: %g with the prior, %g without", solver, e, c, got, want)
				}
			}
			a, b := plain.Result.Validation[e], rest.Result.Validation[e]
			if math.Abs(a.MSE-b.MSE) > 1e-3*a.MSE || math.Abs(a.Correlation-b.Correlation) > 1e-3 || math.Abs(a.NullMSE-b.NullMSE) > 1e-3*a.NullMSE {
				t.Errorf("%s, example %d: validation %+v without the prior, %+v with it", solver, e, a, b)
			}
			if math.Abs(plain.Result.Intercept[e]-rest.Result.Intercept[e]) > 2e-3 {
				t.Errorf("%s, example %d: intercepts %g and %g", solver, e, plain.Result.Intercept[e], rest.Result.Intercept[e])
			}
		}
	}
}

// A penalty beyond all bounds leaves the prior alone, and it is scored as such.
func TestLargePenaltyKeepsThePrior(t *testing.T) {
	src := newSynthetic(300, 40, 7, 0.1, 6)
	prior := randomPrior(src, 2)
	for _, way := range ways[:4] {
		got := mustFit(t, prior, Options{Method: way.method, Lambda: 1e9, ValFraction: 0.2, solver: way.solver})
		for e := range src.nExamples {
			for c, v := range got.thetaOf(e) {
				if math.Abs(float64(v)) > 1e-6 {
					t.Fatalf("%s: example %d, component %d is moved by %g", way.method, e, c, v)
				}
			}
			v := got.Result.Validation[e]
			if math.Abs(v.MSE-v.PriorMSE) > 1e-6*v.MSE || math.Abs(v.Correlation-v.PriorCorrelation) > 1e-6 {
				t.Errorf("%s, example %d: %+v", way.method, e, v)
			}
		}
	}
}

// With the penalty chosen on the held-out rows, a good prior is not spoilt and a bad one is overcome.
func TestChosenPenaltySuitsThePrior(t *testing.T) {
	src := newSynthetic(600, 80, 12, 0.1, 8)
	good := withPrior{src, make([]float64, src.nExamples*src.nComponents)}
	truth := mustFit(t, src, Options{Method: OLS, Lambda: -1})
	for e := range src.nExamples {
		for c, v := range truth.thetaOf(e) {
			good.theta[e*src.nComponents+c] = float64(v)
		}
	}
	for _, method := range []Method{Lasso, Ridge} {
		opts := Options{Method: method, Lambda: -1, ValFraction: 0.2}
		plain, kept, moved := mustFit(t, src, opts), mustFit(t, good, opts), mustFit(t, randomPrior(src, 3), opts)
		for _, v := range kept.Result.Validation {
			if v.MSE > 1.02*v.PriorMSE {
				t.Errorf("%s: mean squared error %g with a good prior and the rest fitted, %g with the prior alone", method, v.MSE, v.PriorMSE)
			}
		}
		if v, p := moved.Summary.Validation, plain.Summary.Validation; v.MSE > 0.8*v.PriorMSE || v.MSE > 1.2*p.MSE {
			t.Errorf("%s: mean squared error %g with a bad prior, %g of it alone, %g without", method, v.MSE, v.PriorMSE, p.MSE)
		}
	}
	compared, err := CompareMethods(t.Context(), good, Options{ValFraction: 0.2}, []int{1, 4})
	if err != nil || len(compared) != 3 || !(compared[0].Validation.PriorCorrelation > 0.5) {
		t.Errorf("%+v %v", compared, err)
	}
}
