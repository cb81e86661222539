package regress

import (
	"math/rand/v2"
	"testing"
)

// The solution of (A + λI)x = b solves it, and where A is singular is the one without a part in A's null space.
func TestShiftedSolves(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, shape := range []struct{ n, rank int }{{1, 1}, {2, 2}, {30, 30}, {120, 120}, {50, 20}, {100, 99}, {3, 0}} {
		n := shape.n
		factor := make([]float64, n*shape.rank) // A = factor·factorᵀ
		for i := range factor {
			factor[i] = random.NormFloat64()
		}
		a := make([]float64, n*n)
		for i := range n {
			for j := range n {
				for k := range shape.rank {
					a[i*n+j] += factor[i*shape.rank+k] * factor[j*shape.rank+k]
				}
			}
		}
		r, err := reduce(t.Context(), append([]float64(nil), a...), n, 2)
		if err != nil {
			t.Fatal(err)
		}
		if r.rank != shape.rank {
			t.Errorf("rank %d of %d found for %d", r.rank, n, shape.rank)
		}
		for _, lambda := range []float64{0, 0.5, 100} {
			// x in the range of A, so that it is the least solution of what it solves.
			x, b, weights := make([]float64, n), make([]float64, n), make([]float64, shape.rank)
			for k := range weights {
				weights[k] = random.NormFloat64()
				for i := range x {
					x[i] += factor[i*shape.rank+k] * weights[k]
				}
			}
			multiply(a, n, b, x)
			for i := range b {
				b[i] += lambda * x[i]
			}
			got := append([]float64(nil), b...)
			r.rotate(got)
			r.shift(lambda).solve(got, make([]float64, 2*n))
			r.rotateBack(got)
			for i := range x {
				near(t, "solution", got[i], x[i], 1e-6)
			}
		}
	}
}
