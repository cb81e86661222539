package regress

import (
	"context"
	"fmt"
	"math/bits"
)

// design is the keep matrix, bit-packed by component, in the form the solvers work on.
//
// Rows are laid out at positions: the fitted rows first, padding up to a whole word, then the rows held out. A part of
// the rows is therefore a range of words, and counts over all rows are sums of counts over the two parts.
//
// Where more than half of the rows keep a component, its bits say "ablated" (flipped), so that set bits are the rarer
// state. Solvers fit these bits z; the attribution of a flipped component is minus its coefficient. Gram matrix of the
// centred columns and objective are the same up to these signs.
type design struct {
	nRows, nComponents int

	rows       []int // [positions] the source's row at each position; -1 is padding
	words      int   // words per component
	trainWords int   // of which the first hold the fitted rows
	nTrain     int   // rows fitted while λ is chosen; all of them where none are held out
	nHeld      int
	prior      bool // the source is a Prior

	bits      []uint64 // [nComponents][words]
	flipped   []bool   // [nComponents]
	onesTrain []int    // [nComponents] bits set among the fitted rows
	onesHeld  []int    // [nComponents] bits set among the rows held out
}

// packedBytes is what a design of this shape holds, and what packing needs besides.
func packedBytes(nRows, nComponents int) int64 {
	words := int64(nRows/64 + 2)
	return int64(nComponents)*(words*8+64+17) + int64(nRows)*16
}

// pack reads every keep row once.
func pack(ctx context.Context, src Source, s split) (*design, error) {
	nRows, nComponents, _ := src.Shape()
	d := &design{nRows: nRows, nComponents: nComponents, nTrain: len(s.train), nHeld: len(s.held)}
	_, d.prior = src.(Prior)
	for _, side := range [][]int{s.train, s.held} {
		d.rows = append(d.rows, side...)
		for len(d.rows)%64 != 0 {
			d.rows = append(d.rows, -1)
		}
	}
	d.words = len(d.rows) / 64
	d.trainWords = (d.nTrain + 63) / 64
	d.bits = make([]uint64, nComponents*d.words)
	d.flipped = make([]bool, nComponents)
	d.onesTrain = make([]int, nComponents)
	d.onesHeld = make([]int, nComponents)

	group := make([]byte, 64*nComponents) // [64][nComponents]
	for word := range d.words {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		present := 0
		for _, row := range d.rows[64*word : 64*word+64] {
			if row < 0 {
				break
			}
			if err := src.KeepRow(row, group[present*nComponents:(present+1)*nComponents]); err != nil {
				return nil, fmt.Errorf("regress: read keep row %d: %w", row, err)
			}
			present++
		}
		for c := range nComponents {
			var packed uint64
			for r, i := 0, c; r < present; r, i = r+1, i+nComponents {
				if group[i] != 0 {
					packed |= 1 << r
				}
			}
			d.bits[c*d.words+word] = packed
		}
	}
	for c := range nComponents {
		d.count(c)
		if 2*(d.onesTrain[c]+d.onesHeld[c]) > nRows {
			d.flip(c)
		}
	}
	return d, nil
}

// column returns the words of component c.
func (d *design) column(c int) []uint64 { return d.bits[c*d.words : (c+1)*d.words] }

func (d *design) count(c int) {
	column := d.column(c)
	d.onesTrain[c], d.onesHeld[c] = ones(column[:d.trainWords]), ones(column[d.trainWords:])
}

func ones(words []uint64) int {
	n := 0
	for _, w := range words {
		n += bits.OnesCount64(w)
	}
	return n
}

func (d *design) flip(c int) {
	column := d.column(c)
	for w := range column {
		column[w] ^= d.present(w)
	}
	d.flipped[c] = true
	d.count(c)
}

// present has a bit for every position of the word that holds a row.
func (d *design) present(word int) uint64 {
	last := d.nTrain - 64*word
	if word >= d.trainWords {
		last = d.nHeld - 64*(word-d.trainWords)
	}
	if last >= 64 {
		return ^uint64(0)
	}
	return 1<<last - 1
}

// constant reports whether every row agrees on component c.
func (d *design) constant(c int) bool { return d.onesTrain[c]+d.onesHeld[c] == 0 }

// nConstant counts the components on which every row agrees.
func (d *design) nConstant() int {
	n := 0
	for c := range d.nComponents {
		if d.constant(c) {
			n++
		}
	}
	return n
}

// part is the set of rows that a fit sees.
type part int

const (
	trainRows part = iota // all but the rows held out
	allRows
)

// parts returns the parts that are fitted: allRows alone where none are held out.
func (d *design) parts() []part {
	if d.nHeld == 0 {
		return []part{allRows}
	}
	return []part{trainRows, allRows}
}

// size returns the number of rows of the part.
func (d *design) size(p part) int {
	if p == trainRows {
		return d.nTrain
	}
	return d.nRows
}

// positions returns the range of positions, padding included, that the part's rows lie in. It begins at 0.
func (d *design) positions(p part) int {
	if p == trainRows {
		return 64 * d.trainWords
	}
	return len(d.rows)
}

// ones returns the bits set in component c among the part's rows.
func (d *design) ones(p part, c int) int {
	if p == trainRows {
		return d.onesTrain[c]
	}
	return d.onesTrain[c] + d.onesHeld[c]
}

// mean returns the mean of component c's bits over the part's rows.
func (d *design) mean(p part, c int) float64 { return float64(d.ones(p, c)) / float64(d.size(p)) }

// appendOnes appends to list the positions, counted from position 64·first, of c's bits set in words [first, last).
func (d *design) appendOnes(list []int32, c, first, last int) []int32 {
	for w, word := range d.column(c)[first:last] {
		for ; word != 0; word &= word - 1 {
			list = append(list, int32(64*w+bits.TrailingZeros64(word)))
		}
	}
	return list
}
