package regress

import "gonum.org/v1/gonum/blas/blas64"

// covarianceDescent keeps the gradient of all components up to date through the Gram matrix.
//
// Cost: nComponents for each coefficient that a sweep changes; rows play no part.
type covarianceDescent struct {
	grams [2][]float64 // per part [nComponents][nComponents], shared by all workers

	gram     []float64
	variance float64
	products []float64 // Xᵀy/m
	gradient []float64 // Xᵀ(y − Xθ)/m
	coef     []float64
}

func newCovarianceDescent(grams [2][]float64, nComponents int) *covarianceDescent {
	return &covarianceDescent{grams: grams, gradient: make([]float64, nComponents), coef: make([]float64, nComponents)}
}

// covarianceBytes is what each worker's covarianceDescent holds.
func covarianceBytes(nComponents int) int64 { return 16 * int64(nComponents) }

func (cd *covarianceDescent) begin(b *block, x *cross, p part, e int, theta []float64) {
	cd.gram, cd.products, cd.variance = cd.grams[p], x.of(p, e), b.variance(p, e)
	copy(cd.gradient, cd.products)
	clear(cd.coef)
	for c, t := range theta {
		if t != 0 && cd.diagonal(c) > 0 {
			cd.coef[c] = t
			cd.subtract(c, t)
		}
	}
}

func (cd *covarianceDescent) theta() []float64 { return cd.coef }

func (cd *covarianceDescent) lambdaMax() float64 { return maxAbs(cd.products) }

func (cd *covarianceDescent) solve(lambda, _, tol float64) progress {
	var done progress
	for {
		done.gap = cd.gap(lambda)
		done.converged = done.gap <= tol
		if done.converged || done.sweeps == maxSweeps {
			return done
		}
		cd.sweep(lambda)
		done.sweeps++
	}
}

func (cd *covarianceDescent) sweep(lambda float64) {
	for c, old := range cd.coef {
		curvature := cd.diagonal(c)
		if curvature == 0 {
			continue
		}
		next := softThreshold(cd.gradient[c]+curvature*old, lambda) / curvature
		if next != old {
			cd.coef[c] = next
			cd.subtract(c, next-old)
		}
	}
}

// subtract updates the gradient for a coefficient of component c that grew by change.
func (cd *covarianceDescent) subtract(c int, change float64) {
	n := len(cd.gradient)
	blas64.Axpy(-change, blas64.Vector{N: n, Inc: 1, Data: cd.gram[c*n : (c+1)*n]}, blas64.Vector{N: n, Inc: 1, Data: cd.gradient})
}

func (cd *covarianceDescent) diagonal(c int) float64 { return cd.gram[c*len(cd.coef)+c] }

func (cd *covarianceDescent) gap(lambda float64) float64 {
	var explained, overlap, norm1 float64
	for c, t := range cd.coef {
		if t != 0 {
			explained += t * cd.products[c]
			overlap += t * cd.gradient[c]
			norm1 += max(t, -t)
		}
	}
	residual := max(0, cd.variance-explained-overlap)
	return relativeGap(lambda, cd.variance, explained, residual, norm1, maxAbs(cd.gradient))
}
