package regress

import (
	"context"
	"math/bits"
)

// kernels holds the inner products of the rows, centred.
type kernels struct {
	all   []float64 // [nRows][nRows]: ZZᵀ/m about the means of all rows; fitted rows first, then those held out
	train []float64 // [nTrain][nTrain]: ZZᵀ/nTrain about the means of the rows fitted; nil where none are held out
	held  []float64 // [nHeld][nTrain]: held-out rows times fitted rows about those means, not divided
}

// makeKernels computes them from the packed rows.
//
// Cost: nRows²·nComponents/128 AND+POPCNT; with scales one addition more for every bit that two rows share.
func makeKernels(ctx context.Context, d *design, s scales, workers int) (*kernels, error) {
	rows := packRows(d, 0)
	m, nTrain := d.nRows, d.nTrain
	k := &kernels{all: make([]float64, m*m)}
	if d.nHeld > 0 {
		k.train = make([]float64, nTrain*nTrain)
		k.held = make([]float64, d.nHeld*nTrain)
	}
	aboutAll, aboutTrain := newCentring(rows, s, allRows), newCentring(rows, s, trainRows)
	tiles := (m + gramTile - 1) / gramTile
	err := parallel(ctx, workers, tiles*(tiles+1)/2, func(_, unit int) error {
		tj := triangleRow(unit)
		i0, j0 := (unit-tj*(tj+1)/2)*gramTile, tj*gramTile
		nA, nB := min(gramTile, m-i0), min(gramTile, m-j0)
		var counts [gramTile * gramTile]int
		if s == nil {
			gramBlock(&counts, rows.bits[i0*rows.words:], rows.bits[j0*rows.words:], rows.words, 0, rows.words, nA, nB)
		}
		for i := i0; i < i0+nA; i++ {
			for j := max(i, j0); j < j0+nB; j++ {
				both := float64(counts[(i-i0)*gramTile+j-j0])
				if s != nil {
					both = rows.shared(i, j, s)
				}
				v := aboutAll.inner(i, j, both) / float64(m)
				k.all[i*m+j], k.all[j*m+i] = v, v
				if k.train == nil || i >= nTrain {
					continue
				}
				v = aboutTrain.inner(i, j, both)
				if j < nTrain {
					v /= float64(nTrain)
					k.train[i*nTrain+j], k.train[j*nTrain+i] = v, v
				} else {
					k.held[(j-nTrain)*nTrain+i] = v
				}
			}
		}
		return nil
	}, nil)
	return k, err
}

// kernelBytes is what makeKernels holds, the packed rows included.
func kernelBytes(nRows, nHeld, nComponents int) int64 {
	m, held := int64(nRows), int64(nHeld)
	bytes := 8*m*m + rowBytes(nRows, nComponents) + 16*m
	if held > 0 {
		bytes += 8 * (m - held) * m
	}
	return bytes
}

// centring turns inner products of bit rows into those of rows less the mean row.
type centring struct {
	along  []float64 // [nRows] row times mean, both scaled
	square float64   // mean times mean, likewise
}

func newCentring(rows *rowBits, s scales, p part) centring {
	d := rows.d
	mean := make([]float64, d.nComponents)
	c := centring{along: make([]float64, d.nRows)}
	for i := range mean {
		weight := s.of(i) * s.of(i)
		mean[i] = weight * d.mean(p, i)
		c.square += mean[i] * d.mean(p, i)
	}
	for row := range c.along {
		rows.each(row, func(i int) { c.along[row] += mean[i] })
	}
	return c
}

func (c centring) inner(i, j int, both float64) float64 {
	return both - c.along[i] - c.along[j] + c.square
}

// shared adds up the squared scales of the bits that two rows share.
func (r *rowBits) shared(i, j int, s scales) float64 {
	a, b := r.bits[(i-r.first)*r.words:][:r.words], r.bits[(j-r.first)*r.words:][:r.words]
	sum := 0.0
	for w, word := range a {
		for word &= b[w]; word != 0; word &= word - 1 {
			f := s[64*w+bits.TrailingZeros64(word)]
			sum += f * f
		}
	}
	return sum
}
