package main

import (
	"errors"
	"log/slog"

	"github.com/spf13/cobra"

	"coar/internal/dataset"
	"coar/internal/fault"
	"coar/internal/regress"
	"coar/internal/store"
	"coar/internal/study"
)

// fitter is a fit being made.
type fitter struct {
	*fitOptions
	options regress.Options
	cmd     *cobra.Command
	arrays  *store.Arrays
	source  *study.ComponentDataset
	prior   *study.Prior // nil: none
	files   *fitFiles
	report  *study.Fit

	variance []float64 // [nComponents] of the keep values over the rows; of a fit with a prior
}

func doFit(cmd *cobra.Command, o *fitOptions) (*study.Fit, error) {
	if err := o.parse(); err != nil {
		return nil, err
	}
	arrays, err := store.OpenArrays(o.run, o.split)
	if err != nil {
		return nil, err
	}
	defer arrays.Close()
	if err := arrays.Check(); err != nil {
		return nil, err
	}
	selected, err := o.selected(arrays)
	if err != nil {
		return nil, err
	}
	if o.moved != (study.Relocation{}) {
		m := arrays.Manifest()
		if m == nil {
			return nil, fault.Usagef("--weights and --data check what a run.json says, and %s has none", o.run)
		}
		if err := study.CheckMoved(m, o.moved); err != nil {
			return nil, err
		}
	}
	f := &fitter{fitOptions: o, options: o.fit, cmd: cmd, arrays: arrays, source: study.NewComponentDataset(arrays, selected)}
	if f.prior, err = o.openPrior(cmd.Context(), arrays.Manifest()); err != nil {
		return nil, err
	}
	if f.prior != nil {
		f.prior.Workers = o.fit.Workers
		defer f.prior.Close()
	}
	rows, p, _ := f.source.Shape()
	if rows == 0 && f.prior == nil {
		return nil, fault.Missingf("%s has no completed row; coar ablate makes them", o.run)
	}
	if left := arrays.NRows() - rows; left > 0 {
		slog.Warn("rows are missing; the fit uses the completed ones", "missing", left, "completed", rows)
	}
	dir, err := store.Lock(o.run)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	if f.files, err = newFitFiles(dir, arrays.NExamples(), p, f.hasErrors()); err != nil {
		return nil, err
	}
	defer func() { f.files.abort() }()
	f.report = &study.Fit{Split: arrays.Split(), Selected: selected, Prior: "none", Kept: study.KeptPlain}
	if err := f.fit(); err != nil {
		return nil, err
	}
	return f.report, f.files.save(f.report)
}

// fewestHeld is how many held-out rows it takes to choose a penalty by, and to decide between candidates.
const fewestHeld = 20

// fit fills files and report.
func (f *fitter) fit() error {
	if f.prior == nil {
		f.settle(regress.Lasso)
		return f.regression(f.source)
	}
	f.report.Prior, f.report.GradientRows = "gradient", f.prior.Rows()
	dataset := &study.PriorDataset{ComponentDataset: f.source, Prior: f.prior}
	if f.alone() {
		if f.method != "auto" {
			slog.Warn("the gradient attributions stand alone, --method regresses nothing: too few hard rows are held out to judge it by", "want", fewestHeld)
		}
		return f.gradientAlone(dataset)
	}
	auto := f.options.Method == "auto"
	f.settle(regress.Ridge)
	err := f.residual(dataset)
	var tooLarge *regress.MemoryError
	if auto && errors.As(err, &tooLarge) {
		slog.Warn("lasso fits what the gradient attributions leave, since ridge needs more than --memory", "reason", tooLarge)
		f.options.Method = regress.Lasso
		err = f.residual(dataset)
	}
	return err
}

// settle settles --method auto.
func (f *fitter) settle(auto regress.Method) {
	if f.options.Method == "auto" {
		f.options.Method = auto
	}
}

// alone says whether the hard rows are too few to choose a penalty by.
func (f *fitter) alone() bool {
	rows, _, _ := f.source.Shape()
	return f.options.Lambda < 0 && float64(rows)*f.options.ValFraction < fewestHeld
}

// hasErrors says whether standard errors will be known: those of a regression need held-out rows.
func (f *fitter) hasErrors() bool {
	return f.prior != nil && (f.alone() || f.options.ValFraction > 0)
}

// regression fits the margins of source, and what a prior leaves of them where it is one.
func (f *fitter) regression(source regress.Source) error {
	_, p, n := source.Shape()
	bar := f.newProgress(f.cmd.ErrOrStderr(), "examples", 0, n)
	defer bar.finish()
	reported := 0
	f.options.Progress = func(done, _ int) { bar.add(done - reported); reported = done }
	prior, _ := source.(*study.PriorDataset)
	f.options.Weights = nil
	var err error
	if prior != nil {
		if f.options.Weights, err = prior.Prior.Weights(f.cmd.Context()); err != nil {
			return err
		}
	}
	f.report.Summary, err = regress.Fit(f.cmd.Context(), source, f.options, func(r regress.Result) error {
		for i := range r.Intercept {
			if err := f.put(r, i, r.Theta[i*p:(i+1)*p], prior); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || !f.compare || f.options.ValFraction == 0 {
		return err
	}
	f.report.Compared, err = regress.CompareMethods(f.cmd.Context(), source, f.options, firstExamples(n))
	return err
}

// put stores the i-th example of a block of results, with the prior added where there is one.
func (f *fitter) put(r regress.Result, i int, fitted []float32, prior *study.PriorDataset) error {
	theta, se := make([]float64, len(fitted)), []float64(nil)
	at := f.source.Example(r.First + i)
	if prior != nil {
		a, err := prior.Prior.Estimate(at)
		if err != nil {
			return err
		}
		theta = a.Theta
		if r.Validation != nil {
			se = a.SE
			f.combine(se, fitted, r.Lambda[i], r.Validation[i].MSE)
		}
	}
	for c, v := range fitted {
		theta[c] += float64(v)
	}
	return f.files.put(at, theta, se, r.Intercept[i], r.Lambda[i])
}

// comparedExamples is how many examples the other methods, and a fit without the prior, are tried on.
const comparedExamples = 20

// selected resolves --examples to indices into the directory's examples, nil for all.
func (o *fitOptions) selected(arrays *store.Arrays) ([]int, error) {
	if o.examples == "all" {
		return nil, nil
	}
	if m := arrays.Manifest(); m != nil {
		members, err := study.Members(o.run, m)
		if err != nil {
			return nil, err
		}
		return members.Select(o.examples)
	}
	members := dataset.Members{}
	for i := range arrays.NExamples() {
		members.Positions = append(members.Positions, i)
	}
	return members.Select(o.examples)
}

// firstExamples is the sample on which methods are compared.
func firstExamples(n int) []int {
	var sample []int
	for i := range min(n, comparedExamples) {
		sample = append(sample, i*n/min(n, comparedExamples))
	}
	return sample
}
