package regress

import "context"

// Source is the component dataset: keep rows shared by all examples, and the margins measured on them.
//
// Fit calls it from one goroutine at a time.
type Source interface {
	// Shape returns nRows (m), nComponents (p) and nExamples (n).
	Shape() (nRows, nComponents, nExamples int)
	// KeepRow fills dst, of length nComponents, with 1 where a component is kept in the row and 0 where it is ablated.
	KeepRow(row int, dst []byte) error
	// Margins fills dst, [nRows][last-first], with the margins of the examples [first, last), in logits.
	Margins(first, last int, dst []float32) error
}

// Prior is a Source that brings attributions of its own, found otherwise. Fit then fits what they leave of the margins:
// y less their predictions takes the place of y, and Result.Theta is to be added to them.
type Prior interface {
	Source
	// Predictions fills dst, [nRows][last-first], with what the prior attributions predict of the examples [first, last), in
	// logits, up to a constant of each example's own.
	Predictions(ctx context.Context, first, last int, dst []float32) error
}

// Method names the penalty on the attributions.
type Method string

const (
	// Lasso minimises (1/2m)‖y − b − Xθ‖² + λ‖θ‖₁.
	Lasso Method = "lasso"
	// Ridge minimises (1/2m)‖y − b − Xθ‖² + (λ/2)‖θ‖², which is scikit-learn's alpha = m·λ.
	Ridge Method = "ridge"
	// OLS minimises (1/2m)‖y − b − Xθ‖²; where that leaves a choice, it takes the θ of least norm.
	OLS Method = "ols"
)

// Options says what to fit and what it may cost. A zero value of a field that documents a default means that default.
type Options struct {
	Method      Method  // default Lasso
	Lambda      float64 // in the method's own units (see Method); < 0: chosen per example by validation
	PathLength  int     // number of λ on the path; default 50
	PathRatio   float64 // lasso: last λ over first. ridge: the path runs from s/ratio to s·ratio, s the mean non-zero eigenvalue; default 1e-3
	ValFraction float64 // share of the rows held out, in [0, 0.9]; 0 holds out none, and then Lambda must be given
	// Weights [nComponents], positive, say how far from 0 coefficients are expected: their variances, relative to each other.
	// The ridge's penalty becomes (λ/2)Σθ²/w; lasso and ols do without. nil: all 1.
	Weights []float64
	Memory  int64  // bytes that the fit may hold; default 4 GiB
	Workers int    // default GOMAXPROCS; results do not depend on it, bit for bit
	Seed    uint64 // which rows are held out

	Progress func(done, total int) // examples finished; may be nil; called from the goroutine that called Fit

	solver    Solver // tests force one
	scoreOnly bool   // stop once λ is chosen on the held-out rows: of the results there is Validation alone
}

// Result is the fit of the examples [First, First+len(Intercept)).
//
// Its slices are reused once emit returns.
type Result struct {
	First     int
	Theta     []float32 // [examples][nComponents], logits per kept component; exactly 0 for a component that no row or every row ablates
	Intercept []float64 // logits; Intercept + sum of Theta over kept components predicts the margin
	Lambda    []float64 // used on all rows; 0 for ols
	Gap       []float64 // how far the objective can be above its minimum, relative to that of the intercept alone (see Summary.MaxGap)
	Sweeps    []int     // coordinate descent sweeps, path and final fit together; 0 for ridge and ols
	Converged []bool    // false: the sweep limit came first, and Gap says how far it got
	NonZeros  []int     // components with Theta != 0

	Validation []Score // on the held-out rows, by the fit without them; nil where none are held out
}

// Score says how well held-out margins were predicted by a fit that did not see them.
//
// Where the source is a Prior, predictions are those of prior and fit together, and the prior's alone are scored beside them.
type Score struct {
	MSE         float64 // logits²
	NullMSE     float64 // of the intercept alone: the mean margin of the rows fitted
	Correlation float64 // Pearson, over the held-out rows; 0 where either side is constant
	Defined     bool    // false: either side was constant

	PriorMSE, PriorCorrelation float64 // of the prior with an intercept; 0 where there is none
}
