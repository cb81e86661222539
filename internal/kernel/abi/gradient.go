package abi

// Gradient is what one output channel of a layer y = relu?(keep·raw + shift + …) does to the gradient g of y, over Rows
// rows of N elements, element j of row i:
//
//	h = G[i·GRow+j], or 0 where ReLU is set and not Y[i·YRow+j] > 0
//	H[i·HRow+j] = h
//	D[i·DRow+j] = Scale·h
//	Sum[j] += h·Raw[i·RawRow+j]
//
// Sum[j] adds up row after row, whatever N and the vectors' length. An empty H is not written; with an empty Raw, Sum is
// not touched; without ReLU, H must be empty and Y is not read.
//
// H and D are written in exactly N elements of each row; everything else is read, and Sum written, in whole vectors.
type Gradient struct {
	G, Y, Raw, H, D, Sum           []float32
	Rows, N                        int
	GRow, YRow, RawRow, HRow, DRow int
	ReLU                           int // 1: y was clamped at zero
	Scale                          float32
}
