package regress

import "math/bits"

// rowBits is a design packed by row: the fitted rows first, then those held out, without padding.
type rowBits struct {
	d     *design
	words int      // per row
	bits  []uint64 // [rows][words]
	first int      // the first row packed, counted in this order
}

// packRows packs the rows [first, nRows).
//
// Cost: one pass over the design's bits.
func packRows(d *design, first int) *rowBits {
	r := &rowBits{d: d, words: (d.nComponents + 63) / 64, first: first}
	r.bits = make([]uint64, (d.nRows-first)*r.words)
	place := make([]int, len(d.rows)) // of the row at each position
	row := 0
	for at, source := range d.rows {
		if source >= 0 {
			place[at] = row
			row++
		}
	}
	for c := range d.nComponents {
		for w, word := range d.column(c) {
			for ; word != 0; word &= word - 1 {
				if row := place[64*w+bits.TrailingZeros64(word)]; row >= first {
					r.bits[(row-first)*r.words+c/64] |= 1 << (c % 64)
				}
			}
		}
	}
	return r
}

// rowBytes is what packing this many rows holds.
func rowBytes(nRows, nComponents int) int64 {
	return 8*int64(nRows)*int64((nComponents+63)/64) + 8*int64(nRows) + 1024
}

// each calls visit for every component whose bit is set in the row, ascending.
func (r *rowBits) each(row int, visit func(c int)) {
	i := (row - r.first) * r.words
	for w, word := range r.bits[i : i+r.words] {
		for ; word != 0; word &= word - 1 {
			visit(64*w + bits.TrailingZeros64(word))
		}
	}
}
