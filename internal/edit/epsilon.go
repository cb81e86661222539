package edit

import (
	"math"
	"slices"
)

// epsilon returns the floor of the scores' denominator, in logits.
//
// With one target var_T is 0, and a sparse θ makes var_R 0 for many components; without a floor those would all score ±∞.
// It is the median over components of the references' standard deviation of the mean, sd/sqrt(|R|).
// Where that is 0 it is the median of |θ| over all components of the given examples;
// where more than half of those are 0 as well, the median of the |θ| that are not; and 0 if every θ is 0, when all scores are 0/0.
func epsilon(a Attributions, reference moments, examples []int) (float64, error) {
	spread := make([]float64, a.NComponents)
	for c := range spread {
		spread[c] = math.Sqrt(reference.varianceOfMean(c))
	}
	if eps := median(spread); eps > 0 {
		return eps, nil
	}
	magnitudes, err := countMagnitudes(a, examples)
	if err != nil {
		return 0, err
	}
	total := len(examples) * a.NComponents
	if eps, err := magnitudes.median(0, total); err != nil || eps > 0 {
		return eps, err
	}
	zeros := magnitudes.zeros
	return magnitudes.median(zeros, total-zeros)
}

// median sorts values and returns the middle one, the mean of the middle two, or 0 where there are none.
func median(values []float64) float64 {
	n := len(values)
	if n == 0 {
		return 0
	}
	slices.Sort(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

// magnitudes counts |θ| by the upper 16 bits of its float32, whose order as integers is the order of the values.
// A second pass over one such bucket finds any order statistic exactly, in memory that does not grow with the number of examples.
type magnitudes struct {
	a        Attributions
	examples []int
	zeros    int
	upper    []int // [1 << 16]
}

func countMagnitudes(a Attributions, examples []int) (magnitudes, error) {
	m := magnitudes{a: a, examples: examples, upper: make([]int, 1<<16)}
	err := a.each(examples, func(theta []float32) {
		for _, v := range theta {
			bits := magnitudeBits(v)
			m.upper[bits>>16]++
			if bits == 0 {
				m.zeros++
			}
		}
	})
	return m, err
}

// median returns the median of n magnitudes after the smallest skip ones; 0 where n is 0.
func (m magnitudes) median(skip, n int) (float64, error) {
	if n == 0 {
		return 0, nil
	}
	low, err := m.at(skip + (n-1)/2)
	if err != nil || n%2 == 1 {
		return low, err
	}
	high, err := m.at(skip + n/2)
	return low/2 + high/2, err
}

// at returns the magnitude with exactly `rank` others before it in ascending order.
func (m magnitudes) at(rank int) (float64, error) {
	bucket := uint32(0)
	for rank >= m.upper[bucket] {
		rank -= m.upper[bucket]
		bucket++
	}
	lower := make([]int, 1<<16)
	err := m.a.each(m.examples, func(theta []float32) {
		for _, v := range theta {
			if bits := magnitudeBits(v); bits>>16 == bucket {
				lower[bits&0xffff]++
			}
		}
	})
	if err != nil {
		return 0, err
	}
	rest := uint32(0)
	for rank >= lower[rest] {
		rank -= lower[rest]
		rest++
	}
	return float64(math.Float32frombits(bucket<<16 | rest)), nil
}

func magnitudeBits(v float32) uint32 { return math.Float32bits(v) &^ (1 << 31) }
