package evaluate

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
)

// WriteJSON writes r as indented JSON, the object documented at Results.
func (r Results) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(r); err != nil {
		return fmt.Errorf("evaluate: write the results as JSON: %w", err)
	}
	return nil
}

// WriteCSV writes one line per fraction and example under a header. What is undefined is left empty, save the correlation, which counts as 0.
func (r Results) WriteCSV(w io.Writer) error {
	lines := csv.NewWriter(w)
	header := []string{"fraction", "id", "label", "correlation", "undefined", "mse", "r2", "calibration_slope", "calibration_intercept"}
	if err := lines.Write(header); err != nil {
		return fmt.Errorf("evaluate: write the results as CSV: %w", err)
	}
	for _, f := range r.Fractions {
		for _, e := range f.Scores {
			err := lines.Write([]string{
				decimal(f.Fraction), e.ID, e.Label, decimal(e.Correlation), strconv.FormatBool(e.Undefined),
				decimal(e.MSE), decimal(e.R2), decimal(e.Slope), decimal(e.Intercept),
			})
			if err != nil {
				return fmt.Errorf("evaluate: write example %s as CSV: %w", e.ID, err)
			}
		}
	}
	lines.Flush()
	if err := lines.Error(); err != nil {
		return fmt.Errorf("evaluate: write the results as CSV: %w", err)
	}
	return nil
}

// decimal writes the shortest decimal that reads back as v, and nothing where v is not finite.
func decimal(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return ""
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}
