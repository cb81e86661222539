package main

import (
	"errors"
	"fmt"
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
		f.errors, err = dir.CreateArray(store.ErrorsName, npy.Float32, n, p)
	} else {
		err = dir.Discard(store.ErrorsName) // a fit that was killed may have left as much as the attributions take
	}
	if err != nil {
		return nil, errors.Join(err, f.theta.Abort())
	}
	return f, nil
}

// put takes the result of one of the run's examples; se may be nil.
func (f *fitFiles) put(example int, theta, se []float64, intercept, lambda float64) error {
	own := narrow([]float64{intercept, lambda})
	f.intercepts[example], f.lambdas[example] = own[0], own[1]
	row := narrow(theta)
	if npy.FirstNotFinite(row) >= 0 || npy.FirstNotFinite(own) >= 0 {
		return fmt.Errorf("fit: the attributions of example %d of the run are not numbers", example)
	}
	if err := f.theta.WriteRowsFloat32(example, row); err != nil {
		return err
	}
	if f.errors == nil || se == nil {
		return nil
	}
	return f.errors.WriteRowsFloat32(example, narrow(se))
}

// narrow rounds to float32, what is too large for it to the largest there is.
func narrow(v []float64) []float32 {
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = float32(math.Copysign(min(math.Abs(x), math.MaxFloat32), x))
	}
	return out
}

// abort drops what was not saved.
func (f *fitFiles) abort() {
	f.theta.Abort() // what cannot be dropped is written over by the next fit
	if f.errors != nil {
		f.errors.Abort()
	}
}

// staleAfterFit are results that rest on the attributions and would be taken for the new ones'. Measured rows stay.
var staleAfterFit = []string{store.EvaluationName, "evaluation/evaluation.csv", "evaluation/scatter.png", "evaluation/correlation.png", costName}

// save writes the results and seals them. All are on the disk before anything of an earlier fit goes, so that a full one loses
// nothing. Attributions go first and come last: stopped in between, there are none, rather than some beside the intercepts of
// another fit.
func (f *fitFiles) save(report *study.Fit) error {
	intercepts, err := f.numbers(store.InterceptName, f.intercepts)
	if err != nil {
		return err
	}
	defer intercepts.Abort() // as in abort
	lambdas, err := f.numbers(store.LambdaName, f.lambdas)
	if err != nil {
		return err
	}
	defer lambdas.Abort()
	described, err := f.dir.CreateJSON(store.FitName, report)
	if err != nil {
		return err
	}
	defer described.Abort()
	staged := []*store.Staged{f.theta.Staged, intercepts, lambdas, described}
	names := []string{store.AttributionsName, store.InterceptName, store.LambdaName, store.FitName}
	if f.errors != nil {
		staged, names = append(staged, f.errors.Staged), append(names, store.ErrorsName)
	}
	for _, s := range staged {
		if err := s.Finish(); err != nil {
			return err
		}
	}
	if err := f.dropEarlier(); err != nil {
		return err
	}
	if err := f.dir.CommitTogether(staged...); err != nil {
		return err
	}
	return f.dir.Seal(names...)
}

// numbers starts an array of one value for each example.
func (f *fitFiles) numbers(name string, values []float32) (*store.Staged, error) {
	a, err := f.dir.CreateArray(name, npy.Float32, len(values))
	if err != nil {
		return nil, err
	}
	if err := a.WriteRowsFloat32(0, values); err != nil {
		return nil, errors.Join(err, a.Abort())
	}
	return a.Staged, nil
}

// dropEarlier removes the attributions of an earlier fit and what rests on them.
func (f *fitFiles) dropEarlier() error {
	for _, name := range staleAfterFit {
		if _, err := os.Stat(filepath.Join(f.dir.Path(), filepath.FromSlash(name))); err != nil {
			continue
		}
		if err := f.dir.Remove(name); err != nil {
			return err
		}
	}
	return errors.Join(f.dir.Remove(store.AttributionsName), f.dir.Remove(store.ErrorsName))
}
