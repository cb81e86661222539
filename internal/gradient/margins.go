package gradient

import (
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// MarginRows bounds how many rows, the first ones, have their margins compared with what attributions predict. With more,
// derivatives alone say as much, and the cost grows with the square of the rows.
const MarginRows = 200

// tempering multiplies the variance of what attributions leave of the margins. That is not independent noise but the
// interactions of components, and a component that takes part in one does so in many rows.
const tempering = 3

// leastNoise bounds that variance from below, as a share of the mean square of what is left.
const leastNoise = 0.1

// Softening is what the first rows take from each component.
type Softening struct {
	nRows int
	rows  [][]int32   // [nComponents] those that soften or ablate it, ascending
	taken [][]float64 // [nComponents] 1 - keep in those
}

// NewSoftening starts without a row.
func NewSoftening(nComponents int) *Softening {
	return &Softening{rows: make([][]int32, nComponents), taken: make([][]float64, nComponents)}
}

// Add takes in the next row.
//
// Shape: keep [nComponents]. Memory: 12 bytes for every element below 1.
func (s *Softening) Add(keep []float32) {
	for c, k := range keep {
		if k < 1 {
			s.rows[c] = append(s.rows[c], int32(s.nRows))
			s.taken[c] = append(s.taken[c], 1-float64(k))
		}
	}
	s.nRows++
}

// update moves attributions θ and their variances D, in place, towards the margins of the rows.
//
// A margin as a function of one keep value 1-u has the slope k at u = 0 and the mean slope θ between 0 and 1. Taken as
// quadratic, it falls by ku(1-u) + θu². So with A the rows' -u², centred, and y what the margins leave of the sum of those
// falls, both over components, the posterior under normal errors of variance σ² is
//
//	θ + DAᵀWy,  D - DAᵀWAD (its diagonal),  W = (ADAᵀ + 3σ²)⁻¹,
//
// σ² what y has beyond trace ADAᵀ. A component that is never kept has no k; its fall is taken as θu.
//
// Cost: Σ over components of the squares of the number of rows that soften it, twice, and O(nRows³).
func (s *Softening) update(theta, variance, kept []float64, hasKept []int, margins []float64) {
	n := s.nRows
	if n < 2 {
		return
	}
	falls := make([][]float64, len(theta)) // -A before it is centred, by component
	y := mat.NewVecDense(n, nil)
	copy(y.RawVector().Data, margins[:n])
	gram := mat.NewSymDense(n, nil)
	upper := gram.RawSymmetric().Data
	for c, rows := range s.rows {
		falls[c] = make([]float64, len(rows))
		for i, u := range s.taken[c] {
			known := 0.0
			falls[c][i] = u
			if hasKept[c] > 0 {
				known, falls[c][i] = kept[c]*u*(1-u), u*u
			}
			r := int(rows[i])
			y.SetVec(r, y.AtVec(r)+known+theta[c]*falls[c][i])
			for j, fall := range falls[c][:i+1] {
				upper[int(rows[j])*n+r] += variance[c] * fall * falls[c][i]
			}
		}
	}
	centre(y.RawVector().Data, 1)
	centreBoth(gram)
	square := mat.Dot(y, y)
	noise := tempering * max(square-mat.Trace(gram), leastNoise*square) / float64(n-1)
	if !(noise > 0) {
		return
	}
	for r := range n {
		gram.SetSym(r, r, gram.At(r, r)+noise)
	}
	var factor mat.Cholesky
	w := mat.NewSymDense(n, nil)
	if !factor.Factorize(gram) || factor.InverseTo(w) != nil {
		return
	}
	centreBoth(w)
	upper = w.RawSymmetric().Data
	pull := mat.NewVecDense(n, nil)
	pull.MulVec(w, y)
	for c, rows := range s.rows {
		move, known := 0.0, 0.0
		for i, r := range rows {
			move -= falls[c][i] * pull.AtVec(int(r))
			for j, fall := range falls[c][:i] {
				known += 2 * falls[c][i] * fall * upper[int(rows[j])*n+int(r)]
			}
			known += falls[c][i] * falls[c][i] * upper[int(r)*n+int(r)]
		}
		theta[c] += variance[c] * move
		variance[c] = max(0, variance[c]-variance[c]*variance[c]*known)
	}
}

// centreBoth takes the means off the rows and the columns of a.
func centreBoth(a *mat.SymDense) {
	n := a.SymmetricDim()
	means := make([]float64, n)
	for i := range n {
		for j := range n {
			means[i] += a.At(i, j) / float64(n)
		}
	}
	whole := floats.Sum(means) / float64(n)
	for i := range n {
		for j := i; j < n; j++ {
			a.SetSym(i, j, a.At(i, j)-means[i]-means[j]+whole)
		}
	}
}

// standardErrors are the roots of variances.
func standardErrors(variance []float64) []float64 {
	se := make([]float64, len(variance))
	for c, v := range variance {
		se[c] = math.Sqrt(v)
	}
	return se
}
