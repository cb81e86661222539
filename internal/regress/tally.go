package regress

// tally adds results up to a summary.
type tally struct {
	summary  Summary
	nonZeros int
	scored   Validation // sums
}

func newTally(d *design, opts Options, plan plan) *tally {
	t := &tally{summary: Summary{
		Method: opts.Method, LambdaRule: opts.lambdaRule(),
		Rows: d.nRows, RowsHeldOut: d.nHeld, Seed: opts.Seed,
		Components: d.nComponents, ConstantComponents: d.nConstant(),
		Solver: plan.solver, MemoryBytes: plan.bytes, LeastBytes: plan.least, MemoryLimit: opts.Memory,
	}}
	if t.summary.LambdaRule == "validation" {
		t.summary.PathLength, t.summary.PathRatio = opts.PathLength, opts.PathRatio
	}
	return t
}

// add takes in the first n examples of f.
func (t *tally) add(f *fitted, n int) {
	t.summary.Examples += n
	for e := range n {
		t.nonZeros += f.NonZeros[e]
		t.summary.MaxGap = max(t.summary.MaxGap, f.Gap[e])
		if f.constant[e] {
			t.summary.ConstantExamples++
		}
		if !f.Converged[e] {
			t.summary.NotConverged++
		}
		if f.atPathEnd[e] {
			t.summary.AtPathEnd++
		}
		if f.Validation != nil {
			score := f.Validation[e]
			t.scored.MSE += score.MSE
			t.scored.NullMSE += score.NullMSE
			t.scored.Correlation += score.Correlation
			t.scored.PriorMSE += score.PriorMSE
			t.scored.PriorCorrelation += score.PriorCorrelation
			if !score.Defined {
				t.scored.Undefined++
			}
		}
	}
}

func (t *tally) finish() Summary {
	s := t.summary
	n := float64(s.Examples)
	s.MeanNonZeros = float64(t.nonZeros) / n
	if s.RowsHeldOut > 0 {
		v := t.scored
		v.MSE /= n
		v.NullMSE /= n
		v.Correlation /= n
		v.PriorMSE /= n
		v.PriorCorrelation /= n
		s.Validation = &v
	}
	return s
}
