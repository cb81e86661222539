package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"

	"coar/internal/evaluate"
	"coar/internal/regress"
	"coar/internal/report"
	"coar/internal/store"
	"coar/internal/study"
)

// fewestCurveRows is how many rows the smallest regression of a learning curve has.
const fewestCurveRows = 40

// comparePlain says what a regression of hard rows alone would have cost for the correlation that s has; nil where the
// attributions rest on no gradient rows, or the run has hard rows too few for a curve. Ridge regressions of the first rows of
// the run, an eighth of them, a quarter, half and all, are scored on the fresh rows of s, for a sample of the examples. Those
// that do not fit into memory are left out: what was measured is worth more than this comparison.
func comparePlain(ctx context.Context, o *evaluateOptions, m *store.Manifest, s *scoredFraction, workers int, memory int64) (*evaluate.Plain, error) {
	var fit study.Fit
	if err := store.ReadJSON(o.run, store.FitName, &fit); err != nil {
		return nil, err
	}
	if fit.GradientRows == 0 || fit.Kept == study.KeptPlain || !s.Trained {
		return nil, nil
	}
	arrays, err := store.OpenArrays(o.run, m.Split)
	if err != nil {
		return nil, err
	}
	defer arrays.Close()
	sample := firstExamples(len(s.Scores))
	var selected []int
	plain := &evaluate.Plain{Examples: len(sample), HardRows: fit.Rows, GradientRows: fit.GradientRows}
	for _, i := range sample {
		selected = append(selected, s.examples[i])
		plain.Correlation += evaluate.Number(s.Scores[i].Correlation / float64(len(sample)))
	}
	dataset := study.NewComponentDataset(arrays, selected)
	plain.ForwardPasses = float64(plain.HardRows) + evaluate.GradientCost*float64(plain.GradientRows)
	rows := s.rows.Only(sample)
	all, _, _ := dataset.Shape() // rows added after the fit are as good for the curve
	if all/2 < fewestCurveRows {
		return nil, nil
	}
	var tooLarge []int
	for _, part := range []int{8, 4, 2, 1} {
		n := all / part
		if n < fewestCurveRows {
			continue
		}
		correlation, err := plainCorrelation(ctx, firstRows{dataset, n}, rows, workers, memory)
		if tooMuch := (*regress.MemoryError)(nil); errors.As(err, &tooMuch) {
			tooLarge = append(tooLarge, n)
			continue
		}
		if err != nil {
			return nil, err
		}
		plain.Curve = append(plain.Curve, evaluate.CurvePoint{Rows: n, Correlation: evaluate.Number(correlation)})
	}
	compared := len(plain.Curve) >= 2
	if len(tooLarge) > 0 {
		what := "some regressions of hard rows alone do not fit into --memory; what they would cost is told from the others"
		if !compared {
			what = "regressions of hard rows alone do not fit into --memory; what they would cost is not told"
		}
		slog.Warn(what, "memory", o.resources.memory, "rows", tooLarge)
	}
	if !compared {
		return nil, nil
	}
	plain.Solve()
	return plain, nil
}

