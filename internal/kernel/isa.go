package kernel

import (
	"fmt"
	"os"

	"coar/internal/fault"
)

// EnvISA is the environment variable that forces an instruction set: amx, avx512, avx2, neon or portable.
const EnvISA = "COAR_ISA"

// Set is the kernels of one instruction set. It is immutable and safe for concurrent use.
type Set struct {
	Name    string // amx, avx512, avx2, neon or portable
	Lanes   int    // float32 per vector
	MaxRows int    // rows of the largest tile
	MaxVecs int    // vectors of the largest tile

	tiles     [MaxRows][]func(*Tile)
	softmax   func(*Columns)
	layerNorm func(*Columns)
	gelu      func(*Columns)
	back      derivatives
	gradient  func(*Gradient)
	signs     func(*Signs)
	transpose func(*Columns)
	dots      func(*Columns)
	winoIn    func(*Winograd)
	winoOut   func(*Winograd)
	bf16      *bf16   // nil: the set has no kernels over cells
	matrix    *matrix // nil: the processor has no matrix unit
}

// Tile runs a tile of rows <= MaxRows by vecs <= MaxVecs at every span; 1 <= Last <= Lanes.
func (s *Set) Tile(t *Tile, rows, vecs int) { s.tiles[rows-1][vecs-1](t) }

// Softmax writes the softmax of each column of c.X to c.Y. NaN propagates.
//
// Relative error below 4e-7 + 2⁻²⁴·(rows + d), d how far the element lies below its column's largest; the sum and the
// difference from the largest are rounded to float32. Results below float32's normal range come out as anything up to 2⁻¹²⁵.
func (s *Set) Softmax(c *Columns) { s.softmax(c) }

// LayerNorm normalises each column of c.X to zero mean and unit variance, multiplies by Gamma and adds Beta.
// Error below 4e-6·(1 + |y|) for columns whose spread is not small beside their mean.
func (s *Set) LayerNorm(c *Columns) { s.layerNorm(c) }

// GELU writes x·Φ(x) of the first c.Cols elements of X to Y, rounded up to whole vectors. Absolute error below 5e-7 for |x| <= 10.
func (s *Set) GELU(c *Columns) { s.gelu(c) }

// derivatives are the kernels of gradients with respect to X, and what they need.
type derivatives struct{ softmax, layerNorm, geluSlope, multiply, affine func(*Columns) }

// SoftmaxGradient writes to Y the gradient of a column-wise softmax whose result is c.X: X∘(G − Σ X∘G).
// Error below 2⁻²³·(rows + 2)·x·Σ|x·g|, the sum over the column, plus 2⁻²²·x·|g|.
func (s *Set) SoftmaxGradient(c *Columns) { s.back.softmax(c) }

// LayerNormGradient writes to Y the gradient of LayerNorm with respect to c.X, plus Res; Beta is not looked at.
// Error below 4e-6·(largest |Gamma·G| of the column)/σ + 2⁻²³·|y|, σ the column's spread, for columns whose spread is not small beside their mean.
func (s *Set) LayerNormGradient(c *Columns) { s.back.layerNorm(c) }

// GELUSlope writes what GELU does to Y, and to G its derivative Φ(x) + x·φ(x), φ the density of the normal distribution; both
// rounded up to whole vectors. Absolute error of the derivative below 5e-7, however large x.
func (s *Set) GELUSlope(c *Columns) { s.back.geluSlope(c) }

// Affine writes Gamma[0]·X + Beta[0] + Res of the first c.Cols elements to Y, rounded up to whole vectors; Res may be empty.
// It rounds as a tile of the set does.
func (s *Set) Affine(c *Columns) { s.back.affine(c) }

// Multiply writes X∘G of the first c.Cols elements to Y, rounded up to whole vectors.
func (s *Set) Multiply(c *Columns) { s.back.multiply(c) }

// Dots writes Y[r·YStride] = Σ_j X[r·XStride+j]·G[r·GStride+j] over j < Cols, Cols >= 1; nothing beyond the rows is read.
// Error below 2⁻²³·(Cols + 4)·Σ|x·g|. The order of additions depends on Cols and the vectors' length alone.
func (s *Set) Dots(c *Columns) { s.dots(c) }

// Transpose writes Y[j·YStride+i] = X[i·XStride+j] for i < Rows and j < Cols. Kernels round both up to whole squares of
// TransposeSide, so that X must have such rows and Y such rows and columns; what lies there is undefined.
func (s *Set) Transpose(c *Columns) { s.transpose(c) }

// TransposeSide is the side of the squares that Transpose takes.
const TransposeSide = 8

// WinogradInput transforms one input channel's tiles; WinogradOutput one output channel's products. See abi.Winograd.
func (s *Set) WinogradInput(w *Winograd)  { s.winoIn(w) }
func (s *Set) WinogradOutput(w *Winograd) { s.winoOut(w) }

// Detect returns the set that EnvISA names, or the best one of the processor's, for float32 or for bfloat16.
//
// Errors: a fault.Usage where the variable names no set, or one that the processor lacks. For bfloat16 the set may be one
// without it; see BF16.
func Detect(bf16 bool) (*Set, error) {
	sets := Available()
	if bf16 {
		sets = append(matrixUnits(), sets...)
	}
	name := os.Getenv(EnvISA)
	if name == "" {
		return sets[0], nil
	}
	var names []string
	for _, s := range sets {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	precision := "f32"
	if bf16 {
		precision = "bf16"
	}
	return nil, fault.Usagef("%s is %q; for precision %s this processor has %s", EnvISA, name, precision, fmt.Sprint(names))
}

// Available returns every set that this processor can run, best first.
//
// Sets with a matrix unit, which are the same but over cells, are AvailableBF16's alone.
func Available() []*Set { return append(assembled(), portable()) }

// AvailableBF16 returns every set that has bfloat16, best first.
func AvailableBF16() []*Set {
	sets := matrixUnits()
	for _, s := range Available() {
		if s.BF16() {
			sets = append(sets, s)
		}
	}
	return sets
}
