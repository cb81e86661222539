package gradient

import "gonum.org/v1/gonum/mat"

// Calibration finds one factor for each component group by which attributions of that group predict measured margins best,
// the same for all examples.
//
// Objective: over the factors a, Σ over examples of ‖y - b - Za‖²/var y, with z_l what the attributions of group l predict, plus
// a ridge of 1e-3 of the mean diagonal that draws the factors towards the one that all groups together would have.
type Calibration struct {
	gram  *mat.SymDense // [groups][groups] ΣZᵀZ/var y, centred
	right []float64     // [groups] ΣZᵀy/var y
}

// calibrationRidge is the ridge relative to the mean diagonal.
const calibrationRidge = 1e-3

// NewCalibration starts without an example.
func NewCalibration(nGroups int) *Calibration {
	return &Calibration{mat.NewSymDense(nGroups, nil), make([]float64, nGroups)}
}

// Add takes in one example: z [rows][groups] and y [rows], in logits. It centres both in place.
func (c *Calibration) Add(z, y []float64) {
	n := len(c.right)
	centre(y, 1)
	centre(z, n)
	variance := 0.0
	for _, v := range y {
		variance += v * v / float64(len(y))
	}
	if variance == 0 {
		return
	}
	for r, v := range y {
		row := z[r*n : (r+1)*n]
		for l, a := range row {
			c.right[l] += a * v / variance
		}
	}
	c.gram.SymRankK(c.gram, 1/variance, mat.NewDense(len(y), n, z).T())
}

// centre takes the mean of each of n columns off.
func centre(v []float64, n int) {
	means, rows := make([]float64, n), float64(len(v)/n)
	for i, x := range v {
		means[i%n] += x / rows
	}
	for i := range v {
		v[i] -= means[i%n]
	}
}

// Solve returns the factors, nil where the examples say nothing.
func (c *Calibration) Solve() []float64 {
	n := len(c.right)
	common, whole := 0.0, 0.0
	for l, v := range c.right {
		common += v
		for k := range n {
			whole += c.gram.At(l, k)
		}
	}
	if !(whole > 0) {
		return nil
	}
	common /= whole
	ridge := calibrationRidge * mat.Trace(c.gram) / float64(n)
	system, right := mat.NewSymDense(n, nil), mat.NewVecDense(n, nil)
	system.CopySym(c.gram)
	for l, v := range c.right {
		system.SetSym(l, l, system.At(l, l)+ridge)
		right.SetVec(l, v+ridge*common)
	}
	var factor mat.Cholesky
	if !factor.Factorize(system) {
		return nil
	}
	a := mat.NewVecDense(n, nil)
	if factor.SolveVecTo(a, right) != nil {
		return nil
	}
	return a.RawVector().Data
}