// plainCorrelation fits ridge regressions to source and scores them on rows.
func plainCorrelation(ctx context.Context, source regress.Source, rows evaluate.Rows, workers int, memory int64) (float64, error) {
	_, p, n := source.Shape()
	theta := make([]float32, n*p)
	rows.Intercepts = make([]float32, n)
	options := regress.Options{Method: regress.Ridge, Lambda: -1, ValFraction: 0.1, Workers: workers, Memory: memory}
	_, err := regress.Fit(ctx, source, options, func(r regress.Result) error {
		copy(theta[r.First*p:], r.Theta)
		for i, b := range r.Intercept {
			rows.Intercepts[r.First+i] = float32(b)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	rows.Attribution = func(i int, dst []float32) error {
		copy(dst, theta[i*p:(i+1)*p])
		return nil
	}
	scored, err := evaluate.Score(ctx, rows, evaluate.Options{Workers: workers})
	return float64(scored.Correlation.Mean), err
}

// firstRows is a component dataset cut to its first rows.
type firstRows struct {
	*study.ComponentDataset
	n int
}

func (f firstRows) Shape() (nRows, nComponents, nExamples int) {
	_, nComponents, nExamples = f.ComponentDataset.Shape()
	return f.n, nComponents, nExamples
}

func (f firstRows) Margins(first, last int, dst []float32) error {
	nRows, _, _ := f.ComponentDataset.Shape()
	all := make([]float32, nRows*(last-first))
	if err := f.ComponentDataset.Margins(first, last, all); err != nil {
		return err
	}
	copy(dst, all)
	return nil
}

// plainText says the comparison in a sentence or two.
func plainText(p *evaluate.Plain) string {
	own := fmt.Sprintf("the attributions took %d rows and %d gradient rows, the work of %.0f forward passes per example; regressing rows alone", p.HardRows, p.GradientRows, p.ForwardPasses)
	rows, measured := float64(p.Rows), p.Curve[len(p.Curve)-1].Rows
	switch {
	case math.IsNaN(rows) || math.IsInf(rows, 0):
		return fmt.Sprintf("%s: what it would take cannot be told from %d rows", own, measured)
	case p.Extrapolated:
		return fmt.Sprintf("%s would take %s rows for the same correlation, %s times as much (extrapolated from %d rows)", own, plainRows(p), plainTimes(p), measured)
	}
	return fmt.Sprintf("%s takes %s rows for the same correlation, %s times as much (measured on the run's own rows)", own, plainRows(p), plainTimes(p))
}

// plainRows words a finite number of rows that a regression of them alone takes. Rounded to two digits, what lies just beyond the rows that
// were measured could be these, which were found too few; and the smallest regression that was tried may have more than it takes.
func plainRows(p *evaluate.Plain) string {
	rows, last := float64(p.Rows), p.Curve[len(p.Curve)-1].Rows
	switch {
	case p.Extrapolated && rows < 1.1*float64(last):
		return fmt.Sprintf("a little over %d", last)
	case p.Extrapolated:
		return "roughly " + roughly(rows)
	}
	return fmt.Sprintf("%s%.0f", plainBound(p), rows)
}

// plainTimes words how many times the run's own work that is.
func plainTimes(p *evaluate.Plain) string {
	times := float64(p.Rows) / p.ForwardPasses
	if p.Extrapolated {
		return roughly(times)
	}
	return fmt.Sprintf("%s%.1f", plainBound(p), times)
}

// plainBound stands before measured figures that are no more than a bound.
func plainBound(p *evaluate.Plain) string {
	if float64(p.Rows) <= float64(p.Curve[0].Rows) {
		return "at most "
	}
	return ""
}

// plainFigure draws the comparison.
func plainFigure(p *evaluate.Plain) report.Figure {
	c := report.CostCurve{Title: "What gradients saved", Subtitle: fmt.Sprintf("mean correlation over %d examples; dashed: extrapolated", p.Examples),
		Run:      report.CostPoint{Passes: p.ForwardPasses, Correlation: float64(p.Correlation)},
		RunLabel: fmt.Sprintf("%d rows + %d gradient rows", p.HardRows, p.GradientRows)}
	for _, at := range p.Curve {
		c.Measured = append(c.Measured, report.CostPoint{Passes: float64(at.Rows), Correlation: float64(at.Correlation)})
	}
	if p.Extrapolated {
		last := float64(p.Curve[len(p.Curve)-1].Rows)
		end := min(max(float64(p.Rows), 2*last), 1000*last)
		const steps = 40
		for i := range steps + 1 {
			m := last * math.Pow(end/last, float64(i)/steps)
			c.Extrapolated = append(c.Extrapolated, report.CostPoint{Passes: m, Correlation: p.At(m)})
		}
	}
	return c.Figure()
}
