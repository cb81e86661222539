package evaluate

import (
	"context"
	"testing"
)

// BenchmarkScore scores 1,000 examples of a network with 2,304 components on 1,000 rows, 1,000 bootstrap draws:
//
//	go test -bench Score -benchtime 1x ./internal/evaluate
func BenchmarkScore(b *testing.B) {
	rows := randomRows(1, 1000, 2304, 10, 3)
	rows.NExamples = 1000
	few, margins := rows.Attribution, rows.Margins
	rows.Attribution = func(example int, dst []float32) error { return few(example%10, dst) }
	rows.Margins = func(row, _ int, dst []float32) error {
		for i := 0; i < len(dst); i += 10 {
			if err := margins(row, 0, dst[i:min(i+10, len(dst))]); err != nil {
				return err
			}
		}
		return nil
	}
	for len(rows.IDs) < rows.NExamples {
		rows.IDs, rows.Labels, rows.Intercepts = append(rows.IDs, ""), append(rows.Labels, ""), append(rows.Intercepts, 1)
	}
	for b.Loop() {
		if _, err := Score(context.Background(), rows, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
