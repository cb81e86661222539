package regress

import "math"

// descent is coordinate descent on the lasso of one example over one part of the rows.
//
// Objective: (1/2m)‖y − Xθ‖² + λ‖θ‖₁, columns and y centred.
// Source:    Friedman, Hastie, Tibshirani, JSS 33:1 (2010), sections 2.1 and 2.2.
type descent interface {
	// begin takes up example e of b and starts from theta: [nComponents], which it copies; nil is all zero.
	begin(b *block, x *cross, p part, e int, theta []float64)
	// lambdaMax returns the least λ at which theta = 0 is the minimum.
	lambdaMax() float64
	// solve moves theta towards the minimum for lambda until the duality gap, relative to the objective at zero, is at
	// most tol. previous is the λ that the present theta was solved for, +Inf if none: a hint as to what may enter.
	solve(lambda, previous, tol float64) progress
	// theta returns the present coefficients, [nComponents], which the next call of solve changes.
	theta() []float64
}

// progress says where a call of solve ended.
type progress struct {
	gap       float64 // relative to the objective at zero
	sweeps    int
	converged bool
}

const maxSweeps = 2000 // per λ

// relativeGap returns the duality gap relative to the objective at theta = 0, variance/2.
//
// variance is yᵀy/m, explained yᵀXθ/m, norm1 ‖θ‖₁, gradientMax ‖Xᵀr/m‖∞, residual rᵀr/m. The dual point is the
// multiple of r that is feasible and best.
func relativeGap(lambda, variance, explained, residual, norm1, gradientMax float64) float64 {
	if variance == 0 {
		return 0
	}
	primal := residual/2 + lambda*norm1
	along := variance - explained // yᵀr/m
	scale := 0.0
	if residual > 0 {
		scale = along / residual
	}
	if limit := lambda / gradientMax; scale*gradientMax > lambda {
		scale = limit
	} else if -scale*gradientMax > lambda {
		scale = -limit
	}
	dual := scale*along - scale*scale*residual/2
	return max(0, (primal-dual)/(variance/2))
}

// softThreshold is the minimiser of (x − v)²/2 + lambda·|x|.
func softThreshold(v, lambda float64) float64 {
	switch {
	case v > lambda:
		return v - lambda
	case v < -lambda:
		return v + lambda
	}
	return 0
}

func maxAbs(values []float64) float64 {
	largest := 0.0
	for _, v := range values {
		largest = max(largest, math.Abs(v))
	}
	return largest
}
