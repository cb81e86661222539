package evaluate

import "math"

// centred holds one example's moments over rows, taken about its own means (two passes), in logits and squared logits.
type centred struct {
	n                           int
	meanPredicted, meanMeasured float64
	pp, mm, pm                  float64 // sums of squared and mixed deviations
	sse                         float64 // Σ(measured - predicted)²
	flatPredicted, flatMeasured bool    // the same value on all rows
}

func centre(predicted, measured []float64) centred {
	m := centred{n: len(predicted), flatPredicted: flat(predicted), flatMeasured: flat(measured)}
	m.meanPredicted, m.meanMeasured = mean(predicted), mean(measured)
	for row, p := range predicted {
		dp, dm := p-m.meanPredicted, measured[row]-m.meanMeasured
		m.pp += dp * dp
		m.mm += dm * dm
		m.pm += dp * dm
		residual := measured[row] - p
		m.sse += residual * residual
	}
	// A flat side's mean may be off by rounding; its deviations are zero all the same.
	if m.flatPredicted {
		m.pp, m.pm = 0, 0
	}
	if m.flatMeasured {
		m.mm, m.pm = 0, 0
	}
	return m
}

func (m centred) undefined() bool { return m.pp == 0 || m.mm == 0 }

func (m centred) correlation() float64 {
	if m.undefined() {
		return 0
	}
	return clampCorrelation(m.pm / math.Sqrt(m.pp) / math.Sqrt(m.mm))
}

// example turns the moments into the scores of an example.
func (m centred) example(id, label string) Example {
	e := Example{
		ID: id, Label: label,
		Correlation: m.correlation(),
		Undefined:   m.undefined(),
		MSE:         m.sse / float64(m.n),
		R2:          math.NaN(),
		Slope:       math.NaN(),
		Intercept:   math.NaN(),
	}
	if m.mm > 0 {
		e.R2 = 1 - m.sse/m.mm
	}
	if m.pp > 0 {
		e.Slope = m.pm / m.pp
		e.Intercept = m.meanMeasured - e.Slope*m.meanPredicted
	}
	return e
}

// clampCorrelation undoes rounding beyond ±1.
func clampCorrelation(r float64) float64 { return max(-1, min(1, r)) }

func flat(values []float64) bool {
	for _, v := range values {
		if v != values[0] {
			return false
		}
	}
	return true
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}
