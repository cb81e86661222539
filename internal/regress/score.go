package regress

import "math"

// scorer predicts held-out margins of one example at a time; every worker has its own.
//
// Margins and predictions are less the mean margin of the rows fitted, which is the prediction of the intercept alone.
type scorer struct {
	d         *design
	lists     *lists
	actual    []float64 // [nHeld]
	predicted []float64 // [nHeld]
	best      []float64 // [nHeld] predictions that markBest was called on
	held      held
}

func newScorer(d *design, l *lists) *scorer {
	return &scorer{d: d, lists: l, actual: make([]float64, d.nHeld), predicted: make([]float64, d.nHeld), best: make([]float64, d.nHeld)}
}

// scorerBytes is what each worker's scorer holds.
func scorerBytes(nHeld int) int64 { return 24*int64(nHeld) + heldBytes(nHeld) }

// begin takes up example e of b.
func (s *scorer) begin(b *block, e int) {
	b.held(s.actual, e)
	s.held.begin(b, e, s.actual)
}

// score says how well theta, fitted to the rows not held out, predicts the example.
func (s *scorer) score(theta []float64) Score {
	clear(s.predicted)
	base := s.lists.base
	offset := 0.0
	for c, t := range theta {
		if t == 0 {
			continue
		}
		offset -= t * s.d.mean(trainRows, c)
		for _, at := range s.lists.held(c) {
			s.predicted[int(at)-base] += t
		}
	}
	for i := range s.predicted {
		s.predicted[i] += offset
	}
	return s.held.score(s.predicted)
}

// markBest makes the last predictions those that rise compares with.
func (s *scorer) markBest() { copy(s.best, s.predicted) }

// rise returns how far the mean squared error of the last predictions is above that of the best, in standard errors of
// this difference, taken row by row. It is 0 where there are too few rows to tell.
func (s *scorer) rise() float64 {
	if len(s.actual) < fewestToRise {
		return 0
	}
	n := float64(len(s.actual))
	var sum, squares float64
	for i, a := range s.actual {
		now, then := s.predicted[i]-a, s.best[i]-a
		worse := now*now - then*then
		sum += worse
		squares += worse * worse
	}
	variance := (squares - sum*sum/n) / (n - 1)
	if !(variance > 0) {
		return 0
	}
	return sum / n / math.Sqrt(variance/n)
}

// held is one example's held-out margins, to be compared with predictions. All are less the mean of the rows fitted.
type held struct {
	actual []float64 // [nHeld] what the prior leaves of the margins
	prior  []float64 // [nHeld] what it predicts; 0 without one
	whole  []float64 // [nHeld] the margins: both together
	sum    []float64 // [nHeld] what prior and fit predict together
	base   Score     // of the prior and of the intercept alone
}

// begin takes up example e of b, of which actual is held out.
func (h *held) begin(b *block, e int, actual []float64) {
	n := len(actual)
	if len(h.prior) != n {
		h.prior, h.whole, h.sum = make([]float64, n), make([]float64, n), make([]float64, n)
	}
	h.actual = actual
	b.heldPrior(h.prior, e)
	for i, a := range actual {
		h.whole[i] = a + h.prior[i]
	}
	h.base = Score{NullMSE: meanSquare(h.whole)}
	if b.prior != nil {
		h.base.PriorMSE = meanSquare(actual)
		h.base.PriorCorrelation, _ = correlation(h.prior, h.whole)
	}
}

// heldBytes is what a held holds.
func heldBytes(nHeld int) int64 { return 24 * int64(nHeld) }

// score compares predictions of what the prior leaves with it, and with the prior added correlates them with the margins.
func (h *held) score(predicted []float64) Score {
	score := h.base
	n := float64(len(h.actual))
	for i, a := range h.actual {
		diff := predicted[i] - a
		score.MSE += diff * diff / n
		h.sum[i] = predicted[i] + h.prior[i]
	}
	score.Correlation, score.Defined = correlation(h.sum, h.whole)
	return score
}

// correlation is Pearson's; false, and 0, where either side is constant.
func correlation(predicted, actual []float64) (float64, bool) {
	n := float64(len(actual))
	var meanP, meanA float64
	for i, a := range actual {
		meanP += predicted[i] / n
		meanA += a / n
	}
	var pp, aa, pa float64
	for i, a := range actual {
		dp, da := predicted[i]-meanP, a-meanA
		pp += dp * dp
		aa += da * da
		pa += dp * da
	}
	if constantSide(predicted) || constantSide(actual) || pp == 0 || aa == 0 {
		return 0, false
	}
	return max(-1, min(1, pa/math.Sqrt(pp)/math.Sqrt(aa))), true
}

func constantSide(values []float64) bool {
	for _, v := range values {
		if v != values[0] {
			return false
		}
	}
	return true
}

func meanSquare(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v * v
	}
	return sum / float64(len(values))
}
