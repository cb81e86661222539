package abi

// Gradient is what one output channel of a layer y = relu?(keep·raw + shift + …) does to the gradient g of y, over Rows
// rows of N elements, element j of row i:
//
//	h = G[i·GRow+j], or 0 where there are Signs and that of y is not set: bit j%8 of Signs[i·SignRow+j/8]
//	H[i·HRow+j] = h
//	D[i·DRow+j] = Scale·h
//	Sum[j] += h·Raw[i·RawRow+j]
//
// Sum[j] adds up row after row, whatever N and the vectors' length. An empty H is not written; with an empty Raw, Sum is
// not touched; without Signs, H must be empty.
//
// H and D are written in exactly N elements of each row; everything else is read, and Sum written, in whole vectors of at
// most 16 elements.
type Gradient struct {
	G, Raw, H, D, Sum                 []float32
	Signs                             []byte
	Rows, N                           int
	GRow, SignRow, RawRow, HRow, DRow int
	Scale                             float32
}

// Signs says where y is above zero, over Rows rows of N elements: bit j%8 of Bits[i·BitRow+j/8] is set where Y[i·YRow+j] > 0.
//
// Y is read and Bits written in whole vectors, of at most 16 elements; what stands in the bits beyond a row's last is undefined.
type Signs struct {
	Y            []float32
	Bits         []byte
	Rows, N      int
	YRow, BitRow int
}
