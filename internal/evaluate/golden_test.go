package evaluate

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"strconv"
	"testing"
)

// goldenCase is one case of testdata/golden.json, computed with numpy and scipy by testdata/golden.py.
type goldenCase struct {
	Keep       []string    `json:"keep"` // one string of 0 and 1 per row
	Theta      [][]float32 `json:"theta"`
	Intercepts []float32   `json:"intercepts"`
	Margins    [][]float32 `json:"margins"` // [rows][examples]
	Seed       uint64      `json:"seed"`
	Draws      int         `json:"draws"`
	Examples   []struct {
		Correlation, MSE     float64
		Undefined            bool
		R2, Slope, Intercept *float64
	} `json:"examples"`
	Mean, Low, High, Q1, Median, Q3, MSE float64
	R2, Slope                            struct{ Pooled, Mean, Median float64 }
}

func readGolden(t *testing.T) []goldenCase {
	t.Helper()
	text, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []goldenCase
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	return cases
}

func (g goldenCase) rows() Rows {
	keep := make([][]bool, len(g.Keep))
	for row, line := range g.Keep {
		for _, c := range line {
			keep[row] = append(keep[row], c == '1')
		}
	}
	return rowsOf(keep, g.Theta, g.Intercepts, g.Margins)
}

// rowsOf serves Rows from memory: keep [rows][components], theta [examples][components], margins [rows][examples].
func rowsOf(keep [][]bool, theta [][]float32, intercepts []float32, margins [][]float32) Rows {
	r := Rows{
		Fraction: 0.1, NRows: len(keep), NComponents: len(keep[0]), NExamples: len(theta),
		Keep:        func(row int, dst []bool) error { copy(dst, keep[row]); return nil },
		Margins:     func(row, first int, dst []float32) error { copy(dst, margins[row][first:]); return nil },
		Attribution: func(example int, dst []float32) error { copy(dst, theta[example]); return nil },
		Intercepts:  intercepts,
	}
	for i := range theta {
		r.IDs = append(r.IDs, strconv.Itoa(i))
		r.Labels = append(r.Labels, "cat")
	}
	return r
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-10*max(1, math.Abs(want))) {
		t.Errorf("%s = %.15g, want %.15g", what, got, want)
	}
}

func nearOrMissing(t *testing.T, what string, got float64, want *float64) {
	t.Helper()
	if want == nil {
		if !math.IsNaN(got) {
			t.Errorf("%s = %v, want it undefined", what, got)
		}
		return
	}
	near(t, what, got, *want)
}

func TestScoresAgreeWithScipy(t *testing.T) {
	for _, g := range readGolden(t) {
		f, err := Score(context.Background(), g.rows(), Options{Seed: g.Seed, Draws: g.Draws})
		if err != nil {
			t.Fatal(err)
		}
		undefined := 0
		for i, want := range g.Examples {
			got := f.Scores[i]
			name := "example " + got.ID + ": "
			near(t, name+"correlation", got.Correlation, want.Correlation)
			near(t, name+"MSE", got.MSE, want.MSE)
			nearOrMissing(t, name+"R2", got.R2, want.R2)
			nearOrMissing(t, name+"slope", got.Slope, want.Slope)
			nearOrMissing(t, name+"intercept", got.Intercept, want.Intercept)
			if got.Undefined != want.Undefined {
				t.Errorf("%sundefined %v, want %v", name, got.Undefined, want.Undefined)
			}
			if want.Undefined {
				undefined++
			}
		}
		c := f.Correlation
		if c.Undefined != undefined {
			t.Errorf("%d undefined, want %d", c.Undefined, undefined)
		}
		near(t, "mean", float64(c.Mean), g.Mean)
		near(t, "low", float64(c.Low), g.Low)
		near(t, "high", float64(c.High), g.High)
		near(t, "q1", float64(c.Q1), g.Q1)
		near(t, "median", float64(c.Median), g.Median)
		near(t, "q3", float64(c.Q3), g.Q3)
		near(t, "MSE", float64(f.MSE), g.MSE)
		near(t, "pooled R2", float64(f.R2.Pooled), g.R2.Pooled)
		near(t, "mean R2", float64(f.R2.Mean), g.R2.Mean)
		near(t, "median R2", float64(f.R2.Median), g.R2.Median)
		near(t, "pooled slope", float64(f.CalibrationSlope.Pooled), g.Slope.Pooled)
		near(t, "mean slope", float64(f.CalibrationSlope.Mean), g.Slope.Mean)
		near(t, "median slope", float64(f.CalibrationSlope.Median), g.Slope.Median)
	}
}

func TestPointsAreInterceptPlusSumOverKept(t *testing.T) {
	for _, g := range readGolden(t) {
		rows := g.rows()
		for example := range g.Theta {
			predicted, measured, err := rows.Points(example)
			if err != nil {
				t.Fatal(err)
			}
			for row := range g.Keep {
				want := float64(g.Intercepts[example])
				for c, v := range g.Theta[example] {
					if g.Keep[row][c] == '1' {
						want += float64(v)
					}
				}
				near(t, "predicted", predicted[row], want)
				near(t, "measured", measured[row], float64(g.Margins[row][example]))
			}
		}
	}
}
