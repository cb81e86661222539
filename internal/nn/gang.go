package nn

import "coar/internal/kernel"

// gang brings a row of Winograd tiles and the examples of each position into vectors. Where whole vectors of examples
// are there, the transforms read and write the planes in place; otherwise rows are first split by their column modulo 4,
// so that equal positions of neighbouring tiles lie side by side.
type gang struct {
	set   *kernel.Set
	tiles int // in a row
	g     int // examples
}

func newGang(set *kernel.Set, tiles, g int) gang { return gang{set, tiles, g} }

// lanes is the number of elements that stand at equal positions of all tiles of a row.
func (q gang) lanes() int { return q.tiles * q.g }

// whole says that the planes are read and written in place.
func (q gang) whole() bool { return q.g%q.set.Lanes == 0 }

// phase is the length of one of the four parts of a split row.
func (q gang) phase() int { return (q.tiles+1)*q.g + q.set.Lanes }

// size is the work space that split rows need: six rows of inputs, or four of outputs and four of residuals.
func (q gang) size() int { return 8 * kernel.WinogradTile * q.phase() }

// vectors is the number of vectors that cover n elements.
func (q gang) vectors(n int) int { return (n + q.set.Lanes - 1) / q.set.Lanes }

// input transforms one tile row of a channel. x starts at its first input, rowLen elements from row to row; the result
// goes to v, k.Plane elements from product to product.
func (q gang) input(k *kernel.Winograd, x []float32, rowLen int, v, work []float32) {
	k.Y = v
	if !q.whole() {
		q.split(x, rowLen, 6, 4*q.tiles+2, work)
		k.X, k.XRow, k.XStep, k.YStep, k.N = work, 4*q.phase(), q.set.Lanes, q.set.Lanes, q.vectors(q.lanes())
		for j := range k.XCol {
			k.XCol[j] = int32(j%4*q.phase() + j/4*q.g)
		}
		q.set.WinogradInput(k)
		return
	}
	k.XRow, k.XStep, k.YStep, k.N = rowLen, 4*q.g, q.g, q.tiles
	for j := range k.XCol {
		k.XCol[j] = int32(j * q.g)
	}
	for at := 0; at < q.g; at += q.set.Lanes {
		k.X, k.Y = x[at:], v[at:]
		q.set.WinogradInput(k)
	}
}

// tileRow is where the output transform reads the products and the residual and writes a row of tiles.
type tileRow struct {
	src, dst, res  []float32 // res is nil where there is none
	rowLen, resLen int       // elements from one row of the map to the next
	resStep        int       // positions from one column of the residual to the next
	rows, cols     int       // of the map that exist
}

// output transforms one tile row of a channel.
func (q gang) output(k *kernel.Winograd, o tileRow, work []float32) {
	k.Res = o.res
	k.Rows = o.rows
	if !q.whole() {
		q.outputSplit(k, o, work)
		return
	}
	k.XStep, k.YStep, k.ResStep, k.YRow, k.ResRow = q.g, 4*q.g, 4*q.g*o.resStep, o.rowLen, o.resLen
	for j := range k.YCol {
		k.YCol[j], k.ResCol[j] = int32(j*q.g), int32(j*q.g*o.resStep)
	}
	part := func(first, n, cols int) {
		k.N, k.Cols = n, cols
		for at := 0; at < q.g; at += q.set.Lanes {
			k.X, k.Y = o.src[first*q.g+at:], o.dst[4*first*q.g+at:]
			if o.res != nil {
				k.Res = o.res[4*first*q.g*o.resStep+at:]
			}
			q.set.WinogradOutput(k)
		}
	}
	last := o.cols - 4*(q.tiles-1)
	if last == 4 {
		part(0, q.tiles, 4)
		return
	}
	part(0, q.tiles-1, 4)
	part(q.tiles-1, 1, last)
}

func (q gang) outputSplit(k *kernel.Winograd, o tileRow, work []float32) {
	res := work[16*q.phase():]
	k.X, k.Y, k.XStep, k.YStep, k.ResStep = o.src, work, q.set.Lanes, q.set.Lanes, q.set.Lanes
	k.YRow, k.ResRow, k.N, k.Cols = 4*q.phase(), 4*q.phase(), q.vectors(q.lanes()), 4
	for j := range k.YCol {
		k.YCol[j], k.ResCol[j] = int32(j*q.phase()), int32(j*q.phase())
	}
	if o.res != nil {
		q.split(o.res, o.resLen, o.rows, o.cols, res)
		k.Res = res
	}
	q.set.WinogradOutput(k)
	for i := range o.rows {
		for j := range min(kernel.WinogradTile, o.cols) {
			copyGangs(o.dst[i*o.rowLen+j*q.g:], 4*q.g, work[(4*i+j)*q.phase():], q.g, (o.cols-j+3)/4, q.g)
		}
	}
}

// split brings rows of n positions into the form in which equal positions of neighbouring tiles follow each other.
func (q gang) split(x []float32, rowLen, rows, n int, dst []float32) {
	for i := range rows {
		for j := range min(kernel.WinogradTile, n) {
			copyGangs(dst[(4*i+j)*q.phase():], q.g, x[i*rowLen+j*q.g:], 4*q.g, (n-j+3)/4, q.g)
		}
	}
}

// copyGangs copies n positions of g elements each, which lie so many elements apart in dst and in src.
func copyGangs(dst []float32, dstStep int, src []float32, srcStep, n, g int) {
	switch g {
	case 1:
		for i := range n {
			dst[i*dstStep] = src[i*srcStep]
		}
	case 2:
		for i := range n {
			*(*[2]float32)(dst[i*dstStep:]) = *(*[2]float32)(src[i*srcStep:])
		}
	case 4:
		for i := range n {
			*(*[4]float32)(dst[i*dstStep:]) = *(*[4]float32)(src[i*srcStep:])
		}
	case 8:
		for i := range n {
			*(*[8]float32)(dst[i*dstStep:]) = *(*[8]float32)(src[i*srcStep:])
		}
	case 16:
		for i := range n {
			*(*[16]float32)(dst[i*dstStep:]) = *(*[16]float32)(src[i*srcStep:])
		}
	default:
		for i := range n {
			copy(dst[i*dstStep:][:g], src[i*srcStep:])
		}
	}
}
