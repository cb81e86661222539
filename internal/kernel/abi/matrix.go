package abi

// MatrixSide is the side of a matrix unit's sums, in rows and in lanes, and the most rows of cells that it reduces at once.
const MatrixSide = 16

// MatrixRows is the most output rows of a Matrix: two sides.
const MatrixRows = 2 * MatrixSide

// MatrixWeights is the number of cells that one step takes from A for one side of rows: a side of 64 bytes each.
const MatrixWeights = MatrixSide * MatrixSide

// MatrixSums is the number of sums of one span.
const MatrixSums = 4 * MatrixSide * MatrixSide

// Matrix is a block of a product over cells for a processor's matrix unit, with the epilogue of CellTile: at every span s,
// over up to 32 rows r and lane j of up to four vectors v (two where there are more than 16 rows),
//
//	acc = Σ_i Σ_c A[weights of step i, row r, cell c] · B[s.In+v·BStep+Steps[i]+c·Stride+j]    i < len(Steps), c < Depth
//	y   = relu?( acc·Scale[r] + Shift[r] + Res[ResRow[r]+s.Res+v·16+j] )
//
// A holds, step after step, one side of 16 rows or two (as the kernel has), each row 16 cells of which Depth are used.
// Of a row whose Scale is 0 the sum is taken for zero whatever it is: an ablated row.
//
// With Cells, rows 2i and 2i+1 are the halves of the cells that start at OutRow[2i]; otherwise row r is float32 at OutRow[r],
// and not written where that is negative. A row with a negative ResRow has no residual.
//
// A reduction may be cut into parts, so that the weights of one stay in the first-level cache at all spans: Resume starts from
// what Sums hold, MatrixSums elements for each span, and Pause leaves the sums there instead of writing y.
//
// Sums are float32. A step's products of low halves and those of high halves are summed apart before they are added to
// acc, with subnormal numbers flushed to zero; the order depends on Steps and Depth alone, whatever the parts.
type Matrix struct {
	Acc    [MatrixSums]float32 // scratch, on lines of its own if the Matrix is
	Config [64]byte            // the unit's configuration for Depth
	A      []float32
	B      []float32
	Steps  []int32
	Out    []float32
	Res    []float32
	Sums   []float32 // of spans paused, on lines of their own
	Spans  []Span
	Stride int
	BStep  int
	Rows   int // rounded up to a pair by the kernel
	ReLU   int // 1: clamp at zero
	Cells  int // 1: Out is cells
	Resume int // 1: a part before this one left Sums
	Pause  int // 1: a part follows, which needs Sums
	OutRow [MatrixRows]int32
	ResRow [MatrixRows]int32
	Form   [MatrixRows]Form // of Res; not Pair
	Scale  [MatrixRows]float32
	Shift  [MatrixRows]float32
}
