package evaluate

import (
	"cmp"
	"math"
	"slices"
)

// summary combines the blocks, in order.
func (s *scorer) summary(options Options) Fraction {
	n := float64(s.rows.NExamples)
	f := Fraction{
		Fraction: s.rows.Fraction, Rows: s.rows.NRows, Examples: s.rows.NExamples,
		Worst: worst(s.scores), Scores: s.scores,
	}
	correlations := make([]float64, len(s.scores))
	sse := 0.0
	for i, e := range s.scores {
		correlations[i] = e.Correlation
		if e.Undefined {
			f.Correlation.Undefined++
		}
		sse += s.moments[i].sse
	}
	f.MSE = Number(sse / n / float64(s.rows.NRows))
	f.Correlation.Mean = Number(mean(correlations))
	f.Correlation.Draws, f.Correlation.Seed = options.Draws, options.Seed

	draws := make([]float64, options.Draws)
	for d := range draws {
		for _, block := range s.sums {
			draws[d] += block[d]
		}
		draws[d] /= n
	}
	slices.Sort(draws)
	f.Correlation.Low, f.Correlation.High = Number(quantile(draws, 0.025)), Number(quantile(draws, 0.975))

	slices.Sort(correlations)
	f.Correlation.Q1 = Number(quantile(correlations, 0.25))
	f.Correlation.Median = Number(quantile(correlations, 0.5))
	f.Correlation.Q3 = Number(quantile(correlations, 0.75))

	f.R2, f.CalibrationSlope = pooled(s.scores, s.moments)
	return f
}

// pooled returns R² and the calibration slope over all examples at once, and over single examples.
func pooled(scores []Example, moments []centred) (r2, slope Pooled) {
	var sse, mm, pp, pm float64
	var r2s, slopes []float64
	for i, m := range moments {
		if m.mm > 0 {
			sse += m.sse
			mm += m.mm
			r2s = append(r2s, scores[i].R2)
		}
		if m.pp > 0 {
			pp += m.pp
			pm += m.pm
			slopes = append(slopes, scores[i].Slope)
		}
	}
	return spread(1-sse/mm, r2s), spread(pm/pp, slopes)
}

// spread pairs a pooled statistic with the mean and median of its values on single examples; all NaN where there are none.
func spread(pooled float64, single []float64) Pooled {
	if len(single) == 0 {
		return Pooled{Number(math.NaN()), Number(math.NaN()), Number(math.NaN())}
	}
	slices.Sort(single)
	return Pooled{Pooled: Number(pooled), Mean: Number(mean(single)), Median: Number(quantile(single, 0.5))}
}

// worst lists the examples of lowest correlation, ascending; the earlier in the run first among equals.
func worst(scores []Example) []Worst {
	sorted := slices.Clone(scores)
	slices.SortStableFunc(sorted, func(a, b Example) int { return cmp.Compare(a.Correlation, b.Correlation) })
	var list []Worst
	for _, e := range sorted[:min(worstListed, len(sorted))] {
		list = append(list, Worst{ID: e.ID, Label: e.Label, Correlation: Number(e.Correlation)})
	}
	return list
}

// quantile interpolates linearly between the two nearest order statistics of sorted, which has at least one value.
func quantile(sorted []float64, q float64) float64 {
	position := q * float64(len(sorted)-1)
	below := int(position)
	if below+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[below] + (position-float64(below))*(sorted[below+1]-sorted[below])
}
