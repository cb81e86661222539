// Package kernel holds the numeric kernels, one set per instruction set: a register-blocked matrix-product tile that
// reaches its operands through offset tables, and the column kernels that attention and layer norm need.
// Some sets have both over bfloat16 too, in cells of two channels (see abi.CellTile).
//
// It knows nothing of graphs or models. The portable functions are the specification; the assembly in kernels_*.s
// is written by gen and tested against them.
package kernel

//go:generate go run ./gen -out kernels_amd64.s -stubs kernels_amd64.go -pkg kernel
//go:generate go run ./gen -neon kernels_arm64

import "coar/internal/kernel/abi"

// Tile, CellTile, Offset, Span, Columns, Cells and Winograd are the kernels' argument blocks; see package abi.
type (
	Tile     = abi.Tile
	CellTile = abi.CellTile
	Form     = abi.Form
	Offset   = abi.Offset
	Span     = abi.Span
	Columns  = abi.Columns
	Cells    = abi.Cells
	Winograd = abi.Winograd
)

// The forms of a row in memory; see abi.Form.
const (
	F32  = abi.F32
	Low  = abi.Low
	High = abi.High
	Pair = abi.Pair
)

// MaxRows is the largest number of rows in a tile of any instruction set.
const MaxRows = abi.MaxRows

// Slack is the number of elements that every buffer handed to a kernel must have beyond its last used element,
// since kernels read and write whole vectors.
const Slack = 16
