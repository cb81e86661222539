package nn

import (
	"slices"
	"sync"

	"coar/internal/kernel"
)

// The number of input channels from which F(4x4, 3x3) beats the direct computation, in float32 and in bfloat16.
const (
	winogradMinChannels     = 16
	winogradMinChannelsBF16 = 128
)

// winogradFits says whether a layer is computed by F(4x4, 3x3). It depends on the layer and the size of its map alone,
// never on the batch: the two ways round differently.
//
// Over bfloat16 the direct computation runs at twice the speed, and Winograd's transforms would lose what precision
// bfloat16 has; they stay in float32 and win only where no part of a tile is wasted and the channels are many.
func winogradFits(l Layer, x Plane) bool {
	if l.Kernel != 3 || l.Stride != 1 || l.Pad != 1 {
		return false
	}
	if x.Cells {
		return l.In >= winogradMinChannelsBF16 && x.H%kernel.WinogradTile == 0 && x.W%kernel.WinogradTile == 0
	}
	return l.In >= winogradMinChannels
}

// Derived holds forms of a layer's weight that are computed once and shared by all graphs.
type Derived struct {
	onceFactors, onceCells, onceMatrix sync.Once
	factors, cells, matrix             []float32
	onceTransposed                     sync.Once
	transposed                         Layer
}

func (l Layer) derived() *Derived {
	if l.Derived == nil {
		return &Derived{}
	}
	return l.Derived
}

// winogradFactors returns the transformed filters [36, out, in].
func (l Layer) winogradFactors() []float32 {
	d := l.derived()
	d.onceFactors.Do(func() {
		d.factors = make([]float32, kernel.WinogradProducts*l.Out*l.In)
		var u [kernel.WinogradProducts]float32
		for i := range l.Out * l.In {
			kernel.WinogradFilter(l.Weight[9*i:9*i+9], &u)
			for k, v := range u {
				d.factors[k*l.Out*l.In+i] = v
			}
		}
	})
	return d.factors
}

// winograd computes the kept rows of a 3x3 convolution at stride 1 by F(4x4, 3x3), a strip of tile rows at a time:
// every live input channel is transformed, 36 matrix products run over the tiles, every kept row is transformed back.
//
// Constant input channels are replaced by one channel that is 1 inside the border, times the sum of their filters.
type winograd struct {
	set     *kernel.Set
	layer   Layer
	in      view
	x, out  Plane
	res     *residual
	strip   int // tile rows in a strip
	ld      int // elements from one channel of the work space to the next
	ones    []float32
	work    *workspace
	gang    gang
	full    product // of a strip
	rest    product // of the last strip, if it has fewer tile rows
	sums    []float32
	kernelW kernel.Winograd
	blocker
	live []kernel.Offset
	last [1]kernel.Offset // the step of the channel of ones
	kept []int32
	pair kernel.Cells
	wide int // the pair of channels that work.in holds

	factors []float32 // what each input channel is multiplied by; nil: nothing

	after *layerGradient // what is done to the result, strip by strip; nil: nothing
}

// workspace is memory that the ops of one graph use one after the other.
type workspace struct {
	v, m, rows, scratch    []float32
	in, out, res           [2][]float32 // channels of cells as float32
	scores, slopes, turned []float32    // of one head's attention
	scaled                 []float32    // weight rows times what they contribute to a gradient
	strip                  []float32    // of a channel, before what is done to it
	cells                  []float32    // of one head's queries or probabilities
	panel                  []float32    // columns of a product
	sums                   []float32    // of a matrix product's spans, between parts of its reduction
}

func (w *workspace) bytes() int64 {
	n := len(w.v) + len(w.m) + len(w.rows) + len(w.scratch) + len(w.scores) + len(w.slopes) + len(w.turned) + len(w.scaled) + len(w.strip) + len(w.cells) + len(w.panel) + len(w.sums)
	for h := range 2 {
		n += len(w.in[h]) + len(w.out[h]) + len(w.res[h])
	}
	return int64(4 * n)
}

func grow(buf *[]float32, n int) {
	if len(*buf) < n {
		*buf = buffer(n)
	}
}

// stripLanes is the width that a strip should have: enough columns to amortise reading the factors, few enough that
// the transformed channels stay in the cache.
const stripLanes = 128

