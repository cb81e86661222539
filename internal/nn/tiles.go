package nn

import "coar/internal/kernel"

// span is one tile's place: where its first vector lies in the input, the output and the residual, channel 0 each.
type span struct {
	in, out, res int32
	vecs, last   int32 // vectors, and lanes of the last one that count
}

// spans cuts rows of n lanes into tiles of nearly equal numbers of vectors.
type spans struct {
	lanes, maxVecs int
	list           []span
}

// row appends the tiles of one run of n contiguous output lanes.
func (s *spans) row(in, out, res, n int) {
	vectors := (n + s.lanes - 1) / s.lanes
	tiles := (vectors + s.maxVecs - 1) / s.maxVecs
	for at, left := 0, vectors; left > 0; tiles-- {
		v := (left + tiles - 1) / tiles
		last := min(s.lanes, n-(at+v-1)*s.lanes)
		s.list = append(s.list, span{int32(in + at*s.lanes), int32(out + at*s.lanes), int32(res + at*s.lanes), int32(v), int32(last)})
		at += v
		left -= v
	}
}

// product is a matrix product prepared for repeated runs: the tiles of its output and the steps of its reduction.
type product struct {
	set   *kernel.Set
	steps []kernel.Offset
	spans []span
	group int // spans that one block of rows visits before the next block, so that both operands stay in cache
	tile  kernel.Tile
}

// block is a set of output rows that one tile computes together.
type block struct {
	rows     int
	steps    []kernel.Offset // nil for ablated rows: their output is the shift alone
	residual bool
	a        [kernel.MaxRows]int32
	out, res [kernel.MaxRows]int32
	scale    [kernel.MaxRows]float32
	shift    [kernel.MaxRows]float32
}

// newProduct chooses the grouping of spans: inBytes is the memory that one span's reduction reads.
func newProduct(set *kernel.Set, steps []kernel.Offset, list []span, inBytes int) product {
	const cache = 384 << 10 // a good part of a core's L2
	return product{set: set, steps: steps, spans: list, group: max(1, cache/max(1, inBytes))}
}

// run computes every block over every span: a holds the rows (weights), b the columns (the layer's input).
func (p *product) run(a, b, out, res []float32, blocks []block, relu bool) {
	t := &p.tile
	t.A, t.B, t.Out, t.BStep = a, b, out, p.set.Lanes
	t.ReLU = 0
	if relu {
		t.ReLU = 1
	}
	for from := 0; from < len(p.spans); from += p.group {
		group := p.spans[from:min(from+p.group, len(p.spans))]
		for i := range blocks {
			bl := &blocks[i]
			t.K, t.ARow, t.OutRow, t.ResRow, t.Scale, t.Shift = bl.steps, bl.a, bl.out, bl.res, bl.scale, bl.shift
			t.Res = nil
			if bl.residual {
				t.Res = res
			}
			for _, s := range group {
				t.BAt, t.OutAt, t.ResAt, t.Last = int(s.in), int(s.out), int(s.res), int(s.last)
				p.set.Tile(t, bl.rows, int(s.vecs))
			}
		}
	}
}

// blocker packs rows into blocks of nearly equal height.
type blocker struct {
	maxRows int
	blocks  []block
}

// add appends the rows 0..n-1 as blocks; fill sets row r's entries in slot i of a block.
func (b *blocker) add(n int, steps []kernel.Offset, residual bool, fill func(bl *block, i, r int)) {
	count := (n + b.maxRows - 1) / b.maxRows
	for r := 0; r < n; count-- {
		rows := (n - r + count - 1) / count
		b.blocks = append(b.blocks, block{rows: rows, steps: steps, residual: residual})
		bl := &b.blocks[len(b.blocks)-1]
		for i := range rows {
			fill(bl, i, r+i)
		}
		r += rows
	}
}
