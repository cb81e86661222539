package regress

// Summary describes a finished fit; it is what fit.json says.
type Summary struct {
	Method     Method  `json:"method"`
	LambdaRule string  `json:"lambda_rule"` // "validation", "fixed" or "none"
	PathLength int     `json:"path_length,omitempty"`
	PathRatio  float64 `json:"path_ratio,omitempty"`

	Rows               int    `json:"rows"`
	RowsHeldOut        int    `json:"rows_held_out"`
	Seed               uint64 `json:"seed"`
	Components         int    `json:"components"`
	ConstantComponents int    `json:"constant_components"` // ablated by no row or by every row: coefficient 0
	Examples           int    `json:"examples"`
	ConstantExamples   int    `json:"constant_examples"` // one value in every row: coefficients 0

	Solver      Solver `json:"solver"`
	MinimumNorm bool   `json:"minimum_norm"` // ols has many solutions (m <= p, or dependent components) and this is the least
	MemoryBytes int64  `json:"-"`            // planned for the largest moment; the only field that depends on the workers
	LeastBytes  int64  `json:"memory_bytes"` // that the solver can do with: one worker, one example at a time
	MemoryLimit int64  `json:"memory_limit"`

	// MaxGap is the largest Result.Gap. For lasso it is the duality gap, which bounds the distance to the minimum from above;
	// for ridge and ols the excess of the objective measured from the gradient left over.
	MaxGap       float64 `json:"max_gap"`
	NotConverged int     `json:"not_converged"` // examples that ran out of sweeps
	MeanNonZeros float64 `json:"mean_non_zeros"`
	AtPathEnd    int     `json:"at_path_end"` // examples whose λ is the smallest on the path: a longer path might fit better

	Validation *Validation `json:"validation,omitempty"` // nil where no rows are held out
}

// Validation is the mean over examples of what held-out rows say.
type Validation struct {
	MSE         float64 `json:"mse"`
	NullMSE     float64 `json:"null_mse"`
	Correlation float64 `json:"correlation"` // undefined ones count as 0
	Undefined   int     `json:"undefined"`   // examples with constant predictions or margins

	// Of the prior attributions alone, where the fit started from some; mse and correlation above are then of both together.
	PriorMSE         float64 `json:"prior_mse,omitempty"`
	PriorCorrelation float64 `json:"prior_correlation,omitempty"`
}

// Solver names how the normal equations are held.
type Solver string

const (
	// SolverGram holds the p x p Gram matrix of the components.
	SolverGram Solver = "gram"
	// SolverRows works on the packed rows and each example's residuals.
	SolverRows Solver = "rows"
	// SolverKernel holds the m x m Gram matrix of the rows.
	SolverKernel Solver = "kernel"
)
