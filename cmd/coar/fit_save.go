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
// nothing. Then the earlier attributions go first and the new ones come last: stopped in between, there are none, rather than
// some beside the intercepts of another fit.
func (f *fitFiles) save(report *study.Fit) (err error) {
	var staged []*store.Staged
	defer func() {
		if err != nil {
			for _, s := range staged {
				s.Abort() // as in abort
			}
		}
	}()
	stage := func(s *store.Staged, err error) error {
		if s != nil {
			staged = append(staged, s)
		}
		if err != nil {
			return err
		}
		return s.Finish()
	}
	numbers := func(name string, values []float32) (*store.Staged, error) {
		a, err := f.dir.CreateArray(name, npy.Float32, len(values))
		if err != nil {
			return nil, err
		}
		return a.Staged, a.WriteRowsFloat32(0, values)
	}
	err = errors.Join(stage(numbers(store.InterceptName, f.intercepts)), stage(numbers(store.LambdaName, f.lambdas)), stage(f.dir.CreateJSON(store.FitName, report)))
	names := []string{store.InterceptName, store.LambdaName, store.FitName}
	if f.errors != nil && err == nil {
		err = stage(f.errors.Staged, nil)
		names = append(names, store.ErrorsName)
	}
	if err == nil {
		err = stage(f.theta.Staged, nil)
		names = append(names, store.AttributionsName)
	}
	if err == nil {
		err = f.dropEarlier()
	}
	for i := 0; i < len(staged) && err == nil; i++ {
		err = staged[i].Commit()
	}
	if err != nil {
		return err
	}
	return f.dir.Seal(names...)
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
