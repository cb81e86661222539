package evaluate

import (
	"math"
	"testing"
)

// curveOf is a learning curve that follows rho² = a·m/(m+b) exactly.
func curveOf(a, b float64, rows ...int) (curve []CurvePoint) {
	for _, m := range rows {
		curve = append(curve, CurvePoint{m, Number(math.Sqrt(a * float64(m) / (float64(m) + b)))})
	}
	return curve
}

func TestPlainRows(t *testing.T) {
	const a, b = 0.6, 700.0
	rows := func(rho float64) float64 { return b * rho * rho / (a - rho*rho) }
	for _, test := range []struct {
		target       float64
		extrapolated bool
		tolerance    float64
	}{
		{math.Sqrt(a * 400 / 1100), false, 1e-9}, // a point of the curve
		{math.Sqrt(a * 300 / 1000), false, 0.05}, // between two
		{0.7, true, 1e-9},
		{0.77, true, 1e-9},
	} {
		p := Plain{Correlation: Number(test.target), Curve: curveOf(a, b, 50, 100, 200, 400)}
		p.Solve()
		if want := rows(test.target); math.Abs(float64(p.Rows)/want-1) > test.tolerance || p.Extrapolated != test.extrapolated {
			t.Errorf("correlation %g: %g rows, extrapolated %v; want %g", test.target, p.Rows, p.Extrapolated, want)
		}
	}
	for name, p := range map[string]Plain{
		"beyond the asymptote": {Correlation: 0.8, Curve: curveOf(a, b, 100, 200)},
		"a single point":       {Correlation: 0.5, Curve: curveOf(a, b, 100)},
		"no point":             {Correlation: 0.5},
		"a falling curve":      {Correlation: 0.5, Curve: []CurvePoint{{100, 0.4}, {200, 0.3}}},
	} {
		if p.Solve(); !math.IsNaN(float64(p.Rows)) || !p.Extrapolated {
			t.Errorf("%s: %v rows", name, p.Rows)
		}
	}
	steep := Plain{Correlation: 0.9, Curve: []CurvePoint{{100, 0.2}, {200, 0.4}}}
	steep.Solve()
	if at := steep.At(float64(steep.Rows)); math.Abs(at-0.9) > 1e-9 || steep.At(1e12) > 1 {
		t.Errorf("a steep curve: %g rows, where it is at %g; far out at %g", steep.Rows, at, steep.At(1e12))
	}
	first := Plain{Correlation: 0.1, Curve: curveOf(a, b, 100, 200)}
	if first.Solve(); first.Rows != 100 || first.Extrapolated {
		t.Errorf("a target below the curve: %v rows", first.Rows)
	}
}
