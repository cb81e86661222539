package evaluate

import "math"

// Plain compares a run that used gradients with a regression of margins alone, on the same examples and fresh rows.
type Plain struct {
	Examples    int          `json:"examples"`    // that both were scored on
	Correlation Number       `json:"correlation"` // of the run's attributions on these
	Curve       []CurvePoint `json:"curve"`       // of ridge regressions on the first rows of the run, ascending
	// Rows is how many rows the regression takes for the run's correlation; null where nothing can be said.
	Rows Number `json:"rows"`
	// Extrapolated says that this lies beyond the last point of the curve, along rho² = m/(m+b). Of the points' b it is the smallest
	// by which the last point's rows are too few, as they were found to be: a rough figure, in favour of the regression, whose
	// correlation levels off below 1.
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
	p.Rows = Number(p.odds() * p.half())
}

// At is the correlation that the extrapolation gives a regression on m rows; NaN where there is none.
func (p *Plain) At(m float64) float64 { return math.Sqrt(m / (m + p.half())) }

// odds is m/b of the extrapolation for the run's correlation.
func (p *Plain) odds() float64 {
	target := float64(p.Correlation)
	return target * target / (1 - target*target)
}

// half is b of the extrapolation, the rows at which it predicts half the variance: the smallest of the points', since those of few
// rows are noisy, but for those that contradict the last point by reaching the run's correlation before it, as where the curve
// levels off; NaN where no point is left.
func (p *Plain) half() float64 {
	least, last := math.NaN(), len(p.Curve)-1
	for i, at := range p.Curve {
		rho := float64(at.Correlation)
		if rho <= 0 {
			continue
		}
		b := float64(at.Rows) * (1/(rho*rho) - 1)
		if beyond := i == last || p.odds()*b > float64(p.Curve[last].Rows); beyond && !(b >= least) {
			least = b
		}
	}
	return least
}
