package gradient

import (
	"math"
	"slices"
)

// Correction describes a regression on hard rows of what the prior attributions leave, as far as its errors go.
type Correction struct {
	Rows     int       // m
	Variance []float64 // [nComponents] of the keep values over the rows, f(1-f) where they are drawn; 0 where a component is always kept or always ablated
	Residual float64   // mean squared error on held-out rows, logits²
	Lambda   float64   // of the ridge; 0 for least squares
	Weights  []float64 // [nComponents] of its penalty, (λ/2)Σθ²/w; nil: all 1
}

// lambda is that of the ridge. Least squares are its limit, also where there are fewer rows than components.
func (c Correction) lambda() float64 { return max(c.Lambda, 1e-9*slices.Max(c.Variance)) }

// weight is that of component c.
func (c Correction) weight(i int) float64 {
	if c.Weights == nil {
		return 1
	}
	return c.Weights[i]
}

// RidgeErrors combines the standard errors of the prior, se, with those of a ridge fit to what it leaves, in place.
//
// With coefficients and columns scaled by the roots of the weights w, G = XᵀX/m and R = (G+λ)⁻¹, the fit moves the prior by
// RXᵀ(y-Xθ₀)/m, so that with noise of variance σ² per row
//
//	Var θ = λ²RV₀R + (σ²/m)(R - λR²),
//
// V₀ the prior's variances. The diagonals of R and R² are taken as those of independent keep values (see resolvent), and what
// R² has besides R's squared diagonal is spread over the components as they share in it. A component that all rows treat alike has
// its prior's error. That shrinkage leaves a bias behind is not part of it.
func RidgeErrors(se []float64, c Correction) {
	r, r2 := c.resolvent()
	lambda := c.lambda()
	shared, total := 0.0, 0.0 // of the prior's variances, over other components
	for i, v := range se {
		shared += c.Variance[i] * r[i] * r[i] * v * v
		total += c.Variance[i] * c.weight(i) * r[i] * r[i]
	}
	for i, v := range se {
		w := c.weight(i)
		own := r[i] * r[i] * v * v / w
		others := 0.0
		if total > 0 {
			others = max(0, r2[i]-r[i]*r[i]) * shared / total
		}
		sampling := c.Residual / float64(c.Rows) * max(0, r[i]-lambda*r2[i])
		se[i] = math.Sqrt(w * (lambda*lambda*(own+others) + sampling))
	}
}

// LassoErrors combines the standard errors of the prior, se, with those of a lasso fit to what it leaves, in place. A
// component that the lasso left alone keeps its prior's; one that it moved has that of a coefficient of its own, σ/√(m v_c).
// The constant shift towards the prior, λ/v, is a bias and not part of it.
func LassoErrors(se []float64, moved []float32, c Correction) {
	for i, v := range moved {
		if v != 0 && c.Variance[i] > 0 {
			se[i] = math.Sqrt(c.Residual / (float64(c.Rows) * c.Variance[i]))
		}
	}
}

// resolvent returns the diagonals of R = (G+λ)⁻¹ and of R², [nComponents], in the limit of many rows and components: with v_c
// the variance of keep value c,
//
//	R_cc = 1/(λ + w_c v_c/(1+δ)),  δ = (1/m) Σ w_c v_c R_cc,
//
// and R² is minus the derivative by λ. With equal weights and variances that is the law of Marchenko and Pastur.
// Source: Silverstein, Bai, J. Multivariate Analysis 54:2 (1995), theorem 1.1.
// Cost:   O(nComponents) for each of 60 steps.
func (c Correction) resolvent() (r, r2 []float64) {
	lambda := c.lambda()
	at := func(delta float64) (sum float64) {
		for i, v := range c.Variance {
			sum += c.weight(i) * v / (lambda + c.weight(i)*v/(1+delta))
		}
		return sum / float64(c.Rows)
	}
	// at(δ)-δ falls through 0 once: at is concave and above 0 at 0.
	low, high := 0.0, 1.0
	for at(high) > high && high < 1e15 {
		high *= 4
	}
	for range 60 {
		if middle := (low + high) / 2; at(middle) > middle {
			low = middle
		} else {
			high = middle
		}
	}
	delta := (low + high) / 2
	r, r2 = make([]float64, len(c.Variance)), make([]float64, len(c.Variance))
	var squares, feedback float64
	for i, v := range c.Variance {
		w := c.weight(i)
		r[i] = 1 / (lambda + w*v/(1+delta))
		squares += v / float64(c.Rows) * w * r[i] * r[i]
		feedback += v / float64(c.Rows) * w * r[i] * r[i] * w * v / (1 + delta) / (1 + delta)
	}
	change := squares / (1 - feedback) // minus the derivative of δ by λ
	for i := range r2 {
		r2[i] = r[i] * r[i] * (1 + c.weight(i)*c.Variance[i]*change/(1+delta)/(1+delta))
	}
	return r, r2
}
