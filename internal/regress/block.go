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
	prior []float32 // [nRows][n] predictions of the prior, of which tiles hold what is left; nil where there is none
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

// priorBytes is what a block holds per example where there is a prior.
func priorBytes(nRows int) int64 { return 4 * int64(nRows) }

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
	if prior, ok := src.(Prior); ok {
		if b.prior == nil {
			b.prior = make([]float32, b.d.nRows*len(b.mean))
		}
		if err := prior.Predictions(ctx, first, last, b.prior[:b.d.nRows*b.n]); err != nil {
			return err
		}
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

// margin is what is to be fitted of example e in a row: what the prior, if there is one, leaves of the margin.
func (b *block) margin(row, e int) float64 {
	v := float64(b.read[row*b.n+e])
	if b.prior != nil {
		v -= float64(b.prior[row*b.n+e])
	}
	return v
}

// loadExample writes example e, centred, into every tileWidth-th entry of dst.
func (b *block) loadExample(dst []float64, e int) error {
	sum := 0.0
	for row := range b.d.nRows {
		v := b.margin(row, e)
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fault.InFile("", "regress: the margin of example %d in row %d is %v; every margin must be a finite number", b.first+e, row, v)
		}
		sum += v
	}
	mean := sum / float64(b.d.nRows)
	b.mean[e] = mean
	for _, p := range []part{trainRows, allRows} {
		first := b.margin(b.d.rows[0], e)
		constant, total := true, 0.0
		for at, row := range b.d.rows[:b.d.positions(p)] {
			if row < 0 {
				continue
			}
			v := b.margin(row, e)
			constant = constant && v == first
			dst[at*tileWidth] = v - mean
			total += v - mean
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

// heldPrior copies what the prior predicts of example e in the rows held out, less its mean over the rows fitted, into dst
// [nHeld]; without a prior that is 0.
func (b *block) heldPrior(dst []float64, e int) {
	dst = dst[:b.d.nHeld]
	clear(dst)
	if b.prior == nil {
		return
	}
	mean := 0.0
	for _, row := range b.d.rows[:b.d.positions(trainRows)] {
		if row >= 0 {
			mean += float64(b.prior[row*b.n+e]) / float64(b.d.nTrain)
		}
	}
	base := 64 * b.d.trainWords
	for i := range dst {
		dst[i] = float64(b.prior[b.d.rows[base+i]*b.n+e]) - mean
	}
}
