package main

import (
	"errors"
	"math"
	"os"
	"path/filepath"

	"coar/internal/npy"
	"coar/internal/store"
	"coar/internal/study"
)

// fitFiles are the results of a fit on their way to the run.
type fitFiles struct {
	dir                 *store.Dir
	theta               *store.ArrayWriter
	errors              *store.ArrayWriter // nil where there are no standard errors
	intercepts, lambdas []float32
}

// newFitFiles starts the arrays of n examples and p components; examples that are never put are zero.
func newFitFiles(dir *store.Dir, n, p int, withErrors bool) (_ *fitFiles, err error) {
	f := &fitFiles{dir: dir, intercepts: make([]float32, n), lambdas: make([]float32, n)}
	if f.theta, err = dir.CreateArray(store.AttributionsName, npy.Float32, n, p); err != nil {
		return nil, err
	}
	if withErrors {
		if f.errors, err = dir.CreateArray(store.ErrorsName, npy.Float32, n, p); err != nil {
			return nil, errors.Join(err, f.theta.Abort())
		}
	}
	return f, nil
}

// put takes the result of one of the run's examples; se may be nil.
func (f *fitFiles) put(example int, theta, se []float64, intercept, lambda float64) error {
	f.intercepts[example], f.lambdas[example] = float32(intercept), float32(lambda)
	if err := f.theta.WriteRowsFloat32(example, narrow(theta)); err != nil {
		return err
	}
	if f.errors == nil || se == nil {
		return nil
	}
	return f.errors.WriteRowsFloat32(example, narrow(se))
}

func narrow(v []float64) []float32 {
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = float32(math.Copysign(min(math.Abs(x), math.MaxFloat32), x))
	}
	return out
}

// abort drops what was not saved.
func (f *fitFiles) abort() {
	f.theta.Abort() // after a commit there is nothing left to drop
	if f.errors != nil {
		f.errors.Abort()
	}
}

// staleAfterFit are results that rest on the attributions and would be taken for the new ones'. Measured rows stay.
var staleAfterFit = []string{store.EvaluationName, "evaluation/evaluation.csv", "evaluation/scatter.png", "evaluation/correlation.png", costName}

// save writes the results, attributions last, and seals them. Attributions of an earlier fit go first: stopped in between,
// there are none, rather than some beside the intercepts of another fit.
func (f *fitFiles) save(report *study.Fit) error {
	dir := f.dir
	for _, name := range staleAfterFit {
		if _, err := os.Stat(filepath.Join(dir.Path(), filepath.FromSlash(name))); err != nil {
			continue
		}
		if err := dir.Remove(name); err != nil {
			return err
		}
	}
	for _, name := range []string{store.AttributionsName, store.ErrorsName} {
		if err := dir.Remove(name); err != nil {
			return err
		}
	}
	if err := dir.WriteFloat32(store.InterceptName, f.intercepts, len(f.intercepts)); err != nil {
		return err
	}
	if err := dir.WriteFloat32(store.LambdaName, f.lambdas, len(f.lambdas)); err != nil {
		return err
	}
	if err := dir.WriteJSON(store.FitName, report); err != nil {
		return err
	}
	names := []string{store.InterceptName, store.LambdaName, store.FitName, store.AttributionsName}
	if f.errors != nil {
		if err := f.errors.Commit(); err != nil {
			return err
		}
		names = append(names, store.ErrorsName)
	}
	if err := f.theta.Commit(); err != nil {
		return err
	}
	return dir.Seal(names...)
}
