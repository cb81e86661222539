package regress

import (
	"fmt"
	"math"
	"runtime"
	"slices"

	"coar/internal/fault"
)

// complete checks the options and fills in defaults.
func (o Options) complete() (Options, error) {
	if o.Method == "" {
		o.Method = Lasso
	}
	if o.PathLength == 0 {
		o.PathLength = 50
	}
	if o.PathRatio == 0 {
		o.PathRatio = 1e-3
	}
	if o.Memory == 0 {
		o.Memory = 4 << 30
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	switch {
	case o.Method != Lasso && o.Method != Ridge && o.Method != OLS:
		return o, fault.Usagef("--method %q is not one of lasso, ridge, ols", string(o.Method))
	case math.IsNaN(o.Lambda) || math.IsInf(o.Lambda, 0):
		return o, fault.Usagef("--lambda %v is not a finite number", o.Lambda)
	case o.Method != OLS && o.Lambda == 0:
		return o, fault.Usagef("--lambda 0 makes %s least squares: use --method ols", o.Method)
	case o.Method == OLS && o.Lambda > 0:
		return o, fault.Usagef("--lambda %v has no meaning for --method ols: leave it out, or use ridge or lasso", o.Lambda)
	case o.PathLength < 1 || o.PathLength > 10000:
		return o, fault.Usagef("--path-length %d is not between 1 and 10000", o.PathLength)
	case !(o.PathRatio > 0 && o.PathRatio < 1):
		return o, fault.Usagef("--path-ratio %v is not between 0 and 1", o.PathRatio)
	case !(o.ValFraction >= 0 && o.ValFraction <= 0.9):
		return o, fault.Usagef("--val-fraction %v is not between 0 and 0.9", o.ValFraction)
	case o.ValFraction == 0 && o.Method != OLS && o.Lambda < 0:
		return o, fault.Usagef("--val-fraction 0 leaves no rows to choose lambda by: hold some out, or give --lambda")
	case slices.ContainsFunc(o.Weights, func(w float64) bool { return !(w > 0) || math.IsInf(w, 1) }):
		return o, fmt.Errorf("regress: a weight is not positive and finite")
	case o.Memory < 0:
		return o, fault.Usagef("--memory %d is negative", o.Memory)
	}
	return o, nil
}

// CheckRows says whether there are rows enough to fit, and to hold some out.
func (o Options) CheckRows(nRows int) error {
	least := 2
	if o.ValFraction > 0 {
		least = 4
	}
	if nRows < least {
		return fault.Missingf("there are %d completed rows and a fit needs at least %d: measure more rows first", nRows, least)
	}
	return nil
}

// lambdaRule says where λ comes from, for the summary.
func (o Options) lambdaRule() string {
	switch {
	case o.Method == OLS:
		return "none"
	case o.Lambda >= 0:
		return "fixed"
	}
	return "validation"
}
