package main

import (
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/spf13/cobra"

	"coar/internal/fault"
	"coar/internal/regress"
	"coar/internal/study"
)

// fitOptions are the flags of coar fit.
type fitOptions struct {
	*globals
	run      string
	prior    string
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
		Short: "Turn gradient sums and margins into attributions",
		Long: `Fits, for every example, margin = intercept + sum of the attributions of the kept components, in logits.
RUN is a run directory, or any directory with masks.npy, SPLIT_margins.npy and _completed.npy.

Where the run has gradient rows, their attributions come first, multiplied by a factor for each component group where that
helps, and the regression fits what they leave of the margins: by default a ridge that may move components further the larger
their attributions are. Held-out rows decide whether that is kept, or the gradient attributions alone, or a regression without
them. Standard errors go to attributions_se.npy. Fewer than 20 held-out rows decide nothing: the gradient attributions stand alone.
With --lambda that regression is kept, whatever held-out rows say of it. Otherwise lambda is chosen per example by the error on
held-out rows, then the fit is repeated on all rows.`,
		Args: oneRun,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.run = args[0]
			return runFit(cmd, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.prior, "prior", "auto", "gradient: use the gradient rows, an error where the run has none; none: hard rows alone; auto: gradient where there are any")
	f.StringVar(&o.method, "method", "auto", "lasso, ridge or ols; auto: ridge of what gradient attributions leave, lasso without them")
	f.StringVar(&o.lambda, "lambda", "auto", "penalty in logits for all examples; auto chooses one per example on held-out rows")
	f.IntVar(&o.fit.PathLength, "path-length", 50, "penalties tried by auto")
	f.Float64Var(&o.fit.PathRatio, "path-ratio", 1e-3, "smallest penalty tried, relative to the largest")
	f.Float64Var(&o.fit.ValFraction, "val-fraction", 0.1, "share of the rows held out")
	f.StringVar(&o.examples, "examples", "all", "fit only these of the run's examples; the others' attributions are zero")
	f.StringVar(&o.split, "split", "", "whose margins, where the directory holds several")
	f.BoolVar(&o.compare, "compare", true, "also try the other methods and, with gradient rows, a regression without them, on up to 20 examples; that is kept where held-out rows favour it")
	f.StringVar(&o.memory, "memory", "4GB", "memory to stay within")
	f.StringVar(&o.moved.Weights, "weights", "", "check that this is the run's checkpoint; the fit itself does not read it")
	f.StringVar(&o.moved.Data, "data", "", "check that this is the run's data; the fit itself does not read it")
	f.IntVar(&o.fit.Workers, "workers", 0, "parallel workers; 0 takes every processor; results do not depend on it")
	return cmd
}

func runFit(cmd *cobra.Command, o *fitOptions) error {
	report, err := doFit(cmd, o)
	if err != nil {
		return err
	}
	if o.json {
		return printJSON(o.out(cmd), report)
	}
	printFit(o.out(cmd), report)
	return nil
}

// printFit says in a few lines what the fit was and what held-out rows say of it.
func printFit(w io.Writer, r *study.Fit) {
	if r.GradientRows > 0 && r.Kept != study.KeptPlain {
		fmt.Fprintf(w, "gradient attributions of %d components from %d gradient rows, %d examples\n", r.Components, r.GradientRows, r.Examples)
	}
	if r.Kept != study.KeptGradient {
		what := ""
		if r.Kept == study.KeptBoth {
			what = " of what they leave"
		}
		fmt.Fprintf(w, "%s%s on %d rows of %d components, %d examples\n", r.Method, what, r.Rows, r.Components, r.Examples)
	}
	if c := r.Calibration; c != nil && c.Kept && r.Kept != study.KeptPlain {
		fmt.Fprintf(w, "a factor for each component group takes their error on held-out rows from %.3f to %.3f of the variance\n", c.Before, c.After)
	}
	if v := r.Validation; v != nil {
		fmt.Fprintf(w, "held-out rows: correlation %.3f, mean squared error %.4g (intercept alone %.4g)\n", v.Correlation, v.MSE, v.NullMSE)
	}
	for _, c := range r.Candidates {
		mark := " "
		if c.Name == r.Kept {
			mark = "*"
		}
		beside := ""
		if c.OthersMSE > 0 {
			beside = fmt.Sprintf(", where the better of the others has %.4g", c.OthersMSE)
		}
		fmt.Fprintf(w, "%s %-17s held-out correlation %.3f, mean squared error %.4g on %d examples%s\n", mark, c.Name, c.Correlation, c.MSE, c.Examples, beside)
	}
	if r.MinimumNorm {
		fmt.Fprintln(w, "the rows do not tell all components apart: the least-norm solution was taken")
	}
	if r.Kept != study.KeptGradient {
		fmt.Fprintf(w, "largest duality gap %.2g of the null objective; %.0f fitted coefficients per example are not zero\n", r.MaxGap, r.MeanNonZeros)
	}
	for _, c := range r.Compared {
		switch {
		case c.Skipped != "":
			fmt.Fprintf(w, "  %-5s not tried: %s\n", c.Method, c.Skipped)
		case c.Validation != nil:
			fmt.Fprintf(w, "  %-5s held-out correlation %.3f, mean squared error %.4g on %d examples\n", c.Method, c.Validation.Correlation, c.Validation.MSE, min(comparedExamples, r.Examples))
		}
	}
}

// parse checks the flags.
func (o *fitOptions) parse() error {
	if o.prior != "auto" && o.prior != "gradient" && o.prior != "none" {
		return fault.Usagef("--prior %q: want gradient, none or auto", o.prior)
	}
	o.fit.Method = regress.Method(o.method)
	switch o.fit.Method {
	case "auto", regress.Lasso, regress.Ridge, regress.OLS:
	default:
		return fault.Usagef("--method %q: want lasso, ridge, ols or auto", o.method)
	}
	o.fit.Lambda = -1
	if o.lambda != "auto" {
		v, err := strconv.ParseFloat(o.lambda, 64)
		if err != nil || !(v >= 0) || v > math.MaxFloat32 {
			return fault.Usagef("--lambda %q: want auto or a number from 0 on, at most %.2g", o.lambda, math.MaxFloat32)
		}
		o.fit.Lambda = v
	}
	if o.fit.PathLength < 1 || !(o.fit.PathRatio > 0 && o.fit.PathRatio < 1) || !(o.fit.ValFraction >= 0 && o.fit.ValFraction <= 0.9) {
		return fault.Usagef("want --path-length from 1 on, --path-ratio between 0 and 1, --val-fraction from 0 to 0.9")
	}
	if err := checkWorkers(o.fit.Workers); err != nil {
		return err
	}
	var err error
	o.fit.Memory, err = parseMemory(o.memory)
	return err
}
