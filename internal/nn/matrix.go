package nn

import "coar/internal/kernel"

// matrixProduct computes a convolution or linear layer over cells on a matrix unit: every row, block after block of
// consecutive ones. An ablated row costs what a kept one does, which is less than sorting it out would.
type matrixProduct struct {
	set   *kernel.Set
	steps []int32      // offsets into the input, one for each group of channels and tap
	part  int          // how many steps all spans of a group take before any takes the next ones
	runs  []matrixRuns // of two sides of rows, and of the one that may be left
	work  *workspace
	args  *kernel.Matrix
}

// matrixRuns are the spans that blocks of so many sides of rows visit, group after group so that both operands stay in cache.
type matrixRuns struct {
	sides  int
	groups [][]visit
}

// cellGroups cuts the rows of cells of a map of depth rows into groups that one step takes: all of size rows, the last one
// ending with the map. Where it overlaps the one before, that one has those channels.
type cellGroups struct{ depth, size, count int }

func newCellGroups(depth int) cellGroups {
	count := (depth + kernel.MatrixSide - 1) / kernel.MatrixSide
	return cellGroups{depth, (depth + count - 1) / count, count}
}

// first is the first row of group i, and how many rows the group before has too.
func (g cellGroups) first(i int) (row, overlap int) {
	row = min(i*g.size, g.depth-g.size)
	return row, i*g.size - row
}

// newMatrixProduct prepares the layer of c, which reads a map of cells through v.
func newMatrixProduct(set *kernel.Set, c *conv, v view, out Plane, res *residual, work *workspace) *matrixProduct {
	g := newCellGroups(c.depth)
	p := &matrixProduct{set: set, work: work, args: kernel.NewMatrix(g.size)}
	p.args.Stride = v.stride
	for i := range g.count {
		row, _ := g.first(i)
		for ky := range c.layer.Kernel {
			for kx := range c.layer.Kernel {
				p.steps = append(p.steps, int32(row*v.stride+v.tap(ky, kx)))
			}
		}
	}
	// The taps of a group read the same columns again, from the first-level cache if their weights leave room there. Without
	// such taps, the sums that pass through memory between parts would cost what the weights save.
	p.part = len(p.steps)
	if area := c.layer.Kernel * c.layer.Kernel; area > 1 {
		p.part = area
	}
	const cache = 1 << 20 // a good part of the second-level cache of processors with such a unit
	for _, sides := range []int{2, 1} {
		s := spansOf(spans{lanes: set.Lanes, maxVecs: kernel.MatrixVecs(sides), step: set.Lanes}, v, out, res)
		span := c.depth * min(c.layer.Kernel, 3) * s.maxVecs * set.Lanes * floatBytes
		size := max(1, cache/span)
		p.runs = append(p.runs, matrixRuns{sides, s.group(size)})
		p.args.BStep = s.step
		if p.part < len(p.steps) {
			grow(&work.sums, min(size, len(s.list))*kernel.MatrixSums)
		}
	}
	return p
}

// matrixWeights returns the weight as a matrix unit reads it: blocks of two sides of rows, at the end perhaps one, each with
// the cells of every step.
func (l Layer) matrixWeights() []float32 {
	d := l.derived()
	d.onceMatrix.Do(func() {
		area := l.Kernel * l.Kernel
		g := newCellGroups((l.In + 1) / 2)
		d.matrix = make([]float32, sidesOf(l.Out)*g.count*area*kernel.MatrixWeights)
		at := 0
		for first := 0; first < l.Out; first += kernel.MatrixRows {
			for i := range g.count {
				row, overlap := g.first(i)
				for tap := range area {
					for r := first; r < min(first+kernel.MatrixRows, kernel.MatrixSide*sidesOf(l.Out)); r++ {
						if r < l.Out {
							l.matrixRow(d.matrix[at:], r, row, overlap, g.size, tap)
						}
						at += kernel.MatrixSide
					}
				}
			}
		}
	})
	return d.matrix
}

// matrixRow writes the cells of output row r at one tap, for the channels of the rows from row+overlap on.
func (l Layer) matrixRow(dst []float32, r, row, overlap, size, tap int) {
	area := l.Kernel * l.Kernel
	weight := func(channel int) float32 {
		if channel >= l.In {
			return 0
		}
		return l.Weight[(r*l.In+channel)*area+tap]
	}
	for c := overlap; c < size; c++ {
		dst[c] = kernel.Cell(weight(2*(row+c)), weight(2*(row+c)+1))
	}
}

// sidesOf is the number of sides that rows fill.
func sidesOf(rows int) int { return (rows + kernel.MatrixSide - 1) / kernel.MatrixSide }

// run writes every row of c to dst.
func (p *matrixProduct) run(c *conv, a layerArgs, dst []float32) {
	m := p.args
	m.B, m.Out, m.Res = a.x, dst, a.res
	m.ReLU, m.Cells = flag(c.act == ReLU), flag(c.plane.Cells)
	whole := c.layer.Out / kernel.MatrixRows * kernel.MatrixRows // rows of blocks of two sides
	if sidesOf(c.layer.Out)%2 == 0 {
		whole = c.layer.Out
	}
	for _, r := range p.runs {
		from, to := 0, whole
		if r.sides == 1 {
			from, to = whole, c.layer.Out
		}
		if from == to {
			continue
		}
		for _, group := range r.groups {
			for first := from; first < to; first += kernel.MatrixRows {
				p.block(c, a, first, min(kernel.MatrixRows, to-first))
				p.reduce(r.sides, group)
			}
		}
	}
}

// reduce computes the block at every span of a group, part after part, so that a part's weights stay in the first-level cache.
func (p *matrixProduct) reduce(sides int, group []visit) {
	m, a := p.args, p.args.A
	for from := 0; from < len(p.steps); from += p.part {
		to := min(from+p.part, len(p.steps))
		m.Steps, m.A = p.steps[from:to], a[from*sides*kernel.MatrixWeights:]
		m.Resume, m.Pause = flag(from > 0), flag(to < len(p.steps))
		sums := p.work.sums
		for _, v := range group {
			m.Spans = v.spans
			if p.part < len(p.steps) {
				m.Sums, sums = sums, sums[len(v.spans)*kernel.MatrixSums:]
			}
			p.set.RunMatrix(m, sides, v.vecs)
		}
	}
}

func flag(set bool) int {
	if set {
		return 1
	}
	return 0
}

// block sets the arguments of the given rows.
func (p *matrixProduct) block(c *conv, a layerArgs, first, rows int) {
	m := p.args
	m.Rows = rows
	m.A = a.derived[first/kernel.MatrixSide*len(p.steps)*kernel.MatrixWeights:]
	for i := range kernel.MatrixRows {
		r := first + i
		m.Scale[i], m.Shift[i], m.OutRow[i], m.ResRow[i], m.Form[i] = 0, 0, -1, -1, kernel.F32
		if i >= rows {
			continue
		}
		m.Scale[i], m.Shift[i] = c.rowScale(a, int32(r)), a.shift[r]
		at, _ := c.plane.row(r)
		m.OutRow[i] = int32(at * c.plane.Stride())
		if c.res.covers(r) {
			m.ResRow[i], m.Form[i] = c.res.row(r)
		}
	}
}
