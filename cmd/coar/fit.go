package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"coar/internal/dataset"
	"coar/internal/fault"
	"coar/internal/npy"
	"coar/internal/regress"
	"coar/internal/store"
	"coar/internal/study"
)

// fitOptions are the flags of coar fit.
type fitOptions struct {
	*globals
	run      string
	method   string
	lambda   string
	examples string
	split    string
	compare  bool
	fit      regress.Options
	memory   string
	moved    study.Relocation
}

func newFit(g *globals) *cobra.Command {
	o := &fitOptions{globals: g}
	cmd := &cobra.Command{
		Use:   "fit RUN",
		Short: "Regress every example's margins on what was kept: its attributions",
		Long: `Fits, for every example, margin = intercept + sum of the attributions of the kept components, in logits.
RUN is a run directory, or any directory with masks.npy, SPLIT_margins.npy and _completed.npy.
lambda is chosen per example by the error on held-out rows, then the fit is repeated on all rows.`,
		Args: oneRun,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.run = args[0]
			return runFit(cmd, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.method, "method", "lasso", "lasso, ridge or ols")
	f.StringVar(&o.lambda, "lambda", "auto", "penalty in logits for all examples; auto chooses one per example on held-out rows")
	f.IntVar(&o.fit.PathLength, "path-length", 50, "penalties tried by auto")
	f.Float64Var(&o.fit.PathRatio, "path-ratio", 1e-3, "smallest penalty tried, relative to the largest")
	f.Float64Var(&o.fit.ValFraction, "val-fraction", 0.1, "share of the rows held out")
	f.StringVar(&o.examples, "examples", "all", "fit only these of the run's examples; the others' attributions are zero")
	f.StringVar(&o.split, "split", "", "whose margins, where the directory holds several")
	f.BoolVar(&o.compare, "compare", true, "also report what the held-out rows say of the other methods, on up to 20 examples")
	f.StringVar(&o.memory, "memory", "4GB", "memory to stay within")
	f.StringVar(&o.moved.Weights, "weights", "", "check that this is the run's checkpoint; the fit itself does not read it")
	f.StringVar(&o.moved.Data, "data", "", "check that this is the run's data; the fit itself does not read it")
	f.IntVar(&o.fit.Workers, "workers", 0, "parallel workers; 0 takes every processor; results do not depend on it")
	return cmd
}

// comparedExamples is how many examples the other methods are tried on.
const comparedExamples = 20

func runFit(cmd *cobra.Command, o *fitOptions) error {
	report, err := doFit(cmd, o)
	if err != nil {
		return err
	}
	w := o.out(cmd)
	if o.json {
		return printJSON(w, report)
	}
	fmt.Fprintf(w, "%s on %d rows of %d components, %d examples\n", report.Method, report.Rows, report.Components, report.Examples)
	if v := report.Validation; v != nil {
		fmt.Fprintf(w, "held-out rows: correlation %.3f, mean squared error %.4g (intercept alone %.4g)\n", v.Correlation, v.MSE, v.NullMSE)
	}
	if report.MinimumNorm {
		fmt.Fprintln(w, "more components than independent rows: the least-norm solution was taken")
	}
	fmt.Fprintf(w, "largest duality gap %.2g of the null objective; %.0f attributions per example are not zero\n", report.MaxGap, report.MeanNonZeros)
	for _, c := range report.Compared {
		switch {
		case c.Skipped != "":
			fmt.Fprintf(w, "  %-5s not tried: %s\n", c.Method, c.Skipped)
		case c.Validation != nil:
			fmt.Fprintf(w, "  %-5s held-out correlation %.3f, mean squared error %.4g on %d examples\n", c.Method, c.Validation.Correlation, c.Validation.MSE, min(comparedExamples, report.Examples))
		}
	}
	return nil
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
	source := study.NewComponentDataset(arrays, selected)
	rows, p, n := source.Shape()
	if rows == 0 {
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
	theta, err := dir.CreateArray(store.AttributionsName, npy.Float32, arrays.NExamples(), p)
	if err != nil {
		return nil, err
	}
	defer theta.Abort()
	intercepts, lambdas := make([]float32, arrays.NExamples()), make([]float32, arrays.NExamples())
	bar := o.newProgress(cmd.ErrOrStderr(), "examples", 0, n)
	defer bar.finish()
	reported := 0
	o.fit.Progress = func(done, _ int) { bar.add(done - reported); reported = done }
	summary, err := regress.Fit(cmd.Context(), source, o.fit, func(r regress.Result) error {
		for i := range r.Intercept {
			at := source.Example(r.First + i)
			intercepts[at], lambdas[at] = float32(r.Intercept[i]), float32(r.Lambda[i])
			if err := theta.WriteRowsFloat32(at, r.Theta[i*p:(i+1)*p]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	report := &study.Fit{Summary: summary, Split: arrays.Split(), Selected: selected}
	if o.compare && o.fit.ValFraction > 0 {
		if report.Compared, err = regress.CompareMethods(cmd.Context(), source, o.fit, firstExamples(n)); err != nil {
			return nil, err
		}
	}
	return report, o.save(dir, theta, intercepts, lambdas, report)
}

// staleAfterFit are results that rest on the attributions and would be taken for the new ones'. Measured rows stay.
var staleAfterFit = []string{store.EvaluationName, "evaluation/evaluation.csv", "evaluation/scatter.png", "evaluation/correlation.png"}

// save writes the results, attributions last, and seals them. Attributions of an earlier fit go first: stopped in between,
// there are none, rather than some beside the intercepts of another fit.
func (o *fitOptions) save(dir *store.Dir, theta *store.ArrayWriter, intercepts, lambdas []float32, report *study.Fit) error {
	for _, name := range staleAfterFit {
		if _, err := os.Stat(filepath.Join(dir.Path(), filepath.FromSlash(name))); err != nil {
			continue
		}
		if err := dir.Remove(name); err != nil {
			return err
		}
	}
	if err := dir.Remove(store.AttributionsName); err != nil {
		return err
	}
	if err := dir.WriteFloat32(store.InterceptName, intercepts, len(intercepts)); err != nil {
		return err
	}
	if err := dir.WriteFloat32(store.LambdaName, lambdas, len(lambdas)); err != nil {
		return err
	}
	if err := dir.WriteJSON(store.FitName, report); err != nil {
		return err
	}
	if err := theta.Commit(); err != nil {
		return err
	}
	return dir.Seal(store.InterceptName, store.LambdaName, store.FitName, store.AttributionsName)
}

// parse checks the flags.
func (o *fitOptions) parse() error {
	o.fit.Method = regress.Method(o.method)
	switch o.fit.Method {
	case regress.Lasso, regress.Ridge, regress.OLS:
	default:
		return fault.Usagef("--method %q: want lasso, ridge or ols", o.method)
	}
	o.fit.Lambda = -1
	if o.lambda != "auto" {
		v, err := strconv.ParseFloat(o.lambda, 64)
		if err != nil || !(v >= 0) || v > 1e300 {
			return fault.Usagef("--lambda %q: want auto or a number from 0 on", o.lambda)
		}
		o.fit.Lambda = v
	}
	if o.fit.PathLength < 1 || !(o.fit.PathRatio > 0 && o.fit.PathRatio < 1) || !(o.fit.ValFraction >= 0 && o.fit.ValFraction <= 0.9) {
		return fault.Usagef("want --path-length from 1 on, --path-ratio between 0 and 1, --val-fraction from 0 to 0.9")
	}
	memory, err := bytesOf(o.memory)
	if err != nil {
		return fault.Usagef("--memory: %v", err)
	}
	o.fit.Memory = memory
	return nil
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
