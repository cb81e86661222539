package nn

import "coar/internal/kernel"

// Plane is the layout of an activation in memory: C channels of (H+2·Pad)·(W+2·Pad) positions with G examples each,
// the examples innermost. Stored channels start Stride elements apart. The border of width Pad is zero and never written; at the
// right and below it is wider where H and W are no multiples of a Winograd tile, so that tiles can be read whole.
type Plane struct {
	C, H, W int
	G       int // examples interleaved at each position
	Pad     int
	Cells   bool // in bfloat16: an element holds the channels 2i and 2i+1
}

// Rows is the number of channels as they are stored.
func (p Plane) Rows() int {
	if p.Cells {
		return (p.C + 1) / 2
	}
	return p.C
}

// row is the stored channel that holds channel c, and how it holds it.
func (p Plane) row(c int) (int, kernel.Form) {
	if !p.Cells {
		return c, kernel.F32
	}
	return c / 2, kernel.Low + kernel.Form(c%2)
}

// RowLen is the number of elements from one map row to the next.
func (p Plane) RowLen() int { return p.extent(p.W) * p.G }

// extent is the number of positions along an axis of n, border included.
func (p Plane) extent(n int) int {
	if p.Pad == 0 {
		return n
	}
	return tilesOf(n)*kernel.WinogradTile + 2*p.Pad
}

// tilesOf is the number of Winograd tiles along an axis of n.
func tilesOf(n int) int { return (n + kernel.WinogradTile - 1) / kernel.WinogradTile }

// Stride is the number of elements from one channel to the next: whole cache lines, an odd number of them, so that
// equal positions of many channels do not fall into the same few cache sets.
func (p Plane) Stride() int { return oddLines(p.extent(p.H) * p.RowLen()) }

// At is the element of channel 0, row y, column x, first example.
func (p Plane) At(y, x int) int { return (y+p.Pad)*p.RowLen() + (x+p.Pad)*p.G }

// Len is the number of elements of the whole activation.
func (p Plane) Len() int { return p.Rows() * p.Stride() }

// clearBeyond makes zero what kernels that write whole vectors left beyond a channel's positions. From run to run such values
// might otherwise shrink until they are denormal, and slow.
func (p Plane) clearBeyond(channel []float32) {
	n := p.extent(p.H) * p.RowLen()
	clear(channel[n:lines(n)])
}

// contiguous says that all positions of a channel follow each other without a border.
func (p Plane) contiguous() bool { return p.Pad == 0 }

// buffer allocates a zeroed activation of n elements with the slack that the kernels need beyond its length.
func buffer(n int) []float32 { return make([]float32, n, n+kernel.Slack) }

func oddLines(n int) int {
	const line = 16 // float32 per cache line
	return ((n+line-1)/line | 1) * line
}
