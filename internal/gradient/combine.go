package gradient

import "math"

// Correction describes a regression on hard rows of what the prior attributions leave, as far as its errors go.
type Correction struct {
	Rows, Components int     // m, p
	Variance         float64 // of one keep value, f(1-f)
	Residual         float64 // mean squared error on held-out rows, logits²
	Lambda           float64 // of the ridge; 0 for least squares
}

// RidgeErrors combines the standard errors of the prior, se, with those of a ridge fit to what it leaves, in place.
//
// The fit moves the prior θ₀ by (G+λ)⁻¹Xᵀ(y-Xθ₀)/m with G = XᵀX/m, so that with noise of variance σ² per row
//
//	Var θ = λ²(G+λ)⁻¹ V₀ (G+λ)⁻¹ + (σ²/m) (G+λ)⁻¹G(G+λ)⁻¹,
//
// V₀ the prior's variances. Its diagonal is taken as that of independent keep values, whose G has the eigenvalues of
// Marchenko and Pastur: with s and s₂ the means over eigenvalues of 1/(g+λ) and its square,
// λ²(s² V₀c + (s₂-s²) mean V₀) + (σ²/m)(s - λs₂). That shrinkage leaves a bias behind is not part of it.
// Source: Marchenko, Pastur, Math. USSR-Sbornik 1:4 (1967).
func RidgeErrors(se []float64, c Correction) {
	s, s2 := c.resolvent()
	mean := 0.0
	for _, v := range se {
		mean += v * v / float64(len(se))
	}
	sampling := c.Residual / float64(c.Rows) * max(0, s-c.Lambda*s2)
	keep := c.Lambda * c.Lambda
	for i, v := range se {
		se[i] = math.Sqrt(keep*(s*s*v*v+max(0, s2-s*s)*mean) + sampling)
	}
}

// LassoErrors combines the standard errors of the prior, se, with those of a lasso fit to what it leaves, in place. A
// component that the lasso left alone keeps its prior's; one that it moved has that of a coefficient of its own, σ/√(m v).
// The constant shift towards the prior, λ/v, is a bias and not part of it.
func LassoErrors(se []float64, moved []float32, c Correction) {
	own := math.Sqrt(c.Residual / (float64(c.Rows) * c.Variance))
	for i, v := range moved {
		if v != 0 {
			se[i] = own
		}
	}
}

// resolvent returns the means of 1/(g+λ) and 1/(g+λ)² over the eigenvalues g of G, a zero eigenvalue counting where λ > 0.
//
// The first solves v·γ·λ·s² + (λ + v(1-γ))·s - 1 = 0, γ = p/m, v the variance of a keep value; the second is minus its
// derivative.
func (c Correction) resolvent() (s, s2 float64) {
	v, gamma, lambda := c.Variance, float64(c.Components)/float64(c.Rows), c.Lambda
	lambda = max(lambda, 1e-9*v) // least squares, and where m < p its limit
	b := lambda + v*(1-gamma)
	root := math.Sqrt(b*b + 4*v*gamma*lambda)
	// The positive root, written so that nothing cancels whichever sign b has.
	if b >= 0 {
		s = 2 / (b + root)
	} else {
		s = (root - b) / (2 * v * gamma * lambda)
	}
	// Implicit derivative: (2vγλs + b) s' = -(vγs² + s).
	s2 = (v*gamma*s*s + s) / (2*v*gamma*lambda*s + b)
	return s, s2
}
