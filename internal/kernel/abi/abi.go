// Package abi holds the argument blocks that Go hands to the assembly kernels.
//
// It stands apart from package kernel so that the generator can compute field offsets without linking the very code it generates.
package abi

// MaxRows is the largest number of A rows that any instruction set's tile takes.
const MaxRows = 8

// Offset locates one step k of the reduction: the element offsets from a tile's A rows and from its first B vector.
type Offset struct{ A, B int32 }

// Span is one place where a tile is computed: the elements where its first vector lies in B, in channel 0 of the output
// and of the residual, and how many lanes of its last vector are written.
type Span struct{ In, Out, Res, Last int32 }

// Tile is one block of a generalised matrix product with its epilogue, over row r and lane j of up to three vectors v,
// at every span s:
//
//	acc = Σ_k A[ARow[r]+K[k].A] · B[s.In+v·BStep+K[k].B+j]  +  Σ_k A2[A2Row[r]+K2[k].A] · B[s.In+v·BStep+K2[k].B+j]
//	Out[OutRow[r]+s.Out+v·lanes+j] = relu?( acc·Scale[r] + Shift[r] + Res[ResRow[r]+s.Res+v·lanes+j] )
//
// Because both operands are reached through K, the same block serves convolutions without im2col, linear layers,
// attention and their transposes, and any subset of rows or input channels can be left out at no cost.
// The second sum takes weights from elsewhere. An empty K and K2 yield the constant Shift (plus the residual): an ablated row.
//
// All positions count float32 elements. Only the first Last lanes of the last vector are written.
// B and Res are read in whole vectors, so both need one vector of slack after their last used element.
type Tile struct {
	A      []float32
	B      []float32
	K      []Offset
	A2     []float32
	K2     []Offset
	Out    []float32
	Res    []float32 // empty: no residual
	Spans  []Span
	BStep  int
	ReLU   int // 1: clamp at zero
	ARow   [MaxRows]int32
	A2Row  [MaxRows]int32
	OutRow [MaxRows]int32
	ResRow [MaxRows]int32
	Scale  [MaxRows]float32
	Shift  [MaxRows]float32

	// Memory to bring into the second-level cache meanwhile: each step of a reduction fetches the line AheadStride bytes after
	// that of the step before it, the first step that where Ahead begins. A hint that AVX512 alone takes; empty: nothing.
	Ahead       []float32
	AheadStride int
}

// Columns describes a [Rows, Cols] block of a matrix whose kernels work down each column, many columns at a time.
// The element of row r and column j is X[r·XStride+j]; Cols is rounded up to whole vectors by the kernels, so
// X and Y need slack there.
//
// The kernels of derivatives take a second source G, the gradient of the result, and write that of X to Y, which may be G.
// That of GELU's slope writes to G.
type Columns struct {
	X, Y             []float32 // source and destination; may be the same
	Gamma, Beta      []float32 // per row, of layer norm and the affine kernel
	Rows, Cols       int
	XStride, YStride int
	Eps              float32
	InvRows          float32 // 1/Rows
	G                []float32
	GStride          int
	Res              []float32 // of layer norm's gradient and the affine kernel: added to the result, with Y's strides; empty: nothing is
}

// Winograd describes one channel's part in the transforms of F(4x4, 3x3): a convolution of 3x3 at stride 1 computes each
// tile of 4x4 outputs from 6x6 inputs through 36 products instead of 144. A vector holds equal positions of tiles (or of
// examples) that lie XStep elements apart; N vectors are transformed.
//
//	input:   Y[(6i+j)·Plane+n·YStep] = Bᵀ d B,  d[i][j] = X[i·XRow+XCol[j]+n·XStep], times Scale where Scaled is set
//	output:  Y[i·YRow+YCol[j]+n·YStep] = relu?( Scale·(Aᵀ m A)[i][j] + Shift + Res[i·ResRow+ResCol[j]+n·ResStep] )
//	         m[i][j] = X[(6i+j)·Plane+n·XStep], for i < Rows and j < Cols
//
// Positions count float32 elements; everything is read and written in whole vectors.
type Winograd struct {
	X, Y                  []float32
	Res                   []float32 // output transform only; empty: no residual
	Scratch               []float32 // 36 vectors, overwritten
	N                     int
	Plane                 int
	XRow, YRow, ResRow    int
	XStep, YStep, ResStep int
	Rows, Cols            int
	ReLU                  int // 1: clamp at zero
	Scaled                int // input transform only; 1: scale X
	XCol                  [6]int32
	YCol, ResCol          [4]int32
	Scale, Shift          float32
}

// The interpolation points of F(4x4, 3x3) are 0, ±PointA, ±PointB and ∞. PointA·PointB is 1, and values near 1 keep the
// rounding errors of the transforms small.
const (
	PointA = 1 / PointB
	PointB = 1.41421356237309504880168872420969807856967187537694
)
