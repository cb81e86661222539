package regress

import (
	"context"
	"math"

	"coar/internal/fault"
)

// block holds the margins of some examples: centred, float64, in tiles of tileWidth examples.
//
// Its arrays are sized once, for the largest block of a fit, and reused.
type block struct {
	d     *design
	first int // example number of the block's first
	n     int // examples in the block

	read  []float32 // [nRows][n] as the source gave them
	tiles []float64 // [ceil(n/tileWidth)][positions][tileWidth], less the example's mean over all rows; padding is 0
	mean  []float64 // [n] over all rows, logits

	// Per part: the mean of the centred margins, and whether the margin is one number in all of the part's rows.
	offset   [2][]float64
	constant [2][]bool
}

// newBlock makes room for capacity examples.
func newBlock(d *design, capacity int) *block {
	tiles := (capacity + tileWidth - 1) / tileWidth
	b := &block{
		d:     d,
		tiles: make([]float64, tiles*len(d.rows)*tileWidth),
		mean:  make([]float64, capacity),
	}
	for p := range b.offset {
		b.offset[p] = make([]float64, capacity)
		b.constant[p] = make([]bool, capacity)
	}
	return b
}

// blockBytes is what a block holds per example, and besides.
func blockBytes(nRows int) (perExample, fixed int64) {
	positions := int64(nRows) + 128
	return 4*int64(nRows) + 8*positions + 40, 8 * positions * (tileWidth - 1)
}

// load reads the margins of the examples [first, last).
func (b *block) load(ctx context.Context, src Source, first, last, workers int) error {
	b.first, b.n = first, last-first
	if b.read == nil {
		b.read = make([]float32, b.d.nRows*len(b.mean))
	}
	read := b.read[:b.d.nRows*b.n]
	if err := src.Margins(first, last, read); err != nil {
		return err
	}
	tiles := (b.n + tileWidth - 1) / tileWidth
	return parallel(ctx, workers, tiles, func(_, tile int) error {
		dst := b.tile(tile)
		clear(dst)
		for lane := range min(tileWidth, b.n-tile*tileWidth) {
			if err := b.loadExample(dst[lane:], tile*tileWidth+lane); err != nil {
				return err
			}
		}
		return nil
	}, nil)
}

// loadExample writes example e, centred, into every tileWidth-th entry of dst.
func (b *block) loadExample(dst []float64, e int) error {
	sum := 0.0
	for row := range b.d.nRows {
		v := float64(b.read[row*b.n+e])
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fault.InFile("", "regress: the margin of example %d in row %d is %v; every margin must be a finite number", b.first+e, row, v)
		}
		sum += v
	}
	mean := sum / float64(b.d.nRows)
	b.mean[e] = mean
	for _, p := range []part{trainRows, allRows} {
		first := b.read[b.d.rows[0]*b.n+e]
		constant, total := true, 0.0
		for at, row := range b.d.rows[:b.d.positions(p)] {
			if row < 0 {
				continue
			}
			v := b.read[row*b.n+e]
			constant = constant && v == first
			dst[at*tileWidth] = float64(v) - mean
			total += float64(v) - mean
		}
		b.offset[p][e] = total / float64(b.d.size(p))
		b.constant[p][e] = constant
	}
	return nil
}

// tile returns tile t: [positions][tileWidth].
func (b *block) tile(t int) []float64 {
	size := len(b.d.rows) * tileWidth
	return b.tiles[t*size : (t+1)*size]
}

// centred copies example e's margins less their mean over the part into dst, by position; padding becomes 0.
func (b *block) centred(dst []float64, p part, e int) []float64 {
	src, lane, offset := b.tile(e/tileWidth), e%tileWidth, b.offset[p][e]
	dst = dst[:b.d.positions(p)]
	for at := range dst {
		dst[at] = 0
		if b.d.rows[at] >= 0 {
			dst[at] = src[at*tileWidth+lane] - offset
		}
	}
	return dst
}

// variance returns the mean square over the part of example e's margins about their mean.
func (b *block) variance(p part, e int) float64 {
	src, lane, offset := b.tile(e/tileWidth), e%tileWidth, b.offset[p][e]
	sum := 0.0
	for at, row := range b.d.rows[:b.d.positions(p)] {
		if row >= 0 {
			v := src[at*tileWidth+lane] - offset
			sum += v * v
		}
	}
	return sum / float64(b.d.size(p))
}

// held copies example e's margins in the rows held out, less their mean over the rows fitted, into dst [nHeld].
func (b *block) held(dst []float64, e int) []float64 {
	src, lane, offset := b.tile(e/tileWidth), e%tileWidth, b.offset[trainRows][e]
	dst = dst[:b.d.nHeld]
	base := 64 * b.d.trainWords
	for i := range dst {
		dst[i] = src[(base+i)*tileWidth+lane] - offset
	}
	return dst
}
