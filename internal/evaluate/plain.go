package evaluate

import "math"

// Plain compares a run that used gradients with a regression of margins alone, on the same examples and fresh rows.
type Plain struct {
	Examples    int          `json:"examples"`    // that both were scored on
	Correlation Number       `json:"correlation"` // of the run's attributions on these
	Curve       []CurvePoint `json:"curve"`       // of ridge regressions on the first rows of the run, ascending
	// Rows is how many rows the regression takes for the run's correlation; null where its curve levels off below.
	Rows Number `json:"rows"`
	// Extrapolated says that this lies beyond the rows that the run has, along rho² = a·m/(m+b) through the curve's end.
	Extrapolated bool `json:"extrapolated"`

	HardRows      int     `json:"hard_rows"`
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

// Solve fills Rows and Extrapolated: between two points of the curve in the logarithm of the rows, beyond its end along
// rho² = a·m/(m+b), which is linear in 1/rho² over 1/m, through the last two points that rise.
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
	slope, offset, ok := p.tail()
	if rest := 1/(target*target) - offset; ok && rest > 0 {
		p.Rows = Number(slope / rest)
		return
	}
	p.Rows = Number(math.NaN())
}

// At is the correlation that the extrapolation gives a regression on m rows; NaN where there is none.
func (p *Plain) At(m float64) float64 {
	slope, offset, ok := p.tail()
	if !ok {
		return math.NaN()
	}
	return 1 / math.Sqrt(offset+slope/m)
}

// tail is the line 1/rho² = offset + slope/m through the last two points, which must rise. Where they rise so fast that it
// would lead to correlations above 1, it leads from the last point to 1: the rows it then names are too few, if anything.
func (p *Plain) tail() (slope, offset float64, ok bool) {
	n := len(p.Curve)
	if n < 2 {
		return 0, 0, false
	}
	a, b := p.Curve[n-2], p.Curve[n-1]
	if !(a.Correlation > 0) || !(b.Correlation > a.Correlation) {
		return 0, 0, false
	}
	ya, yb := 1/float64(a.Correlation*a.Correlation), 1/float64(b.Correlation*b.Correlation)
	slope = (ya - yb) / (1/float64(a.Rows) - 1/float64(b.Rows))
	if offset = yb - slope/float64(b.Rows); offset < 1 {
		slope, offset = (yb-1)*float64(b.Rows), 1
	}
	return slope, offset, true
}
