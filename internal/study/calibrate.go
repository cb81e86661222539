package study

import (
	"slices"

	"coar/internal/gradient"
)

// Calibration says what calibrating the prior did on held-out rows.
type Calibration struct {
	Factors []float64 `json:"factors"` // per component group
	Kept    bool      `json:"kept"`    // the factors lower the error of the whole fit
	// Mean squared errors of the prior alone over held-out rows and examples, in units of the margins' variance.
	Before float64 `json:"before"`
	After  float64 `json:"after"`
}

const (
	calibrationExamples = 50       // that factors are found on
	calibrationBytes    = 64 << 20 // of predictions held at a time
	rowsPerFactor       = 5        // that it takes
)

// UseFactors multiplies the attributions of each component group by a factor; nil for none.
func (p *Prior) UseFactors(factors []float64) { p.factors = factors }

// Calibrate finds a factor for each component group of the prior on the rows that are not held out, and says what they do to
// the error on those that are. It does not use them. nil: too few rows.
//
// Cost: one addition per ablated entry of keep, for up to 50 examples; groups² per row and example.
func (d *PriorDataset) Calibrate(held []int) (*Calibration, error) {
	nRows, _, nExamples := d.Shape()
	sample := spread(nExamples, calibrationExamples)
	nGroups := len(d.Prior.groups)
	rows := min(nRows, calibrationBytes/(8*nGroups*len(sample)))
	if rows-len(held) < rowsPerFactor*nGroups {
		return nil, nil
	}
	z, y, err := d.byGroup(sample, rows)
	if err != nil {
		return nil, err
	}
	isHeld := make([]bool, nRows)
	for _, r := range held {
		isHeld[r] = true
	}
	fit := gradient.NewCalibration(nGroups)
	for i := range sample {
		trainZ, trainY := pick(z[i], y[i], nGroups, isHeld[:rows], false)
		fit.Add(trainZ, trainY)
	}
	c := &Calibration{Factors: fit.Solve()}
	if c.Factors == nil {
		return nil, nil
	}
	ones := slices.Repeat([]float64{1}, nGroups)
	for i := range sample {
		heldZ, heldY := pick(z[i], y[i], nGroups, isHeld[:rows], true)
		c.Before += relativeError(heldZ, heldY, ones) / float64(len(sample))
		c.After += relativeError(heldZ, heldY, c.Factors) / float64(len(sample))
	}
	return c, nil
}

// spread is n of the first total numbers, evenly spaced.
func spread(total, n int) []int {
	n = min(total, n)
	numbers := make([]int, n)
	for i := range numbers {
		numbers[i] = i * total / n
	}
	return numbers
}

// byGroup returns for each example of a sample what every group's attributions predict of the first rows, up to a constant
// of each group's, [rows][groups], and the margins, [rows].
func (d *PriorDataset) byGroup(sample []int, rows int) (z, y [][]float64, err error) {
	nRows, p, _ := d.Shape()
	groupOf, nGroups := make([]int, 0, p), len(d.Prior.groups)
	for l, size := range d.Prior.groups {
		groupOf = append(groupOf, slices.Repeat([]int{l}, size)...)
	}
	theta := make([][]float64, len(sample))
	column := make([]float32, nRows)
	for i, e := range sample {
		a, err := d.Prior.Estimate(d.Example(e))
		if err != nil {
			return nil, nil, err
		}
		theta[i] = a.Theta
		if err := d.Margins(e, e+1, column); err != nil {
			return nil, nil, err
		}
		z, y = append(z, make([]float64, rows*nGroups)), append(y, make([]float64, rows))
		for r := range rows {
			y[i][r] = float64(column[r])
		}
	}
	keep := make([]byte, p)
	for r := range rows {
		if err := d.KeepRow(r, keep); err != nil {
			return nil, nil, err
		}
		for c, k := range keep {
			if k == 0 {
				for i := range sample {
					z[i][r*nGroups+groupOf[c]] -= theta[i][c]
				}
			}
		}
	}
	return z, y, nil
}

// pick copies the rows that are held out, or the others.
func pick(z, y []float64, nGroups int, isHeld []bool, held bool) (pickedZ, pickedY []float64) {
	for r, h := range isHeld {
		if h == held {
			pickedZ = append(pickedZ, z[r*nGroups:(r+1)*nGroups]...)
			pickedY = append(pickedY, y[r])
		}
	}
	return pickedZ, pickedY
}

// relativeError is the mean squared error of Σ factors·z about its mean, in units of y's variance; 0 for a constant y.
func relativeError(z, y, factors []float64) float64 {
	nGroups, n := len(factors), float64(len(y))
	var restMean, mean float64
	rest := make([]float64, len(y))
	for r, v := range y {
		rest[r] = v
		for l, a := range factors {
			rest[r] -= a * z[r*nGroups+l]
		}
		restMean += rest[r] / n
		mean += v / n
	}
	var square, variance float64
	for r, v := range y {
		square += (rest[r] - restMean) * (rest[r] - restMean)
		variance += (v - mean) * (v - mean)
	}
	if variance == 0 {
		return 0
	}
	return square / variance
}