func newWinograd(set *kernel.Set, l Layer, in view, x, out Plane, res *residual, work *workspace) *winograd {
	w := &winograd{set: set, layer: l, in: in, x: x, out: out, res: res, work: work, gang: newGang(set, tilesOf(out.W), out.G)}
	w.blocker.maxRows = set.MaxRows
	across := w.gang.lanes()
	w.strip = min(tilesOf(out.H), max(1, (stripLanes+across-1)/across))
	w.ld = oddLines(w.strip*across + set.Lanes)
	w.full = w.product(w.strip)
	if r := tilesOf(out.H) % w.strip; r > 0 {
		w.rest = w.product(r)
	}
	one := x
	one.C, one.Cells = 1, false
	w.ones = buffer(one.Len())
	for y := range x.H {
		row := w.ones[x.At(y, 0):][:x.W*x.G]
		for i := range row {
			row[i] = 1
		}
	}
	w.sums = make([]float32, kernel.WinogradProducts*l.Out)
	grow(&work.v, kernel.WinogradProducts*(l.In+1)*w.ld)
	grow(&work.m, kernel.WinogradProducts*l.Out*w.ld)
	grow(&work.rows, w.gang.size())
	grow(&work.scratch, kernel.WinogradProducts*set.Lanes)
	w.growWide()
	return w
}

// product is one of the 36 matrix products over a strip of so many tile rows.
func (w *winograd) product(rows int) product {
	s := newSpans(w.set)
	s.row(0, 0, 0, rows*w.gang.lanes())
	return newProduct(w.set, nil, s, w.layer.In*w.set.MaxVecs*w.set.Lanes*4)
}

// run writes the kept rows of c to dst.
func (w *winograd) run(c *conv, a layerArgs, shift, dst []float32) {
	w.kept = append(append(append(w.kept[:0], c.chosen[0]...), c.chosen[2]...), c.raw.chosen()...)
	slices.Sort(w.kept)
	if len(w.kept) == 0 {
		return
	}
	sums := w.sumConstants(c.reads, a.w)
	w.plan(c.reads, sums)
	for first := 0; first < tilesOf(w.out.H); first += w.strip {
		rows := min(w.strip, tilesOf(w.out.H)-first)
		p := &w.full
		if rows < w.strip {
			p = &w.rest
		}
		w.transformInput(a.x, first, rows)
		for k := range kernel.WinogradProducts {
			o := operands{a: a.derived[k*w.layer.Out*w.layer.In:], b: w.work.v[k*w.depth()*w.ld:], out: w.work.m[k*len(w.kept)*w.ld:]}
			if sums {
				o.a2 = w.sums[k*w.layer.Out:]
			}
			p.run(o, w.blocks)
		}
		w.transformKept(c, a, shift, dst, first, rows)
	}
}

// transformKept writes a strip of every kept row.
func (w *winograd) transformKept(c *conv, a layerArgs, shift, dst []float32, first, rows int) {
	if w.out.Cells {
		w.transformKeptCells(c, a, shift, dst, first, rows)
		return
	}
	y := first * kernel.WinogradTile
	for i, r := range w.kept {
		var res []float32
		if c.raw.wants(r) {
			w.transformRaw(c, a, i, int(r), first, rows)
		}
		if c.res.covers(int(r)) {
			at, _ := c.res.row(int(r))
			res = a.res[int(at)+c.res.at(y):]
		}
		if w.after != nil {
			w.transformOutput(c, a, i, int(r), shift, w.work.strip, res, first, rows)
			w.after.part(int(r), int(r), w.work.strip, w.out.RowLen(), y, min(rows*kernel.WinogradTile, w.out.H-y))
			continue
		}
		channel := dst[int(r)*w.out.Stride():]
		w.transformOutput(c, a, i, int(r), shift, channel[w.out.At(y, 0):], res, first, rows)
		if c.signs != nil {
			c.signs.note(int(r), y, min(rows*kernel.WinogradTile, w.out.H-y), channel, w.set)
		}
	}
}

