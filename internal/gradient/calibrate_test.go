package gradient

import (
	"math"
	"math/rand/v2"
	"testing"
)

// The factors of attributions that are off by one for each group are found, whatever the examples' scales and levels; a
// group that predicts nothing gets the common factor.
func TestCalibrationFindsTheFactors(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 0))
	want := []float64{0.8, 1.3, 1, 0.6}
	c := NewCalibration(len(want) + 1)
	for range 20 {
		const rows = 150
		scale := math.Exp(random.NormFloat64())
		z, y := make([]float64, rows*(len(want)+1)), make([]float64, rows)
		for r := range rows {
			y[r] = 7 + 0.5*scale*random.NormFloat64()
			for l, a := range want {
				v := scale * random.NormFloat64()
				z[r*(len(want)+1)+l] = 3 + v
				y[r] += a * v
			}
		}
		c.Add(z, y)
	}
	got := c.Solve()
	for l, a := range want {
		if math.Abs(got[l]-a) > 0.05 {
			t.Errorf("group %d: factor %g, want %g", l, got[l], a)
		}
	}
	if last := got[len(want)]; math.Abs(last-0.925) > 0.05 {
		t.Errorf("a group that predicts nothing has factor %g, want the mean of the others, 0.925", last)
	}
	if NewCalibration(3).Solve() != nil {
		t.Error("factors without an example")
	}
}
