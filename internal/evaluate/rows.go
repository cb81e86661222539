package evaluate

import (
	"fmt"
	"math"

	"coar/internal/fault"
)

// Rows is what one test fraction is scored on: freshly drawn rows, the margins measured on them, and the attributions under test.
//
// The functions need not be safe for concurrent use. They write the whole of the slice that they are given.
type Rows struct {
	Fraction                      float64
	NRows, NComponents, NExamples int

	// Keep writes a row's keep-vector [NComponents].
	Keep func(row int, keep []bool) error
	// Margins writes the margins measured on a row, in logits, of the len(margins) examples that begin with first.
	Margins func(row, first int, margins []float32) error
	// Attribution writes an example's theta [NComponents], in logits.
	Attribution func(example int, theta []float32) error
	Intercepts  []float32 // [NExamples], logits

	IDs, Labels []string // [NExamples]
}

// Only returns the same rows for some of the examples. Attributions are left out.
func (r Rows) Only(examples []int) Rows {
	margins := r.Margins
	all := make([]float32, r.NExamples)
	only := r
	only.NExamples, only.Intercepts, only.Attribution = len(examples), nil, nil
	only.IDs, only.Labels = nil, nil
	for _, i := range examples {
		only.IDs, only.Labels = append(only.IDs, r.IDs[i]), append(only.Labels, r.Labels[i])
	}
	only.Margins = func(row, first int, dst []float32) error {
		err := margins(row, 0, all)
		for i := range dst {
			dst[i] = all[examples[first+i]]
		}
		return err
	}
	return only
}

// check refuses sizes that contradict each other.
func (r Rows) check() error {
	switch {
	case r.NRows < 1:
		return fault.Missingf("evaluate: no measured row at fraction %v; measure some first", r.Fraction)
	case r.NExamples < 1:
		return fault.Missingf("evaluate: no fitted example; run coar fit first")
	case r.NComponents < 1:
		return fault.Conflictf("evaluate: the rows have no components")
	case len(r.Intercepts) != r.NExamples || len(r.IDs) != r.NExamples || len(r.Labels) != r.NExamples:
		return fault.Conflictf("evaluate: %d examples but %d intercepts, %d ids and %d labels",
			r.NExamples, len(r.Intercepts), len(r.IDs), len(r.Labels))
	}
	return nil
}

// attribution reads the theta of one example and refuses values that are not finite.
func (r Rows) attribution(example int, theta []float32) error {
	if err := r.Attribution(example, theta); err != nil {
		return fmt.Errorf("evaluate: read attributions of example %s: %w", r.IDs[example], err)
	}
	for c, v := range theta {
		if !finite(v) {
			return fault.InFile("", "evaluate: the attribution of example %s, component %d is not finite; fit the run again", r.IDs[example], c)
		}
	}
	if !finite(r.Intercepts[example]) {
		return fault.InFile("", "evaluate: the intercept of example %s is not finite; fit the run again", r.IDs[example])
	}
	return nil
}

// margins reads the measured margins of consecutive examples on one row and refuses values that are not finite.
func (r Rows) margins(row, first int, margins []float32) error {
	if err := r.Margins(row, first, margins); err != nil {
		return fmt.Errorf("evaluate: read margins of row %d: %w", row, err)
	}
	for i, v := range margins {
		if !finite(v) {
			return fault.InFile("", "evaluate: the margin of row %d, example %s is not finite; measure the row again", row, r.IDs[first+i])
		}
	}
	return nil
}

func finite(v float32) bool { return !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0) }
