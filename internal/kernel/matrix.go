package kernel

import (
	"encoding/binary"

	"coar/internal/kernel/abi"
)

// Matrix is the argument block of a matrix unit's kernels; see package abi. NewMatrix makes one.
type Matrix = abi.Matrix

// The sizes of a matrix unit's sums and weights; see package abi.
const (
	MatrixSide    = abi.MatrixSide
	MatrixRows    = abi.MatrixRows
	MatrixWeights = abi.MatrixWeights
	MatrixSums    = abi.MatrixSums
)

// matrix is the kernels of a matrix unit, the products by sides of rows and vectors, each less one.
type matrix struct {
	products [2][]func(*Matrix)
	round    func(*Columns)
}

// NewMatrix returns an argument block for steps of 1 <= depth <= MatrixSide rows of cells.
func NewMatrix(depth int) *Matrix {
	m := &Matrix{}
	m.Config[0] = 1 // the palette of eight tiles
	side := func(tile, rows, bytes int) {
		binary.LittleEndian.PutUint16(m.Config[16+2*tile:], uint16(bytes))
		m.Config[48+tile] = byte(rows)
	}
	const line = 4 * MatrixSide
	for sum := range 4 {
		side(sum, MatrixSide, line)
	}
	for _, a := range []int{4, 5} {
		side(a, MatrixSide, 4*depth)
	}
	for _, b := range []int{6, 7} {
		side(b, depth, line)
	}
	return m
}

// MatrixUnit says whether the set has RunMatrix, which panics where it has not.
func (s *Set) MatrixUnit() bool { return s.matrix != nil }

// MatrixVecs is the most vectors that RunMatrix takes with so many sides of rows.
func MatrixVecs(sides int) int { return 4 / sides }

// RunMatrix computes m, whose rows fill sides (1 or 2), over spans of vecs <= MatrixVecs(sides) vectors.
//
// A NaN or an infinity in B reaches the sum even where its weight is zero.
func (s *Set) RunMatrix(m *Matrix, sides, vecs int) { s.matrix.products[sides-1][vecs-1](m) }

// RoundRows rounds rows of float32 to the weights of a Matrix, element 2c of a row being the low half and 2c+1 the high half
// of its cell c: lines of 16 cells for Rows <= MatrixSide rows, row r at Y[i·YStride+16·r], i counting 32 elements each of
// the Cols that X[r·XStride+j] has. Nothing beyond them is read; what a line has beyond them is zero.
func (s *Set) RoundRows(c *Columns) { s.matrix.round(c) }
