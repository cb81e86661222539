package regress

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"
)

// study is one entry of testdata/golden.json, and a Source.
type study struct {
	Name      string
	Rows      []string
	Margins_  [][]float32 `json:"margins"`
	LambdaMax []float64   `json:"lambda_max"`
	Lasso     []struct {
		Example   int
		Lambda    float64 `json:"lambda_"`
		Intercept float64
		Theta     []float64
	}
	Ridge []struct {
		Lambda    float64 `json:"lambda_"`
		Intercept []float64
		Theta     []float64
	}
	OLS struct {
		Intercept []float64
		Theta     []float64
		Rank      int
	}
}

func (s *study) Shape() (int, int, int) { return len(s.Rows), len(s.Rows[0]), len(s.Margins_[0]) }

func (s *study) KeepRow(row int, dst []byte) error {
	for c := range dst {
		dst[c] = s.Rows[row][c] - '0'
	}
	return nil
}

func (s *study) Margins(first, last int, dst []float32) error {
	for row, margins := range s.Margins_ {
		copy(dst[row*(last-first):], margins[first:last])
	}
	return nil
}

// goldens are fits by scikit-learn and numpy; testdata/golden.py made them.
func goldens(t *testing.T) []*study {
	t.Helper()
	data, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var studies []*study
	if err := json.Unmarshal(data, &studies); err != nil {
		t.Fatal(err)
	}
	return studies
}

// outcome is a whole fit, its blocks joined.
type outcome struct {
	Result
	Summary
}

func mustFit(t *testing.T, src Source, opts Options) outcome {
	t.Helper()
	got, err := collect(src, opts)
	if err != nil {
		t.Fatalf("Fit(%+v): %v", opts, err)
	}
	return got
}

func collect(src Source, opts Options) (outcome, error) {
	var all outcome
	var err error
	all.Summary, err = Fit(context.Background(), src, opts, func(r Result) error {
		if r.First != len(all.Intercept) {
			return fmt.Errorf("block begins at example %d after %d", r.First, len(all.Intercept))
		}
		all.Theta = append(all.Theta, r.Theta...)
		all.Intercept = append(all.Intercept, r.Intercept...)
		all.Lambda = append(all.Lambda, r.Lambda...)
		all.Gap = append(all.Gap, r.Gap...)
		all.Sweeps = append(all.Sweeps, r.Sweeps...)
		all.Converged = append(all.Converged, r.Converged...)
		all.NonZeros = append(all.NonZeros, r.NonZeros...)
		all.Result.Validation = append(all.Result.Validation, r.Validation...)
		return nil
	})
	return all, err
}

func (o outcome) thetaOf(e int) []float32 {
	p := o.Components
	return o.Theta[e*p : (e+1)*p]
}

// distance is the largest difference relative to the largest wanted value.
func distance(got []float32, want []float64) float64 {
	var diff, scale float64
	for i, w := range want {
		diff = max(diff, math.Abs(float64(got[i])-w))
		scale = max(scale, math.Abs(w))
	}
	if scale == 0 {
		return diff
	}
	return diff / scale
}

const agreement = 1e-5 // ten times stricter than promised

func TestLassoAgreesWithScikitLearn(t *testing.T) {
	for _, s := range goldens(t) {
		if s.Name == "dependent" {
			continue // a copied column leaves the lasso's solution open
		}
		for _, solver := range []Solver{SolverGram, SolverRows} {
			for _, heldOut := range []float64{0, 0.2} {
				for _, want := range s.Lasso {
					got := mustFit(t, s, Options{Method: Lasso, Lambda: want.Lambda, ValFraction: heldOut, solver: solver})
					e := want.Example
					d, b := distance(got.thetaOf(e), want.Theta), math.Abs(got.Intercept[e]/want.Intercept-1)
					if d > agreement || b > agreement || !got.Converged[e] {
						t.Errorf("%s, %s, example %d, λ %g: θ differs by %.1e, intercept by %.1e of itself, gap %.1e", s.Name, solver, e, want.Lambda, d, b, got.Gap[e])
					}
				}
			}
		}
	}
}

func TestRidgeAgreesWithScikitLearn(t *testing.T) {
	for _, s := range goldens(t) {
		for _, solver := range []Solver{SolverGram, SolverKernel} {
			for _, want := range s.Ridge {
				got := mustFit(t, s, Options{Method: Ridge, Lambda: want.Lambda, ValFraction: 0.2, solver: solver})
				compareAll(t, s.Name, got, want.Intercept, want.Theta)
			}
		}
	}
}

func TestLeastSquaresAgreesWithNumpy(t *testing.T) {
	for _, s := range goldens(t) {
		for _, solver := range []Solver{SolverGram, SolverKernel} {
			got := mustFit(t, s, Options{Method: OLS, Lambda: -1, ValFraction: 0.2, solver: solver})
			compareAll(t, s.Name, got, s.OLS.Intercept, s.OLS.Theta)
			varying := got.Components - got.ConstantComponents
			if want := s.OLS.Rank < varying; got.MinimumNorm != want {
				t.Errorf("%s, %s: minimum norm %v, want %v: rank %d of %d components that vary", s.Name, solver, got.MinimumNorm, want, s.OLS.Rank, varying)
			}
		}
	}
}

func compareAll(t *testing.T, name string, got outcome, intercept, theta []float64) {
	t.Helper()
	if d := distance(got.Theta, theta); d > agreement {
		t.Errorf("%s, %s, %s: θ differs by %.1e", name, got.Method, got.Solver, d)
	}
	for e, want := range intercept {
		if d := math.Abs(got.Intercept[e] - want); d > agreement*max(1, math.Abs(want)) {
			t.Errorf("%s, %s, %s, example %d: intercept %v, want %v", name, got.Method, got.Solver, e, got.Intercept[e], want)
		}
	}
	if got.MaxGap > 1e-9 {
		t.Errorf("%s, %s, %s: gap %.1e", name, got.Method, got.Solver, got.MaxGap)
	}
}
