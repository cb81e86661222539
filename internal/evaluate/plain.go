package evaluate

import "math"

// Plain compares a run that used gradients with a regression of margins alone, on the same examples and fresh rows.
type Plain struct {
	Examples    int          `json:"examples"`    // that both were scored on
	Correlation Number       `json:"correlation"` // of the run's attributions on these
	Curve       []CurvePoint `json:"curve"`       // of ridge regressions on the first rows of the run, ascending
	// Rows is how many rows the regression takes for the run's correlation; null where nothing can be said.
	Rows Number `json:"rows"`
	// Extrapolated says that this lies beyond the rows that the run has, along rho² = m/(m+b) through the curve's end: a
	// lower bound, because a regression's correlation levels off below 1.
	Extrapolated bool `json:"extrapolated"`

	HardRows      int     `json:"hard_rows"` // that the attributions rest on, as GradientRows
	GradientRows  int     `json:"gradient_rows"`
	ForwardPasses float64 `json:"forward_passes"` // per example that both cost together, a gradient row counting GradientCost
}

// CurvePoint is one regression.
type CurvePoint struct {
	Rows        int    `json:"rows"`
	Correlation Number `json:"correlation"`
}

// GradientCost is the forward passes that a gradient row counts for.
const GradientCost = 2.5

// Solve fills Rows and Extrapolated: between two points of the curve in the logarithm of the rows, beyond its end as
// Extrapolated says.
func (p *Plain) Solve() {
	target := float64(p.Correlation)
	for i, at := range p.Curve {
		if float64(at.Correlation) < target {
			continue
		}
		if i == 0 {
			p.Rows = Number(at.Rows)
			return
		}
		before := p.Curve[i-1]
		t := (target - float64(before.Correlation)) / float64(at.Correlation-before.Correlation)
		p.Rows = Number(math.Exp(math.Log(float64(before.Rows))*(1-t) + math.Log(float64(at.Rows))*t))
		return
	}
	p.Extrapolated = true
	p.Rows = Number(target * target / (1 - target*target) * p.half())
}

// At is the correlation that the extrapolation gives a regression on m rows; NaN where there is none.
func (p *Plain) At(m float64) float64 { return math.Sqrt(m / (m + p.half())) }

// half is b of the extrapolation, the rows at which it predicts half the variance; NaN where the curve's end is not
// positive.
func (p *Plain) half() float64 {
	if len(p.Curve) == 0 {
		return math.NaN()
	}
	last := p.Curve[len(p.Curve)-1]
	rho := float64(last.Correlation)
	if !(rho > 0) {
		return math.NaN()
	}
	return float64(last.Rows) * (1/(rho*rho) - 1)
}
