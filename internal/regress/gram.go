package regress

import "context"

// grams returns the covariance matrices of the components, over the rows fitted while λ is chosen and over all rows.
//
// Shape: [nComponents][nComponents] each, symmetric, both halves filled; train is nil where no rows are held out.
// Entry (c, d) is (m·n_cd − n_c·n_d)/m², its numerator an exact integer, so nothing is lost to centring.
// Cost:  nComponents²·nRows/128 AND+POPCNT; 8·nComponents² bytes for each matrix. They are float64 because the solvers'
// inner loop and gonum's eigensolver are, and because float32 would only matter where coordinate descent on the rows
// is the cheaper one anyway.
func grams(ctx context.Context, d *design, workers int) (train, all []float64, err error) {
	p := d.nComponents
	all = make([]float64, p*p)
	if d.nHeld > 0 {
		train = make([]float64, p*p)
	}
	tiles := (p + gramTile - 1) / gramTile
	err = parallel(ctx, workers, tiles*(tiles+1)/2, func(_, unit int) error {
		tj := triangleRow(unit)
		ti := unit - tj*(tj+1)/2
		i0, j0 := ti*gramTile, tj*gramTile
		nA, nB := min(gramTile, p-i0), min(gramTile, p-j0)
		a, b := d.bits[i0*d.words:], d.bits[j0*d.words:]
		var onTrain, onHeld [gramTile * gramTile]int
		gramBlock(&onTrain, a, b, d.words, 0, d.trainWords, nA, nB)
		gramBlock(&onHeld, a, b, d.words, d.trainWords, d.words, nA, nB)
		for i := i0; i < i0+nA; i++ {
			for j := j0; j < j0+nB; j++ {
				k := (i-i0)*gramTile + j - j0
				g := d.covariance(allRows, i, j, onTrain[k]+onHeld[k])
				all[i*p+j], all[j*p+i] = g, g
				if train != nil {
					g = d.covariance(trainRows, i, j, onTrain[k])
					train[i*p+j], train[j*p+i] = g, g
				}
			}
		}
		return nil
	}, nil)
	return train, all, err
}

// covariance of components i and j over the part's rows, of which both bits are set in `both`.
func (d *design) covariance(p part, i, j, both int) float64 {
	m := d.size(p)
	return float64(m*both-d.ones(p, i)*d.ones(p, j)) / (float64(m) * float64(m))
}

// triangleRow returns the largest r with r(r+1)/2 <= k.
func triangleRow(k int) int {
	r := 0
	for step := 1 << 30; step > 0; step >>= 1 {
		if next := r + step; next*(next+1)/2 <= k {
			r = next
		}
	}
	return r
}
