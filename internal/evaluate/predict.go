package evaluate

import (
	"fmt"
	"math/bits"
)

// packedSide holds, for every row, either the ablated components or the kept ones, whichever are fewer in all.
//
// One side serves all rows: a component that no row ablates (or none keeps) then never enters a sum,
// so an example whose θ lies on such components alone is predicted exactly constant, without rounding noise.
type packedSide struct {
	kept  bool // the bits mark kept components
	words int  // per row
	bits  []uint64
}

// row calls visit with the marked components of a row, ascending.
func (p packedSide) row(row int, visit func(component int)) {
	for w, word := range p.bits[row*p.words : (row+1)*p.words] {
		for ; word != 0; word &= word - 1 {
			visit(w*64 + bits.TrailingZeros64(word))
		}
	}
}

// packKeep reads every row's keep-vector once.
func packKeep(rows Rows) (packedSide, error) {
	p := packedSide{words: (rows.NComponents + 63) / 64}
	p.bits = make([]uint64, rows.NRows*p.words)
	keep := make([]bool, rows.NComponents)
	nAblated := 0
	for row := range rows.NRows {
		if err := rows.Keep(row, keep); err != nil {
			return p, fmt.Errorf("evaluate: read what row %d keeps: %w", row, err)
		}
		packed := p.bits[row*p.words : (row+1)*p.words]
		for c, kept := range keep {
			if !kept {
				packed[c/64] |= 1 << (c % 64)
				nAblated++
			}
		}
	}
	if total := rows.NRows * rows.NComponents; nAblated > total/2 {
		p.kept = true
		p.complement(rows.NComponents)
	}
	return p, nil
}

// complement marks what was unmarked.
func (p packedSide) complement(nComponents int) {
	for i := range p.bits {
		p.bits[i] = ^p.bits[i]
		if last := nComponents % 64; last != 0 && i%p.words == p.words-1 {
			p.bits[i] &= 1<<last - 1
		}
	}
}

// lanes is how many examples are summed at once, so that finding a marked component is paid for once.
const lanes = 8

// predict returns the predicted margins of n examples, [n][rows]: intercept + sum of θ over kept, summed in float64.
func (s *scorer) predict(first, n int) ([][]float64, error) {
	predicted := matrix(n, s.rows.NRows)
	tile := make([][lanes]float64, s.rows.NComponents)
	for from := 0; from < n; from += lanes {
		used := min(lanes, n-from)
		base, err := s.fillTile(tile, first+from, used)
		if err != nil {
			return nil, err
		}
		for row := range s.rows.NRows {
			sum := s.side.sum(row, tile)
			for lane := range used {
				if s.side.kept {
					predicted[from+lane][row] = base[lane] + sum[lane]
				} else {
					predicted[from+lane][row] = base[lane] - sum[lane]
				}
			}
		}
	}
	return predicted, nil
}

// fillTile reads the θ of up to lanes examples side by side, component by component,
// and returns what each predicts when nothing is marked.
func (s *scorer) fillTile(tile [][lanes]float64, first, used int) (base [lanes]float64, err error) {
	s.reading.Lock()
	defer s.reading.Unlock()
	theta := make([]float32, s.rows.NComponents)
	clear(tile)
	for lane := range used {
		if err := s.rows.attribution(first+lane, theta); err != nil {
			return base, err
		}
		base[lane] = float64(s.rows.Intercepts[first+lane])
		for c, v := range theta {
			tile[c][lane] = float64(v)
			if !s.side.kept {
				base[lane] += float64(v)
			}
		}
	}
	return base, nil
}

// sum adds up the tile's marked components.
func (p packedSide) sum(row int, tile [][lanes]float64) (sum [lanes]float64) {
	p.row(row, func(c int) {
		t := &tile[c]
		for lane := range sum {
			sum[lane] += t[lane]
		}
	})
	return sum
}

// Points returns the predicted and the measured margins of one example on every row, in logits, as a scatter plot needs them.
func (r Rows) Points(example int) (predicted, measured []float64, err error) {
	if err := r.check(); err != nil {
		return nil, nil, err
	}
	side, err := packKeep(r)
	if err != nil {
		return nil, nil, err
	}
	s := &scorer{rows: r, side: side}
	p, err := s.predict(example, 1)
	if err != nil {
		return nil, nil, err
	}
	m, err := s.measured(example, 1)
	if err != nil {
		return nil, nil, err
	}
	return p[0], m[0], nil
}
