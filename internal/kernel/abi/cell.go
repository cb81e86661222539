package abi

// A cell is the 32 bits of two bfloat16 values at one position: channel 2i in the low half, channel 2i+1 in the high half.
// Cells are kept in float32 slices whose elements are never computed with, so that a plane of them has the layout,
// offsets and strides of a float32 plane with half as many channels. Of an odd number of channels, the last high half is zero.

// Form says how a row of Out or Res lies in memory.
type Form int32

const (
	F32  Form = iota // a float32 per element
	Low              // the low halves of cells
	High             // the high halves of cells
	Pair             // Out only: rows r and r+1 are the low and high halves of the same cells, those at OutRow[r]
)

// CellTile is Tile over cells: A, A2 and B hold cells, and a step of the reduction adds the products of both halves,
// in float32, that of the high halves first:
//
//	acc = (acc + a.high·b.high) + a.low·b.low
//
// Scale, Shift, Res and ReLU are applied in float32. Each row of Out and Res has a form of its own; both still count
// 32-bit elements. A row of form Low or High is rounded to bfloat16, to nearest even, and the other halves of its cells
// stay as they are. A row after one of form Pair is written with it, its form and OutRow not looked at.
type CellTile struct {
	Tile
	OutForm [MaxRows]Form
	ResForm [MaxRows]Form
}

// Cells are Cols positions of channels 2i and 2i+1, as float32 and as cells.
// Cols is rounded up to whole vectors by the kernels, so all slices need slack there.
type Cells struct {
	Even, Odd []float32 // empty: the channel is absent
	Cells     []float32
	Cols      int
}
