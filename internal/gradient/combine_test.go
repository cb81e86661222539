package gradient

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// ridge returns (G+λ/w)⁻¹Xᵀ(y-Xθ₀)/m + θ₀ for rows of independent keep values about their mean.
func ridge(x *mat.Dense, y, prior, weights []float64, lambda float64) []float64 {
	m, p := x.Dims()
	rest := mat.NewVecDense(m, nil)
	rest.MulVec(x, mat.NewVecDense(p, prior))
	rest.SubVec(mat.NewVecDense(m, y), rest)
	var gram mat.SymDense
	gram.SymOuterK(1/float64(m), x.T())
	for c := range p {
		gram.SetSym(c, c, gram.At(c, c)+lambda/weights[c])
	}
	right := mat.NewVecDense(p, nil)
	right.MulVec(x.T(), rest)
	right.ScaleVec(1/float64(m), right)
	var factor mat.Cholesky
	if !factor.Factorize(&gram) {
		panic("gradient: the test's matrix is not positive definite")
	}
	solution := mat.NewVecDense(p, nil)
	if err := factor.SolveVecTo(solution, right); err != nil {
		panic(err)
	}
	theta := make([]float64, p)
	for c := range theta {
		theta[c] = prior[c] + solution.AtVec(c)
	}
	return theta
}

// Intervals of 1.96 combined standard errors cover the true coefficients as often as they should, whether prior or
// regression has the better evidence, also where some components are ablated rarely, often or never.
func TestRidgeErrorsCover(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 0))
	even, uneven, half := [2]float64{0.2, 0.2}, [2]float64{0.03, 0.38}, [2]float64{0.2, 0}
	for _, c := range []struct {
		m, p          int
		lambda, noise float64
		spread        float64    // of the weights, in decades
		fractions     [2]float64 // in which even and odd components are ablated
	}{{400, 60, 0.02, 1, 0, even}, {400, 60, 0.5, 1, 0, even}, {100, 150, 0.1, 2, 0, even}, {3000, 60, 0.001, 1, 0, even}, {400, 60, 0.05, 1, 1, even},
		{100, 150, 0.1, 2, 1.5, even}, {100, 150, 0, 2, 0, even}, {1000, 60, 0.002, 1, 0, uneven}, {400, 150, 0.02, 1, 1, uneven}, {400, 60, 0.02, 1, 0, half}} {
		const studies = 50
		inside, all := [2]int{}, [2]int{}
		variance := make([]float64, c.p)
		for i := range variance {
			f := c.fractions[i%2]
			variance[i] = f * (1 - f)
		}
		for range studies {
			x := mat.NewDense(c.m, c.p, nil)
			truth, prior, se, weights := make([]float64, c.p), make([]float64, c.p), make([]float64, c.p), make([]float64, c.p)
			for i := range truth {
				truth[i] = random.NormFloat64()
				se[i] = 0.05 + 0.4*random.Float64()
				weights[i] = math.Pow(10, c.spread*(random.Float64()-0.5))
				prior[i] = truth[i] + se[i]*random.NormFloat64()
			}
			y := make([]float64, c.m)
			for r := range y {
				for i := range truth {
					fraction := c.fractions[i%2]
					keep := fraction
					if random.Float64() < fraction {
						keep = fraction - 1
					}
					x.Set(r, i, keep)
					y[r] += keep * truth[i]
				}
				y[r] += c.noise * random.NormFloat64()
			}
			theta := ridge(x, y, prior, weights, max(c.lambda, 1e-9*slices.Max(variance))) // 0: the solution of least norm
			RidgeErrors(se, Correction{Rows: c.m, Variance: variance, Residual: c.noise * c.noise, Lambda: c.lambda, Weights: weights})
			for i := range truth {
				all[i%2]++
				if math.Abs(theta[i]-truth[i]) < 1.96*se[i] {
					inside[i%2]++
				}
			}
		}
		for i, n := range inside {
			if share := float64(n) / float64(all[i]); share < 0.92 || share > 0.975 {
				t.Errorf("%+v: 95 %% intervals cover %.1f %% of those ablated with %v", c, 100*share, c.fractions[i])
			}
		}
	}
}
