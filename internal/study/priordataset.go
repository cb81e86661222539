package study

import (
	"context"

	"gonum.org/v1/gonum/stat"

	"coar/internal/gradient"
)

// PriorDataset is a component dataset of which the gradient rows explain a part.
type PriorDataset struct {
	*ComponentDataset
	Prior *Prior
}

// predictBytes bounds the attributions that Predictions holds at a time.
const predictBytes = 64 << 20

// Predictions fills dst [nRows, last-first] with the sums of the prior's attributions over what a row keeps.
//
// Cost: reads all keep-rows once for every 64 MiB of attributions; one addition per ablated entry of keep and example.
func (d *PriorDataset) Predictions(ctx context.Context, first, last int, dst []float32) error {
	nRows, p, _ := d.Shape()
	width := max(1, min(last-first, predictBytes/(8*p)))
	keep := make([]byte, p)
	for from := first; from < last; from += width {
		n := min(width, last-from)
		theta, total, err := d.side(ctx, from, n)
		if err != nil {
			return err
		}
		sums := make([]float64, n)
		for row := range nRows {
			if err := d.KeepRow(row, keep); err != nil {
				return err
			}
			copy(sums, total)
			for c, k := range keep {
				if k == 0 {
					for i, v := range theta[c*n : (c+1)*n] {
						sums[i] -= v
					}
				}
			}
			for i, v := range sums {
				dst[row*(last-first)+from-first+i] = float32(v)
			}
		}
	}
	return nil
}

// side reads the attributions of n examples side by side: theta [nComponents][n], and their sums [n].
func (d *PriorDataset) side(ctx context.Context, first, n int) (theta, total []float64, err error) {
	_, p, _ := d.Shape()
	theta, total = make([]float64, p*n), make([]float64, n)
	err = d.Prior.Each(ctx, n, func(i int) int { return d.Example(first + i) }, func(i int, a gradient.Attributions) error {
		for c, v := range a.Theta {
			theta[c*n+i] = v
			total[i] += v
		}
		return nil
	})
	return theta, total, err
}

// PriorScore says how the prior alone does on an example's hard rows, none of which it was made from.
type PriorScore struct {
	Intercept   float64 // logits: the mean of what the prior leaves of the margins
	MSE         float64 // logits², with that intercept
	Correlation float64 // over the rows; 0 where either side is constant
}

// Alone scores the prior alone on every hard row, example by example.
//
// Cost: as Predictions, for blocks of examples of which margins and predictions take up to 64 MiB.
func (d *PriorDataset) Alone(ctx context.Context, visit func(i int, s PriorScore) error) error {
	nRows, _, nExamples := d.Shape()
	block := max(1, min(nExamples, predictBytes/(8*nRows)))
	margins, predicted := make([]float32, nRows*block), make([]float32, nRows*block)
	for first := 0; first < nExamples; first += block {
		n := min(block, nExamples-first)
		if err := d.Margins(first, first+n, margins[:nRows*n]); err != nil {
			return err
		}
		if err := d.Predictions(ctx, first, first+n, predicted[:nRows*n]); err != nil {
			return err
		}
		for i := range n {
			if err := visit(first+i, scoreColumn(margins[:nRows*n], predicted[:nRows*n], i, n)); err != nil {
				return err
			}
		}
	}
	return nil
}

// scoreColumn compares column i of two arrays of n columns.
func scoreColumn(margins, predicted []float32, i, n int) PriorScore {
	var y, q []float64
	for at := i; at < len(margins); at += n {
		y, q = append(y, float64(margins[at])), append(q, float64(predicted[at]))
	}
	meanY, varY := stat.PopMeanVariance(y, nil)
	meanQ, varQ := stat.PopMeanVariance(q, nil)
	s := PriorScore{Intercept: meanY - meanQ}
	for r := range y {
		rest := y[r] - q[r] - s.Intercept
		s.MSE += rest * rest / float64(len(y))
	}
	if varY > 0 && varQ > 0 {
		s.Correlation = stat.Correlation(q, y, nil)
	}
	return s
}