// sumConstants makes the factors of the channel of ones; false where no constant channels are left out.
func (w *winograd) sumConstants(reads *constants, weight []float32) bool {
	if reads.few() {
		return false
	}
	var u [kernel.WinogradProducts]float32
	for _, r := range w.kept {
		var g [9]float32
		for _, c := range reads.list {
			v := reads.value[c]
			for t, f := range weight[(int(r)*w.layer.In+c)*9:][:9] {
				g[t] += v * f
			}
		}
		kernel.WinogradFilter(g[:], &u)
		for k, v := range u {
			w.sums[k*w.layer.Out+int(r)] = v
		}
	}
	return true
}

// depth is the number of transformed channels, that of ones included.
func (w *winograd) depth() int { return w.layer.In + 1 }

// plan prepares the matrix products: the live channels are the steps, the kept rows the blocks.
func (w *winograd) plan(reads *constants, sums bool) {
	w.live = w.live[:0]
	for c := range w.layer.In {
		if !sums || !reads.is[c] {
			w.live = append(w.live, kernel.Offset{A: int32(c), B: int32(c * w.ld)})
		}
	}
	var ones []kernel.Offset
	if sums {
		w.last[0].B = int32(w.layer.In * w.ld)
		ones = w.last[:]
	}
	w.full.live, w.full.live2 = w.live, ones
	w.rest.live, w.rest.live2 = w.live, ones
	w.blocks = w.blocks[:0]
	w.add(len(w.kept), block{}, func(b *block, i, n int) {
		r := w.kept[n]
		b.a[i], b.a2[i], b.out[i], b.scale[i] = r*int32(w.layer.In), r, int32(n*w.ld), 1
	})
}

// transformInput transforms the live channels of a strip, and the channel of ones where it takes the others' place.
func (w *winograd) transformInput(x []float32, first, rows int) {
	k := &w.kernelW
	k.Scratch, k.Plane = w.work.scratch, w.depth()*w.ld
	w.wide = -1
	start := w.in.at(first * kernel.WinogradTile)
	for _, step := range w.live {
		c := int(step.A)
		if w.factors != nil {
			k.Scaled, k.Scale = 1, w.factors[c]
		}
		w.inputChannel(w.inputRows(x, c, start, rows), int(step.B), rows)
	}
	k.Scaled = 0
	if len(w.live) < w.layer.In {
		w.inputChannel(w.ones[start:], w.layer.In*w.ld, rows)
	}
}

// inputChannel transforms one channel; x starts at the strip's first input.
func (w *winograd) inputChannel(x []float32, at, rows int) {
	for t := range rows {
		src := x[t*kernel.WinogradTile*w.in.tap(1, 0):]
		w.gang.input(&w.kernelW, src, w.in.tap(1, 0), w.work.v[at+t*w.gang.lanes():], w.work.rows)
	}
}

// transformOutput writes a strip of row r, the i-th kept one. dst and res (nil: none) start at the strip's first output.
func (w *winograd) transformOutput(c *conv, a layerArgs, i, r int, shift, dst, res []float32, first, rows int) {
	k := &w.kernelW
	k.Scale, k.Shift, k.ReLU = c.rowScale(a, int32(r)), shift[r], 0
	if c.act == ReLU {
		k.ReLU = 1
	}
	w.transformTiles(c, i, dst, res, first, rows)
}

// transformTiles writes a strip of the i-th kept row under the scale, shift and activation that are set.
func (w *winograd) transformTiles(c *conv, i int, dst, res []float32, first, rows int) {
	k := &w.kernelW
	k.Plane = len(w.kept) * w.ld
	resLen := w.resRowLen(c)
	for t := range rows {
		y := t * kernel.WinogradTile
		o := tileRow{src: w.work.m[i*w.ld+t*w.gang.lanes():], dst: dst[y*w.out.RowLen():], rowLen: w.out.RowLen(), resLen: resLen,
			rows: min(kernel.WinogradTile, w.out.H-first*kernel.WinogradTile-y), cols: w.out.W}
		if res != nil {
			o.res, o.resStep = res[y*resLen:], c.res.step
		}
		w.gang.output(k, o, w.work.rows)
	}
}

// resRowLen is the distance from one row of the residual to the next.
func (w *winograd) resRowLen(c *conv) int {
	if c.res == nil {
		return 0
	}
	return c.res.at(1) - c.res.at(0)
}
