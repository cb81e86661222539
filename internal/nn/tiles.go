package nn

import "coar/internal/kernel"

// spans cuts rows of n lanes into tiles of nearly equal numbers of vectors. Channel 0 of everything lies at 0.
type spans struct {
	lanes, maxVecs int
	step           int // elements from one vector to the next in the input
	list           []sized
}

func newSpans(set *kernel.Set) spans {
	return spans{lanes: set.Lanes, maxVecs: set.MaxVecs, step: set.Lanes}
}

// sized is a span with the number of its vectors.
type sized struct {
	kernel.Span
	vecs int
}

// row appends the tiles of one run of n contiguous output lanes.
func (s *spans) row(in, out, res, n int) {
	vectors := (n + s.lanes - 1) / s.lanes
	tiles := (vectors + s.maxVecs - 1) / s.maxVecs
	for at, left := 0, vectors; left > 0; tiles-- {
		v := (left + tiles - 1) / tiles
		last := min(s.lanes, n-(at+v-1)*s.lanes)
		s.list = append(s.list, sized{kernel.Span{In: int32(in + at*s.step), Out: int32(out + at*s.lanes), Res: int32(res + at*s.lanes), Last: int32(last)}, v})
		at += v
		left -= v
	}
}

// visit is the spans that one call of a tile computes, all of one width.
type visit struct {
	vecs  int
	spans []kernel.Span
}

// group cuts the spans into groups of size and each group into visits, one for each width.
func (s *spans) group(size int) [][]visit {
	var groups [][]visit
	for from := 0; from < len(s.list); from += size {
		byVecs := make([][]kernel.Span, s.maxVecs+1)
		for _, sp := range s.list[from:min(from+size, len(s.list))] {
			byVecs[sp.vecs] = append(byVecs[sp.vecs], sp.Span)
		}
		var g []visit
		for vecs, list := range byVecs {
			if len(list) > 0 {
				g = append(g, visit{vecs, list})
			}
		}
		groups = append(groups, g)
	}
	return groups
}

// product is a matrix product prepared for repeated runs: the tiles of its output and the steps of its reduction.
type product struct {
	set    *kernel.Set
	steps  []kernel.Offset // the whole reduction
	live   []kernel.Offset // the part of it that is run
	live2  []kernel.Offset // of operands.a2
	groups [][]visit       // one block of rows visits a group before the next block does, so that both operands stay in cache
	step   int             // elements from one vector of b to the next
	cells  bool            // both operands are bfloat16
	panel  *panel          // nil: columns are read in place
	ahead  *ahead          // nil: nothing is fetched
	tile   kernel.CellTile

	operands operands // of the current run
	copied   bool     // its columns are read from the panel
	group    []visit  // what is computed next
}

// block is a set of output rows that one tile computes together.
type block struct {
	rows     int
	empty    bool // nothing is summed: the shift alone, for ablated rows
	raw      bool // written to operands.raw, without an activation
	residual bool
	a, a2    [kernel.MaxRows]int32
	out, res [kernel.MaxRows]int32
	scale    [kernel.MaxRows]float32
	shift    [kernel.MaxRows]float32
	outForm  [kernel.MaxRows]kernel.Form // of products of cells
	resForm  [kernel.MaxRows]kernel.Form
}

// newProduct chooses the grouping of spans: inBytes is the memory that one span's reduction reads.
func newProduct(set *kernel.Set, steps []kernel.Offset, s spans, inBytes int) product {
	const cache = 384 << 10 // a good part of a core's L2
	return product{set: set, steps: steps, live: steps, step: s.step, groups: s.group(max(1, cache/max(1, inBytes)))}
}

// operands are the memory of a product: a and a2 hold the rows (weights), b the columns (the layer's input).
type operands struct {
	a, a2, b, out, res []float32
	raw                []float32 // what raw blocks write to
	relu               bool
}

// run computes every block over every span.
func (p *product) run(o operands, blocks []block) {
	p.begin(o, len(blocks))
	if p.ahead != nil {
		p.ahead.begin(p, blocks)
	}
	for _, group := range p.groups {
		p.enter(group)
		p.compute(blocks)
	}
}

// begin prepares for a run in which so many blocks visit each group.
func (p *product) begin(o operands, nBlocks int) {
	p.operands = o
	t := &p.tile
	t.A, t.A2, t.B, t.BStep = o.a, o.a2, o.b, p.step
	p.copied = p.panel != nil && nBlocks >= panelMinBlocks
	if p.copied {
		p.panel.begin(p.live, p.live2, p.set.Lanes)
		t.B, t.BStep = p.panel.work.panel, p.set.Lanes
	}
}

// enter makes the group the one that is computed next.
func (p *product) enter(group []visit) {
	p.group = group
	if p.copied {
		p.group = p.panel.fill(group, p.live, p.live2, p.operands.b, p.step, p.set.Lanes)
	}
}

// compute computes the blocks over the group.
func (p *product) compute(blocks []block) {
	t := &p.tile
	for i := range blocks {
		bl := &blocks[i]
		t.ARow, t.A2Row, t.OutRow, t.ResRow, t.Scale, t.Shift = bl.a, bl.a2, bl.out, bl.res, bl.scale, bl.shift
		t.K, t.K2, t.Res, t.Out, t.ReLU = p.live, p.live2, nil, p.operands.out, 0
		if bl.empty {
			t.K, t.K2 = nil, nil
		}
		if bl.residual {
			t.Res = p.operands.res
		}
		if bl.raw {
			t.Out = p.operands.raw
		} else if p.operands.relu {
			t.ReLU = 1
		}
		t.OutForm, t.ResForm = bl.outForm, bl.resForm
		for _, v := range p.group {
			t.Spans = v.spans
			if p.copied && !bl.empty {
				t.K, t.K2 = p.panel.steps[v.vecs], p.panel.steps2[v.vecs]
			}
			if p.ahead != nil {
				p.ahead.next(&t.Tile)
			}
			if p.cells {
				p.set.TileBF16(t, bl.rows, v.vecs)
			} else {
				p.set.Tile(&t.Tile, bl.rows, v.vecs)
			}
		}
	}
}

// blocker packs rows into blocks of nearly equal height.
type blocker struct {
	maxRows int
	blocks  []block
}

// add appends the rows 0..n-1 as blocks like the given one; fill sets row r's entries in slot i of a block.
func (b *blocker) add(n int, like block, fill func(bl *block, i, r int)) {
	count := (n + b.maxRows - 1) / b.maxRows
	for r := 0; r < n; count-- {
		like.rows = (n - r + count - 1) / count
		b.blocks = append(b.blocks, like)
		bl := &b.blocks[len(b.blocks)-1]
		for i := range like.rows {
			fill(bl, i, r+i)
		}
		r += like.rows
	}
}
