package nn

import "coar/internal/kernel"

// headMatrix computes attention of one head on a matrix unit. Q, K, V and the probabilities are rounded to bfloat16; scores,
// softmax and sums are float32.
//
// The scores of some keys at a time are K's transposed features times Q's, the result V's features times the probabilities
// of pairs of keys. Rows of cells are padded with zeros to whole steps.
type headMatrix struct {
	of     *attention
	padded int // rows of cells of Q, in whole steps
	keys   int // rows of cells of the probabilities, in whole steps
	qk, pv headMatrixProduct
	cells  kernel.Cells
	rows   kernel.Columns
}

// headMatrixProduct is one of the two products.
type headMatrixProduct struct {
	set    *kernel.Set
	args   *kernel.Matrix
	rows   int
	visits []visit
}

// newHeadMatrixProduct prepares out[r, j] = Σ_c a[r, c] b[c, j] with depth rows of cells in b, ld elements apart.
func newHeadMatrixProduct(set *kernel.Set, rows, depth, cols, ld int) headMatrixProduct {
	p := headMatrixProduct{set: set, args: kernel.NewMatrix(kernel.MatrixSide), rows: rows}
	p.args.Stride, p.args.BStep = ld, kernel.MatrixSide
	for row := 0; row < depth; row += kernel.MatrixSide {
		p.args.Steps = append(p.args.Steps, int32(row*ld))
	}
	s := spans{lanes: kernel.MatrixSide, maxVecs: kernel.MatrixVecs(2), step: kernel.MatrixSide}
	s.row(0, 0, 0, cols)
	p.visits = s.group(len(s.list))[0]
	for r := range p.args.ResRow {
		p.args.ResRow[r] = -1
	}
	return p
}

// weightsPerSide is the number of cells of a that 16 rows have.
func (p *headMatrixProduct) weightsPerSide() int { return len(p.args.Steps) * kernel.MatrixWeights }

// weights is room for a.
func (p *headMatrixProduct) weights() int { return sidesOf(p.rows) * p.weightsPerSide() }

// run writes scale times the product to out, in which rows lie stride elements apart; cells hold two of them.
func (p *headMatrixProduct) run(a, b, out []float32, scale float32, stride int, cells bool) {
	m := p.args
	m.B, m.Out, m.Cells = b, out, flag(cells)
	for first := 0; first < p.rows; first += kernel.MatrixRows {
		m.Rows = min(kernel.MatrixRows, p.rows-first)
		m.A = a[first/kernel.MatrixSide*p.weightsPerSide():]
		for i := range m.Rows {
			m.Scale[i], m.OutRow[i] = scale, int32((first+i)*stride)
			if cells {
				m.OutRow[i] = int32((first + i) / 2 * stride)
			}
		}
		if m.Rows < kernel.MatrixRows {
			m.OutRow[m.Rows] = -1
		}
		for _, v := range p.visits {
			m.Spans = v.spans
			p.set.RunMatrix(m, sidesOf(m.Rows), v.vecs)
		}
	}
}

// newHeadMatrix prepares the heads of a.
func newHeadMatrix(a *attention) *headMatrix {
	width := a.width()
	m := &headMatrix{of: a, padded: wholeSteps((width + 1) / 2), keys: wholeSteps((a.tokens + 1) / 2)}
	m.qk = newHeadMatrixProduct(a.set, a.tokens, m.padded, a.whole(), a.ldS)
	m.pv = newHeadMatrixProduct(a.set, width, m.keys, a.queries, a.ldS)
	grow(&a.shared.cells, max(m.keys, m.padded)*a.ldS)
	grow(&a.shared.turned, squares(a.tokens)*squares(width))
	grow(&a.shared.scaled, max(m.qk.weights(), m.pv.weights()))
	return m
}

// wholeSteps is a number of rows of cells, rounded up to what steps take.
func wholeSteps(rows int) int { return sidesOf(rows) * kernel.MatrixSide }

// run computes one head of one example, the features of which start in x where at says, to out.
func (m *headMatrix) run(x []float32, at head, out []float32) {
	a, w := m.of, m.of.shared
	m.round(x[at.q:], a.in.Stride(), a.width(), m.padded)
	m.keyWeights(x[at.k:])
	m.qk.run(w.scaled, w.cells, w.scores, a.scale(), a.ldS, false)
	a.args.X, a.args.Y = w.scores, w.scores
	a.set.Softmax(&a.args)
	m.round(w.scores, a.ldS, a.tokens, m.keys)
	m.weights(&m.pv, x[at.v:], a.in.Stride(), a.tokens)
	m.pv.run(w.scaled, w.cells, out, 1, a.plane.Stride(), a.plane.Cells)
}

// round brings rows of x to rows of cells, a column for each query, and zeros after them up to padded ones.
func (m *headMatrix) round(x []float32, stride, rows, padded int) {
	a, dst := m.of, m.of.shared.cells
	for r := 0; r < rows; r += 2 {
		m.cells = kernel.Cells{Even: x[r*stride:], Cells: dst[r/2*a.ldS:], Cols: a.queries}
		if r+1 < rows {
			m.cells.Odd = x[(r+1)*stride:]
		}
		a.set.RoundCells(&m.cells)
	}
	clear(dst[(rows+1)/2*a.ldS : padded*a.ldS])
}

// keyWeights makes weights of K's features: key after key.
func (m *headMatrix) keyWeights(x []float32) {
	a, turned := m.of, m.of.shared.turned
	width := a.width()
	m.rows = kernel.Columns{X: x, Y: turned, Rows: width, Cols: a.tokens, XStride: a.in.Stride(), YStride: squares(width)}
	a.set.Transpose(&m.rows)
	m.weights(&m.qk, turned, squares(width), width)
}

// weights rounds the rows of x, of cols elements each, to what the product multiplies by, blocks of two sides at a time.
func (m *headMatrix) weights(p *headMatrixProduct, x []float32, stride, cols int) {
	dst := m.of.shared.scaled
	for first := 0; first < p.rows; first += kernel.MatrixRows {
		sides := sidesOf(min(kernel.MatrixRows, p.rows-first))
		for side := range sides {
			row := first + side*kernel.MatrixSide
			m.rows = kernel.Columns{X: x[row*stride:], Y: dst[first/kernel.MatrixSide*p.weightsPerSide()+side*kernel.MatrixWeights:],
				Rows: min(kernel.MatrixSide, p.rows-row), Cols: cols, XStride: stride, YStride: sides * kernel.MatrixWeights}
			m.of.set.RoundRows(&m.rows)
		}
	}
}
