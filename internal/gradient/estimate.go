package gradient

import "math"

// Evidence is what gradient rows say of one example.
type Evidence struct {
	Counts     []int     // [nComponents] rows in which a component is softened
	Sum, SumSq []float64 // [nComponents] of the derivatives in those rows, and of their squares
	MeanKeep   []float64 // [nComponents] over all rows
	MeanMargin float64   // over all rows, logits
	Groups     []int     // sizes of the component groups, which add up to nComponents
}

// Attributions are what a few gradient rows say.
type Attributions struct {
	Theta     []float64 // [nComponents] logits
	SE        []float64 // [nComponents] standard errors of Theta, logits
	Intercept float64   // logits: Intercept + sum of Theta over kept components predicts the margin
}

// pooledRows is how many rows' worth of evidence the group's variance counts for beside a component's own.
const pooledRows = 4

// Estimate takes for each component the mean derivative over the rows that soften it.
//
// A standard error is the square root of the variance of those derivatives over their number. A variance of few values is
// itself uncertain, so it is drawn towards the mean variance of its component group as if pooledRows more rows had that
// variance. A component that no row softens gets 0, and as standard error the spread of its group's attributions.
// The standard errors say how far another draw of as many rows would land; that softened rows stand in for ablated ones
// biases Theta besides, which no number of rows removes.
func Estimate(e Evidence) Attributions {
	p := len(e.Counts)
	a := Attributions{Theta: make([]float64, p), SE: make([]float64, p), Intercept: e.MeanMargin}
	variance := make([]float64, p) // of one derivative
	for c, n := range e.Counts {
		if n == 0 {
			continue
		}
		mean := e.Sum[c] / float64(n)
		a.Theta[c] = mean
		a.Intercept -= mean * e.MeanKeep[c]
		if n > 1 {
			variance[c] = max(0, (e.SumSq[c]-mean*e.Sum[c])/float64(n-1))
		}
	}
	first := 0
	for _, size := range e.Groups {
		a.pool(e.Counts, variance, first, first+size)
		first += size
	}
	return a
}

// pool writes the standard errors of the components [first, last), which are one group.
func (a *Attributions) pool(counts []int, variance []float64, first, last int) {
	var pooled, weight, square, seen float64
	for c := first; c < last; c++ {
		if n := counts[c]; n > 0 {
			pooled += float64(n-1) * variance[c]
			weight += float64(n - 1)
			square += a.Theta[c] * a.Theta[c]
			seen++
		}
	}
	if weight > 0 {
		pooled /= weight
	} else if seen > 0 {
		pooled = square / seen // one value each says nothing of the spread but that it is not above this
	}
	for c := first; c < last; c++ {
		n := float64(counts[c])
		if n == 0 {
			a.SE[c] = math.Sqrt(square / max(1, seen))
			continue
		}
		v := ((n-1)*variance[c] + pooledRows*pooled) / (n - 1 + pooledRows)
		a.SE[c] = math.Sqrt(v / n)
	}
}
