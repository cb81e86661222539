package regress

import "math"

// geometric returns n values from first down to first·ratio, evenly spaced in their logarithm.
func geometric(first, ratio float64, n int) []float64 {
	path := make([]float64, n)
	for k := range path {
		path[k] = first
		if k > 0 {
			path[k] = first * math.Pow(ratio, float64(k)/float64(n-1))
		}
	}
	return path
}

// down returns the λ to solve on the way from lambdaMax to lambda, with the steps of a path of opts; lambda comes last.
func down(lambdaMax, lambda float64, opts Options) []float64 {
	step := math.Pow(opts.PathRatio, 1/float64(max(opts.PathLength-1, 1)))
	var path []float64
	for l := lambdaMax; l > lambda && len(path) < 10*opts.PathLength; l *= step {
		path = append(path, l)
	}
	return append(path, lambda)
}

const (
	patience     = 8   // values of λ without a better one, after which the path may end
	riseErrors   = 1.5 // but only where the validation error is by then above the best by so many of its standard errors
	fewestToRise = 30  // which take so many held-out rows to estimate
)

// selection follows the validation error down a path of λ. The best is the least error, the larger λ of equals.
type selection struct {
	best   Score
	at     int // place of the best on the path
	scored int
}

// offer takes the score of the next λ and reports whether it is the best so far.
func (s *selection) offer(score Score) bool {
	k := s.scored
	s.scored++
	if k > 0 && !(score.MSE < s.best.MSE) {
		return false
	}
	s.best, s.at = score, k
	return true
}

// risen reports whether the error has clearly risen again, so that the rest of the path need not be solved; rise is how
// far it is above the best, in standard errors.
//
// Errors of all λ come from the same rows, so the difference of two is known far better than either. The curve having
// one valley but for noise, a path left here has its least error behind it in all but rare cases.
func (s *selection) risen(rise float64) bool {
	return s.scored-1-s.at >= patience && rise > riseErrors
}
