package regress

import "context"

const (
	tileWidth   = 8  // examples whose running sums stay in registers
	crossWords  = 16 // words of a column listed at a time: with crossTiles tiles, 512 KiB of margins
	crossTiles  = 8  // tiles that share one listing of a column
	crossColumn = 64 // components that share one pass over those margins
)

// cross holds the covariances of every component with the margins of a block's examples.
type cross struct {
	d        *design
	products [2][]float64 // per part [examples][nComponents]: (z_c − mean)ᵀ(y − mean)/m, signs as in design
}

// newCross makes room for the parts named.
func newCross(d *design, capacity int, parts ...part) *cross {
	x := &cross{d: d}
	for _, p := range parts {
		x.products[p] = make([]float64, capacity*d.nComponents)
	}
	return x
}

// crossBytes is what a cross holds per example and part.
func crossBytes(nComponents int) int64 { return 8 * int64(nComponents) }

// of returns example e's covariances over the part: [nComponents].
func (x *cross) of(p part, e int) []float64 {
	n := x.d.nComponents
	return x.products[p][e*n : (e+1)*n]
}

// compute fills x from b's margins.
//
// Sums run over the set bits only, in float64 and in the order of the positions, whatever the number of workers.
// Cost: one addition per set bit and example.
func (x *cross) compute(ctx context.Context, b *block, workers int) error {
	d := x.d
	columns := (d.nComponents + crossColumn - 1) / crossColumn
	tiles := (b.n + tileWidth - 1) / tileWidth
	groups := (tiles + crossTiles - 1) / crossTiles
	scratch := make([]crossScratch, min(workers, columns*groups))
	return parallel(ctx, workers, columns*groups, func(worker, unit int) error {
		s := &scratch[worker]
		firstColumn, firstTile := unit%columns*crossColumn, unit/columns*crossTiles
		lastColumn, lastTile := min(firstColumn+crossColumn, d.nComponents), min(firstTile+crossTiles, tiles)
		s.sums = [2][crossColumn][crossTiles][tileWidth]float64{}
		s.add(trainRows, b, firstColumn, lastColumn, firstTile, lastTile)
		s.add(allRows, b, firstColumn, lastColumn, firstTile, lastTile)
		for c := firstColumn; c < lastColumn; c++ {
			for e := firstTile * tileWidth; e < min(lastTile*tileWidth, b.n); e++ {
				tile, lane := e/tileWidth-firstTile, e%tileWidth
				train := s.sums[trainRows][c-firstColumn][tile][lane]
				held := s.sums[allRows][c-firstColumn][tile][lane]
				if x.products[trainRows] != nil {
					x.of(trainRows, e)[c] = train/float64(d.nTrain) - d.mean(trainRows, c)*b.offset[trainRows][e]
				}
				x.of(allRows, e)[c] = (train+held)/float64(d.nRows) - d.mean(allRows, c)*b.offset[allRows][e]
			}
		}
		return nil
	}, nil)
}

// crossScratch is one worker's: sums over the rows fitted (at trainRows) and over the rows held out (at allRows).
type crossScratch struct {
	sums [2][crossColumn][crossTiles][tileWidth]float64
	list []int32
}

func (s *crossScratch) add(p part, b *block, firstColumn, lastColumn, firstTile, lastTile int) {
	d := b.d
	first, last := 0, d.trainWords
	if p == allRows {
		first, last = d.trainWords, d.words
	}
	for from := first; from < last; from += crossWords {
		to := min(from+crossWords, last)
		for c := firstColumn; c < lastColumn; c++ {
			s.list = d.appendOnes(s.list[:0], c, from, to)
			for tile := firstTile; tile < lastTile; tile++ {
				margins := b.tile(tile)[from*64*tileWidth : to*64*tileWidth]
				sumRows(&s.sums[p][c-firstColumn][tile-firstTile], margins, s.list)
			}
		}
	}
}

// sumRows adds to sums the listed rows of y: [rows][tileWidth]. It is the loop to replace by a faster kernel.
func sumRows(sums *[tileWidth]float64, y []float64, list []int32) {
	s0, s1, s2, s3, s4, s5, s6, s7 := sums[0], sums[1], sums[2], sums[3], sums[4], sums[5], sums[6], sums[7]
	for _, row := range list {
		v := (*[tileWidth]float64)(y[int(row)*tileWidth:])
		s0 += v[0]
		s1 += v[1]
		s2 += v[2]
		s3 += v[3]
		s4 += v[4]
		s5 += v[5]
		s6 += v[6]
		s7 += v[7]
	}
	*sums = [tileWidth]float64{s0, s1, s2, s3, s4, s5, s6, s7}
}
