package kernel

import "math"

// bf16 is the kernels over cells of one instruction set.
type bf16 struct {
	tiles     [MaxRows][]func(*CellTile)
	round     func(*Cells)
	widen     func(*Cells)
	layerNorm func(*Columns)
	gelu      func(*Columns)
}

// BF16 says whether the set has the kernels over cells; the methods that name cells or bf16 panic where it has not.
func (s *Set) BF16() bool { return s.bf16 != nil }

// TileBF16 runs a tile over cells of rows <= MaxRows by vecs <= MaxVecs at every span; 1 <= Last <= Lanes.
//
// Products of two halves are exact and sums are rounded to float32, but those below float32's normal range may be flushed to zero.
// A NaN or an infinity in either half of a cell of B reaches the sum even where that half's weight is zero, so the unused
// halves of an odd number of channels must be finite: zero, as RoundCells leaves them.
func (s *Set) TileBF16(t *CellTile, rows, vecs int) { s.bf16.tiles[rows-1][vecs-1](t) }

// RoundCells rounds c.Even and c.Odd to c.Cells, as RoundBF16 does; an absent channel counts as zeros.
func (s *Set) RoundCells(c *Cells) { s.bf16.round(c) }

// WidenCells writes the halves of c.Cells to c.Even and c.Odd, exactly; an absent channel is not written.
func (s *Set) WidenCells(c *Cells) { s.bf16.widen(c) }

// LayerNormCells is LayerNorm of float32 columns X, rounded to columns of cells Y: row i of Y holds rows 2i and 2i+1, and
// zeros above the last of an odd number of rows. X, Gamma, Beta and Rows count channels, YStride is that of Y's cell rows.
// Relative error 2⁻⁸ beyond that of LayerNorm.
func (s *Set) LayerNormCells(c *Columns) { s.bf16.layerNorm(c) }

// GELUCells is GELU of both halves of the first c.Cols cells of X, rounded to cells of Y, which may be X.
// Relative error 2⁻⁸ beyond that of GELU.
func (s *Set) GELUCells(c *Columns) { s.bf16.gelu(c) }

// RoundBF16 is x rounded to bfloat16, ties to even; what is too large becomes infinite.
//
// As in the processor's conversion a NaN keeps its sign and upper bits and becomes quiet, and what lies below the normal
// range (2⁻¹²⁶) becomes a zero of its sign.
func RoundBF16(x float32) uint16 {
	b := math.Float32bits(x)
	switch exponent := b >> 23 & 0xff; {
	case exponent == 0:
		return uint16(b >> 16 & 0x8000)
	case x != x:
		return uint16(b>>16 | 0x40)
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// Cell holds the roundings of two channels at one position.
func Cell(even, odd float32) float32 {
	return math.Float32frombits(uint32(RoundBF16(even)) | uint32(RoundBF16(odd))<<16)
}

// Halves are the values of a cell's two channels.
func Halves(cell float32) (even, odd float32) {
	b := math.Float32bits(cell)
	return math.Float32frombits(b << 16), math.Float32frombits(b &^ 0xffff)
}

// CellsOf rounds even and odd to dst, element by element; odd is empty where there is no such channel.
// Weights become cells this way; for activations RoundCells is the faster one.
func CellsOf(dst, even, odd []float32) {
	for i, x := range even {
		var y float32
		if len(odd) > 0 {
			y = odd[i]
		}
		dst[i] = Cell(x, y)
	}
}
