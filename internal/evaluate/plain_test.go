package evaluate

import (
	"math"
	"math/rand/v2"
	"testing"
)

// curveOf is a learning curve that follows rho² = m/(m+b) exactly.
func curveOf(b float64, rows ...int) (curve []CurvePoint) {
	for _, m := range rows {
		curve = append(curve, CurvePoint{m, Number(math.Sqrt(float64(m) / (float64(m) + b)))})
	}
	return curve
}

func TestPlainRows(t *testing.T) {
	const b = 700.0
	rows := func(rho float64) float64 { return b * rho * rho / (1 - rho*rho) }
	for _, test := range []struct {
		target       float64
		extrapolated bool
		tolerance    float64
	}{
		{math.Sqrt(400. / 1100), false, 1e-9}, // a point of the curve
		{math.Sqrt(300. / 1000), false, 0.05}, // between two
		{0.7, true, 1e-9},
		{0.95, true, 1e-9},
	} {
		p := Plain{Correlation: Number(test.target), Curve: curveOf(b, 50, 100, 200, 400)}
		p.Solve()
		if want := rows(test.target); math.Abs(float64(p.Rows)/want-1) > test.tolerance || p.Extrapolated != test.extrapolated {
			t.Errorf("correlation %g: %g rows, extrapolated %v; want %g", test.target, p.Rows, p.Extrapolated, want)
		}
		if at := p.At(float64(p.Rows)); test.extrapolated && math.Abs(at-test.target) > 1e-9 {
			t.Errorf("correlation %g: the curve is at %g there", test.target, at)
		}
	}
	for name, p := range map[string]Plain{
		"no point":       {Correlation: 0.5},
		"no correlation": {Correlation: 0.5, Curve: []CurvePoint{{100, -0.1}, {200, 0}}},
	} {
		if p.Solve(); !math.IsNaN(float64(p.Rows)) || !p.Extrapolated {
			t.Errorf("%s: %v rows", name, p.Rows)
		}
	}
	// A noisy end does not make the rows that the regression would take more.
	noisy := Plain{Correlation: 0.7, Curve: append(curveOf(b, 50, 100), CurvePoint{200, 0.1})}
	if noisy.Solve(); math.Abs(float64(noisy.Rows)/rows(0.7)-1) > 1e-9 || !noisy.Extrapolated {
		t.Errorf("a noisy end: %v rows, want %v", noisy.Rows, rows(0.7))
	}
	// A curve that levels off is not taken to reach by 300 rows what it did not: what a steeper point says is dropped.
	level := Plain{Correlation: 0.9038, Curve: []CurvePoint{{75, 0.85}, {150, 0.89}, {300, 0.9015}}}
	if level.Solve(); !(level.Rows > 300 && level.Rows < 320) || !level.Extrapolated {
		t.Errorf("a curve that levels off: %v rows, want some more than 300", level.Rows)
	}
	lost := Plain{Correlation: 0.51, Curve: []CurvePoint{{50, 0.5}, {100, -0.1}}}
	if lost.Solve(); !math.IsNaN(float64(lost.Rows)) || !lost.Extrapolated {
		t.Errorf("a curve that says nothing at its end: %v rows", lost.Rows)
	}
	first := Plain{Correlation: 0.1, Curve: curveOf(b, 100, 200)}
	if first.Solve(); first.Rows != 100 || first.Extrapolated {
		t.Errorf("a target below the curve: %v rows", first.Rows)
	}
}

// Whatever the curve, an extrapolation lies beyond its end, where it has the run's correlation.
func TestPlainExtrapolatesBeyond(t *testing.T) {
	const seed = 5
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 1000 {
		p := Plain{Correlation: Number(0.99 * rng.Float64())}
		for m := 50; m <= 400; m *= 2 {
			p.Curve = append(p.Curve, CurvePoint{m, p.Correlation * Number(1-0.3*rng.Float64())})
		}
		p.Solve()
		if at := p.At(float64(p.Rows)); !p.Extrapolated || !(p.Rows > 400*(1-1e-9)) || math.Abs(at-float64(p.Correlation)) > 1e-9 {
			t.Fatalf("seed %d: %+v: correlation %g there", seed, p, at)
		}
	}
}
