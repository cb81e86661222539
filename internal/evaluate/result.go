package evaluate

import (
	"encoding/json"
	"math"
)

// Results is evaluation.json, and what `coar evaluate --json` prints.
type Results struct {
	Fractions []Fraction `json:"fractions"`
	// Plain says what the run's correlation would have cost without gradients; nil where the run has none, or too few hard rows or
	// too little memory to tell.
	Plain *Plain `json:"plain,omitempty"`
}

// Fraction holds the scores of one test fraction.
type Fraction struct {
	Fraction float64 `json:"fraction"`
	Trained  bool    `json:"trained"` // the attributions were fitted on rows of this fraction; the caller sets it
	Rows     int     `json:"rows"`
	Examples int     `json:"examples"`

	Correlation      Correlation `json:"correlation"`
	MSE              Number      `json:"mse"` // squared logits, mean over rows and examples
	R2               Pooled      `json:"r2"`
	CalibrationSlope Pooled      `json:"calibration_slope"`

	Worst []Worst `json:"worst"` // lowest correlations, ascending

	// Scores has one entry per example, in the run's order. It goes to the CSV.
	Scores []Example `json:"-"`
}

// Correlation summarises the examples' Pearson correlations between predicted and measured margins over rows.
// An example with a constant side counts as 0 throughout.
type Correlation struct {
	Mean Number `json:"mean"`
	// Low and High bound the mean: 95 % percentile bootstrap over rows, every draw resampling the rows of all examples together.
	Low       Number `json:"low"`
	High      Number `json:"high"`
	Q1        Number `json:"q1"`
	Median    Number `json:"median"`
	Q3        Number `json:"q3"`
	Undefined int    `json:"undefined"` // how many examples had a constant side
	Draws     int    `json:"draws"`     // how many bootstrap draws Low and High rest on
	Seed      uint64 `json:"seed"`
}

// Pooled is a statistic over all examples at once, and how it spreads over single examples.
// Deviations are always taken from the example's own means, so that examples merely differing in level count for nothing.
type Pooled struct {
	Pooled Number `json:"pooled"`
	// Mean and Median are over the examples for which the statistic is defined.
	Mean   Number `json:"mean"`
	Median Number `json:"median"`
}

// Worst names an example that attributions predict badly.
type Worst struct {
	ID          string `json:"id"`
	Label       string `json:"label"`
	Correlation Number `json:"correlation"`
}

// Example holds the scores of one example.
type Example struct {
	ID, Label   string
	Correlation float64 // 0 where undefined
	Undefined   bool    // predicted or measured margins are the same on all rows
	MSE         float64 // squared logits
	// R2 is 1 - Σ(measured - predicted)² / Σ(measured - mean measured)²; NaN where measured is constant.
	R2 float64
	// Slope and Intercept are the least-squares line of measured on predicted, 1 and 0 at best; NaN where predicted is constant.
	Slope, Intercept float64
}

// Number is a float64 whose JSON is null where it is not finite.
type Number float64

// MarshalJSON writes n, or null.
func (n Number) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(n)) || math.IsInf(float64(n), 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

// UnmarshalJSON reads a number, or null as NaN.
func (n *Number) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		*n = Number(math.NaN())
		return nil
	}
	return json.Unmarshal(text, (*float64)(n))
}
