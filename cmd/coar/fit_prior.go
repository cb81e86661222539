package main

import (
	"context"
	"log/slog"
	"slices"

	"coar/internal/fault"
	"coar/internal/gradient"
	"coar/internal/regress"
	"coar/internal/store"
	"coar/internal/study"
)

// openPrior opens the run's gradient attributions where they are wanted and there are any.
func (o *fitOptions) openPrior(ctx context.Context, m *store.Manifest) (*study.Prior, error) {
	if o.prior == "none" {
		return nil, nil
	}
	if m == nil || m.GradientRows() == 0 {
		if o.prior == "gradient" {
			return nil, fault.Missingf("%s has no gradient rows; coar ablate --gradients makes them", o.run)
		}
		return nil, nil
	}
	prior, err := study.OpenPrior(ctx, o.run, m)
	if err != nil {
		return nil, err
	}
	if prior != nil && prior.Untold() == m.NComponents() {
		if err := prior.Close(); err != nil {
			return nil, err
		}
		if o.prior == "gradient" {
			return nil, fault.Missingf("the gradient rows of %s soften no component; rows with keep values between 0 and 1 do", o.run)
		}
		slog.Warn("the gradient rows soften no component; the fit does without them")
		return nil, nil
	}
	switch {
	case prior == nil && o.prior == "gradient":
		return nil, fault.Missingf("%s has no gradient rows that are complete; coar ablate goes on with them", o.run)
	case prior == nil:
		slog.Warn("the gradient rows are not complete; the fit does without them", "rows", m.GradientRows())
	case prior.Missing() > 0:
		slog.Warn("gradient rows are missing; the fit uses the complete ones", "missing", prior.Missing(), "complete", prior.Rows())
	}
	if prior != nil && prior.Untold() > 0 {
		slog.Warn("no gradient row softens any component of some groups; gradients attribute 0 to these, with a standard error of 0", "components", prior.Untold())
	}
	return prior, nil
}

// combine turns the prior's standard errors into those of prior and regression together.
func (f *fitter) combine(se []float64, fitted []float32, lambda, mse float64) {
	rows, _, _ := f.source.Shape()
	c := gradient.Correction{Rows: rows, Variance: f.variance, Residual: mse, Lambda: lambda, Weights: f.options.Weights}
	if f.options.Method == regress.Lasso {
		gradient.LassoErrors(se, fitted, c)
		return
	}
	gradient.RidgeErrors(se, c)
}

// residual fits what the prior leaves, and keeps that, the prior alone or a plain regression, whichever the held-out rows
// favour.
func (f *fitter) residual(source *study.PriorDataset) error {
	rows, _, _ := source.Shape()
	if err := f.options.CheckRows(rows); err != nil {
		return err
	}
	var err error
	if f.variance, err = f.source.KeepVariance(); err != nil {
		return err
	}
	if err := f.calibrate(source); err != nil {
		return err
	}
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
		files, err := newFitFiles(f.files.dir, f.arrays.NExamples(), f.report.Components, false)
		if err != nil {
			return err
		}
		f.files = files
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

// calibrate finds factors for the prior's component groups, and uses them if prior and regression together then do better
// on the held-out rows, for a sample of the examples.
func (f *fitter) calibrate(source *study.PriorDataset) error {
	rows, _, _ := source.Shape()
	source.Prior.UseFactors(nil)
	if f.options.ValFraction == 0 {
		return nil
	}
	var err error
	c := f.report.Calibration
	if c == nil {
		if c, err = source.Calibrate(regress.HeldRows(rows, f.options)); err != nil || c == nil {
			return err
		}
		f.report.Calibration = c
	}
	without, err := f.sampleError(source)
	if err != nil {
		return err
	}
	source.Prior.UseFactors(c.Factors)
	with, err := f.sampleError(source)
	if err != nil {
		return err
	}
	if c.Kept = with < without; !c.Kept {
		source.Prior.UseFactors(nil)
	}
	return nil
}

// sampleError is the mean squared error on held-out rows of prior and regression together, for a sample of the examples.
func (f *fitter) sampleError(source *study.PriorDataset) (float64, error) {
	_, _, n := source.Shape()
	var sample []int
	for _, i := range firstExamples(n) {
		sample = append(sample, source.Example(i))
	}
	options := f.options
	options.Progress = nil
	var err error
	if options.Weights, err = source.Prior.Weights(f.cmd.Context()); err != nil {
		return 0, err
	}
	part := &study.PriorDataset{ComponentDataset: study.NewComponentDataset(f.arrays, sample), Prior: source.Prior}
	validation, err := regress.Validate(f.cmd.Context(), part, options)
	return validation.MSE, err
}

// tryPlain adds a regression without the prior to the candidates, on a sample of the examples, and keeps it where it does
// better on the same examples than prior and regression together and than the prior alone: with the method that was asked
// for, the best of all where --method is auto. Without --compare it is not tried.
func (f *fitter) tryPlain(n int) error {
	if !f.compare || f.options.Lambda >= 0 {
		return nil
	}
	options := f.options
	options.Weights = nil
	plain, err := regress.CompareMethods(f.cmd.Context(), f.source, options, firstExamples(n))
	if err != nil {
		return err
	}
	if f.method != "auto" {
		plain = slices.DeleteFunc(plain, func(c regress.Comparison) bool { return c.Method != f.options.Method })
	}
	best := lowest(plain)
	both := slices.IndexFunc(f.report.Compared, func(c regress.Comparison) bool { return c.Method == f.options.Method })
	if best == nil {
		return nil
	}
	candidate := study.Candidate{Name: study.KeptPlain, Method: best.Method,
		Correlation: best.Validation.Correlation, MSE: best.Validation.MSE, Examples: min(n, comparedExamples)}
	if v := f.report.Compared[both].Validation; v != nil {
		others := min(v.MSE, v.PriorMSE)
		if candidate.Examples < n {
			candidate.OthersMSE = others
		}
		if candidate.MSE < others {
			f.report.Kept, f.options.Method = study.KeptPlain, best.Method
		}
	}
	f.report.Candidates = append(f.report.Candidates, candidate)
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
	if rows < fewestHeld {
		return f.prior.Each(f.cmd.Context(), n, source.Example, func(i int, a gradient.Attributions) error {
			return f.files.put(source.Example(i), a.Theta, a.SE, a.Intercept, 0)
		})
	}
	candidate := study.Candidate{Name: study.KeptGradient, Examples: n}
	f.report.RowsHeldOut = rows
	err := source.Alone(f.cmd.Context(), func(i int, s study.PriorScore) error {
		candidate.Correlation += s.Correlation / float64(n)
		candidate.MSE += s.MSE / float64(n)
		a, err := f.prior.Estimate(source.Example(i))
		if err != nil {
			return err
		}
		return f.files.put(source.Example(i), a.Theta, a.SE, s.Intercept, 0)
	})
	f.report.Candidates = []study.Candidate{candidate}
	return err
}
