package main

import (
	"errors"
	"fmt"
	"math"

	"coar/internal/npy"
	"coar/internal/store"
	"coar/internal/study"
)

// fitFiles are the results of a fit on their way to the run.
type fitFiles struct {
	dir                 *store.Dir
	theta               *store.ArrayWriter
	errors              *store.ArrayWriter // nil where there are no standard errors
	others              []*store.Staged    // all but theta
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
	if withErrors {
		f.others = append(f.others, f.errors.Staged)
	}
	return f, nil
}

// put takes the result of one of the run's examples; se may be nil.
func (f *fitFiles) put(example int, theta, se []float64, intercept, lambda float64) error {
	own, row, errorsRow := narrow([]float64{intercept, lambda}), narrow(theta), narrow(se)
	for _, values := range [][]float32{own, row, errorsRow} {
		if npy.FirstNotFinite(values) >= 0 {
			return fmt.Errorf("fit: what was fitted for example %d of the run is not all numbers", example)
		}
	}
	f.intercepts[example], f.lambdas[example] = own[0], own[1]
	if err := f.theta.WriteRowsFloat32(example, row); err != nil {
		return err
	}
	if f.errors == nil || se == nil {
		return nil
	}
	return f.errors.WriteRowsFloat32(example, errorsRow)
}

// narrow rounds to float32, what is too large for it to the largest there is.
func narrow(v []float64) []float32 {
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = float32(math.Copysign(min(math.Abs(x), math.MaxFloat32), x))
	}
	return out
}

// abort drops what was not saved. What cannot be dropped is written over by the next fit.
func (f *fitFiles) abort() {
	f.theta.Abort()
	for _, s := range f.others {
		s.Abort()
	}
}

// staleAfterFit are results that rest on the attributions and would be taken for the new ones', and the standard errors, which the
// new ones may not have. Measured rows stay.
var staleAfterFit = []string{store.EvaluationName, "evaluation/evaluation.csv", "evaluation/scatter.png", "evaluation/correlation.png", costName, store.ErrorsName}

// save writes the results and seals them. All are on the disk before anything of an earlier fit goes, so that a full one loses
// nothing. Attributions go first and come last: stopped in between, there are none, rather than some beside the intercepts of
// another fit.
func (f *fitFiles) save(report *study.Fit) error {
	if err := errors.Join(f.numbers(store.InterceptName, f.intercepts), f.numbers(store.LambdaName, f.lambdas)); err != nil {
		return err
	}
	described, err := f.dir.CreateJSON(store.FitName, report)
	if err != nil {
		return err
	}
	f.others = append(f.others, described)
	if err := f.dir.CommitTogether(staleAfterFit, f.theta.Staged, f.others...); err != nil {
		return err
	}
	names := []string{f.theta.Name()}
	for _, s := range f.others {
		names = append(names, s.Name())
	}
	return f.dir.Seal(names...)
}

// numbers writes an array of one value for each example.
func (f *fitFiles) numbers(name string, values []float32) error {
	a, err := f.dir.CreateArray(name, npy.Float32, len(values))
	if err != nil {
		return err
	}
	f.others = append(f.others, a.Staged)
	return a.WriteRowsFloat32(0, values)
}
