package main

import (
	"strings"
	"testing"

	"coar/internal/evaluate"
)

// What is said of a regression alone is true of the rows that were measured: 300 of them that are too few are not what it takes.
func TestPlainText(t *testing.T) {
	for correlation, want := range map[evaluate.Number]string{
		0.8:    "takes at most 75 rows for the same correlation, at most 0.2 times as much (measured on the run's own rows)",
		0.86:   "takes 94 rows for the same correlation, 0.2 times as much (measured on the run's own rows)",
		0.9038: "would take a little over 300 rows for the same correlation, 0.69 times as much (extrapolated from 300 rows)",
		0.98:   "would take roughly 700 rows for the same correlation, 1.6 times as much (extrapolated from 300 rows)",
		1:      "cannot be told from 300 rows",
	} {
		p := &evaluate.Plain{Correlation: correlation, ForwardPasses: 450, HardRows: 300, GradientRows: 60,
			Curve: []evaluate.CurvePoint{{Rows: 75, Correlation: 0.85}, {Rows: 150, Correlation: 0.88}, {Rows: 300, Correlation: 0.9015}}}
		p.Solve()
		if got := plainText(p); !strings.HasSuffix(got, want) {
			t.Errorf("correlation %g: %q, want %q", float64(correlation), got, want)
		}
	}
}
