package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"coar/internal/dataset"
	"coar/internal/fault"
	"coar/internal/gradient"
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
	if m := arrays.Manifest(); m != nil && o.moved != (study.Relocation{}) {
		if err := study.CheckMoved(m, o.moved); err != nil {
			return nil, err
		}
	}
	f := &fitter{fitOptions: o, options: o.fit, cmd: cmd, arrays: arrays, source: study.NewComponentDataset(arrays, selected)}
	if f.prior, err = o.openPrior(arrays.Manifest()); err != nil {
		return nil, err
	}
	if f.prior != nil {
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

// openPrior opens the run's gradient attributions where they are wanted and there are any.
func (o *fitOptions) openPrior(m *store.Manifest) (*study.Prior, error) {
	if o.prior == "none" {
		return nil, nil
	}
	if m == nil || m.GradientRows() == 0 {
		if o.prior == "gradient" {
			return nil, fault.Missingf("%s has no gradient rows; coar ablate --gradients makes them", o.run)
		}
		return nil, nil
	}
	prior, err := study.OpenPrior(o.run, m)
	if err != nil {
		return nil, err
	}
	switch {
	case prior == nil && o.prior == "gradient":
		return nil, fault.Missingf("%s has no gradient rows that are complete; coar ablate goes on with them", o.run)
	case prior == nil:
		slog.Warn("the gradient rows are not complete; the fit does without them", "rows", m.GradientRows())
	case prior.Missing() > 0:
		slog.Warn("gradient rows are missing; the fit uses the complete ones", "missing", prior.Missing(), "complete", prior.Rows())
	}
	return prior, nil
}

// fewestHeld is how many held-out rows it takes to choose a penalty by, and to decide between candidates.
const fewestHeld = 20

// fit fills files and report.
func (f *fitter) fit() error {
	if f.prior == nil {
		f.method(regress.Lasso)
		return f.regression(f.source)
	}
	f.report.Prior, f.report.GradientRows = "gradient", f.prior.Rows()
	dataset := &study.PriorDataset{ComponentDataset: f.source, Prior: f.prior}
	if f.alone() {
		return f.gradientAlone(dataset)
	}
	f.method(regress.Ridge)
	return f.residual(dataset)
}

// method settles --method auto.
func (f *fitter) method(auto regress.Method) {
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
	var err error
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

// combine turns the prior's standard errors into those of prior and regression together.
func (f *fitter) combine(se []float64, fitted []float32, lambda, mse float64) {
	rows, p, _ := f.source.Shape()
	fraction := f.arrays.Manifest().Fraction
	c := gradient.Correction{Rows: rows, Components: p, Variance: fraction * (1 - fraction), Residual: mse, Lambda: lambda}
	if f.options.Method == regress.Lasso {
		gradient.LassoErrors(se, fitted, c)
		return
	}
	gradient.RidgeErrors(se, c)
}

// comparedExamples is how many examples the other methods, and a fit without the prior, are tried on.
const comparedExamples = 20

// residual fits what the prior leaves, and keeps that, the prior alone or a plain regression, whichever the held-out rows
// favour.
func (f *fitter) residual(source *study.PriorDataset) error {
	if err := f.regression(source); err != nil {
		return err
	}
	f.report.Kept = study.KeptBoth
	both := f.report.Validation
	if both == nil {
		return nil
	}
	n := f.report.Examples
	f.report.Candidates = []study.Candidate{
		{Name: study.KeptGradient, Correlation: both.PriorCorrelation, MSE: both.PriorMSE, Examples: n},
		{Name: study.KeptBoth, Method: f.options.Method, Correlation: both.Correlation, MSE: both.MSE, Examples: n},
	}
	if err := f.tryPlain(n); err != nil {
		return err
	}
	switch {
	case f.report.Kept == study.KeptPlain:
		f.files.abort()
		var err error
		if f.files, err = newFitFiles(f.files.dir, f.arrays.NExamples(), f.report.Components, false); err != nil {
			return err
		}
		return f.regression(f.source)
	case both.PriorMSE <= both.MSE && f.options.Lambda < 0:
		summary, candidates := f.report.Summary, f.report.Candidates
		if err := f.gradientAlone(source); err != nil {
			return err
		}
		f.report.Candidates = candidates
		f.report.Validation = &regress.Validation{MSE: both.PriorMSE, NullMSE: both.NullMSE, Correlation: both.PriorCorrelation}
		f.report.RowsHeldOut = summary.RowsHeldOut
	}
	return nil
}

// tryPlain adds the best regression without the prior to the candidates, on a sample of the examples, and keeps it where
// it does better on the same examples than prior and regression together. Without --compare it is not tried.
func (f *fitter) tryPlain(n int) error {
	if !f.compare || f.options.Lambda >= 0 {
		return nil
	}
	plain, err := regress.CompareMethods(f.cmd.Context(), f.source, f.options, firstExamples(n))
	if err != nil {
		return err
	}
	best, with := lowest(plain), lowest(f.report.Compared)
	if best == nil {
		return nil
	}
	f.report.Candidates = append(f.report.Candidates, study.Candidate{Name: study.KeptPlain, Method: best.Method,
		Correlation: best.Validation.Correlation, MSE: best.Validation.MSE, Examples: min(n, comparedExamples)})
	if with != nil && best.Validation.MSE < min(with.Validation.MSE, with.Validation.PriorMSE) {
		f.report.Kept, f.options.Method = study.KeptPlain, best.Method
	}
	return nil
}

// lowest is the comparison with the least error, nil where none was made.
func lowest(compared []regress.Comparison) *regress.Comparison {
	var best *regress.Comparison
	for i := range compared {
		if c := &compared[i]; c.Validation != nil && (best == nil || c.Validation.MSE < best.Validation.MSE) {
			best = c
		}
	}
	return best
}

// gradientAlone takes the prior as it is. Hard rows, where there are enough, give the intercepts and say how good it is.
func (f *fitter) gradientAlone(source *study.PriorDataset) error {
	rows, p, n := source.Shape()
	f.report.Kept = study.KeptGradient
	f.report.Compared = nil
	f.report.Summary = regress.Summary{Method: "gradient", LambdaRule: "none", Rows: rows, Components: p, Examples: n, MeanNonZeros: float64(p)}
	put := func(i int, intercept *float64) error {
		at := source.Example(i)
		a, err := f.prior.Estimate(at)
		if err != nil {
			return err
		}
		if intercept != nil {
			a.Intercept = *intercept
		}
		return f.files.put(at, a.Theta, a.SE, a.Intercept, 0)
	}
	if rows < fewestHeld {
		for i := range n {
			if err := put(i, nil); err != nil {
				return err
			}
		}
		return nil
	}
	candidate := study.Candidate{Name: study.KeptGradient, Examples: n}
	f.report.RowsHeldOut = rows
	err := source.Alone(func(i int, s study.PriorScore) error {
		candidate.Correlation += s.Correlation / float64(n)
		candidate.MSE += s.MSE / float64(n)
		return put(i, &s.Intercept)
	})
	f.report.Candidates = []study.Candidate{candidate}
	return err
}

// selected resolves --examples to indices into the directory's examples, nil for all.
func (o *fitOptions) selected(arrays *store.Arrays) ([]int, error) {
	if o.examples == "all" {
		return nil, nil
	}
	if m := arrays.Manifest(); m != nil {
		return study.Members(o.run, m).Select(o.examples)
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
