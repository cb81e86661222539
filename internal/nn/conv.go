package nn

import (
	G "gorgonia.org/gorgonia"

	"coar/internal/kernel"
)

// Layer is the constant part of a convolution or linear layer: y = scale·(W x) + shift, with the normalisation or the
// bias that follows it folded into scale and shift.
type Layer struct {
	Key     string    // checkpoint key of the weight
	Weight  []float32 // [out, in, kernel, kernel] or [out, in]
	Scale   []float32 // [out]; nil: 1
	Shift   []float32 // [out]; nil: 0
	Out, In int
	Kernel  int // side; 1 for linear layers
	Stride  int // 1 or 2
	Pad     int
	Derived *Derived // forms of Weight that workers share; nil: made anew for each graph
}

// outSize is the number of output positions along an axis of n.
func (l Layer) outSize(n int) int { return (n+2*l.Pad-l.Kernel)/l.Stride + 1 }

// Activation is what follows the shift and the residual.
type Activation int

const (
	None Activation = iota
	ReLU
	GELU // exact, with erf
)

// conv computes act(keep·scale·(W * x) + shift + residual) without storing an im2col matrix: the kernels reach every
// tap of every input channel through offsets into the padded plane. Ablated rows get their shift (and the residual)
// alone, and input channels that hold one value everywhere are left out of the sum.
type conv struct {
	base
	direct product
	blocker
	layer  Layer
	act    Activation
	plane  Plane
	masked bool
	res    *residual
	reads  *constants     // of the input; nil where it can have none
	makes  *constants     // of the output
	wino   *winograd      // nil: every row is computed directly
	matrix *matrixProduct // nil: not on a matrix unit
	depth  int            // stored channels of the input
	rows   []int32        // 0, 1, …, Out-1
	shift  []float32      // the layer's shift with the constant inputs folded in
	raw    *rawRows       // nil: no row is wanted
	only   *rawRows       // whose wanted rows alone are computed; nil: all are
	signs  *signs         // of the output; nil: not asked for
	after  *correction    // nil: the layer does not follow a stem
	chosen [4][]int32     // output channels by (ablated, with residual)
	live   []kernel.Offset
	column kernel.Columns
}

// residual says where output channel c finds what is added to it: channel c-shift of a map, if there is one.
type residual struct {
	of     *Map // where it comes from
	halved bool // every second position of it
	node   *G.Node
	plane  Plane // the channels' form
	stride int
	at     func(y int) int // element of channel 0, row y, column 0
	step   int             // positions of the map from one column of the output to the next; 2 only where the examples are whole vectors
	shift  int
	c      int // channels of the map
	flat   bool
}

// covers says whether output channel r has a residual.
func (r *residual) covers(c int) bool { return r != nil && c >= r.shift && c < r.shift+r.c }

func (c *conv) fetch(a *ahead) { c.direct.ahead = a }

// replaces lets the output take the residual's place.
func (c *conv) replaces() *G.Node {
	if r := c.res; r != nil && r.step == 1 && r.shift == 0 && r.c == c.plane.C {
		return r.node
	}
	return nil
}

// view is how a convolution reads its input.
type view struct {
	stride int                  // elements from channel to channel
	at     func(y int) int      // base of output row y
	tap    func(ky, kx int) int // offset of a tap from the base
	step   int                  // elements from one output column's input to the next one's
	flat   bool                 // output rows follow each other in the input too
}

// directView reads a plane in place. At stride 2, tiles must fit its columns; see columnwise.
func directView(in Plane, l Layer) view {
	return view{in.Stride(), func(y int) int { return in.At(y*l.Stride-l.Pad, -l.Pad) },
		func(ky, kx int) int { return ky*in.RowLen() + kx*in.G }, l.Stride * in.G, in.contiguous() && l.Kernel == 1 && l.Stride == 1}
}

// columnwise says that a tile can be one column of a map, or a column each of its vectors, so that columns may lie apart.
func columnwise(set *kernel.Set, p Plane) bool {
	return p.G%set.Lanes == 0 && p.G/set.Lanes <= set.MaxVecs
}

func newConv(set *kernel.Set, l Layer, v view, in, out Plane, act Activation, res *residual, masked bool) *conv {
	depth := in.Rows()
	steps := make([]kernel.Offset, 0, depth*l.Kernel*l.Kernel)
	for c := range depth {
		for ky := range l.Kernel {
			for kx := range l.Kernel {
				steps = append(steps, kernel.Offset{A: int32(len(steps)), B: int32(c*v.stride + v.tap(ky, kx))})
			}
		}
	}
	c := &conv{base: newPlaneBase(l.Key+"/op", out), layer: l, act: act, plane: out, masked: masked, res: res,
		makes: newConstants(out.C), shift: make([]float32, l.Out), depth: depth}
	for r := range l.Out {
		c.rows = append(c.rows, int32(r))
	}
	c.direct = newProduct(set, steps, convSpans(set, v, out, res), depth*min(l.Kernel, 3)*set.MaxVecs*set.Lanes*4)
	c.direct.cells = in.Cells
	c.blocker.maxRows = set.MaxRows
	return c
}

// convSpans tiles the output rows; where nothing has a border, all rows are one, and where the input's or the residual's
// columns lie apart, tiles are columns if their vectors cannot be.
func convSpans(set *kernel.Set, v view, out Plane, res *residual) spans {
	return spansOf(newSpans(set), v, out, res)
}

func spansOf(s spans, v view, out Plane, res *residual) spans {
	rows, n := out.H, out.W*out.G
	if v.flat && out.contiguous() && (res == nil || res.flat) {
		rows, n = 1, out.H*n
	}
	spread := res != nil && res.step > 1
	if v.step != out.G && out.G == s.lanes && !spread {
		s.step = v.step
	}
	for y := range rows {
		r, apart := 0, 0
		if res != nil {
			r, apart = res.at(y), res.step*out.G
		}
		if !spread && (v.step == out.G || out.G == s.lanes) {
			s.row(v.at(y), out.At(y, 0), r, n)
			continue
		}
		for x := range out.W {
			s.row(v.at(y)+x*v.step, out.At(y, x), r+x*apart, out.G)
		}
	}
	return s
}

// layerArgs are a layer's inputs in the graph, in the order of Builder.layerInputs, with the residual's map last.
type layerArgs struct {
	x, w, scale, shift []float32
	derived, keep, res []float32 // nil where the op has none
}

func (c *conv) args(in []G.Value) layerArgs {
	a := layerArgs{x: floats(in[0]), w: floats(in[1]), scale: floats(in[2]), shift: floats(in[3])}
	rest := in[4:]
	take := func(there bool) (v []float32) {
		if there {
			v, rest = floats(rest[0]), rest[1:]
		}
		return v
	}
	a.derived = take(c.wino != nil || c.direct.cells)
	a.keep = take(c.masked)
	a.res = take(c.res != nil)
	return a
}

// Do takes input, weight, scale, shift; then the derived weights if there are any, keep where the layer is a component
// group, and the residual's map.
func (c *conv) Do(in ...G.Value) (G.Value, error) {
	a := c.args(in)
	rows := c.rows
	if c.only != nil {
		rows = c.only.chosen()
	}
	c.choose(a, rows)
	c.noteConstants(a)
	c.compute(a, c.buf)
	c.noteSigns(c.buf)
	return c.out, nil
}

// compute writes the chosen rows to dst.
func (c *conv) compute(a layerArgs, dst []float32) {
	if !c.after.fits(c, a) {
		c.computeAnew(a, dst)
		return
	}
	c.blocks = c.blocks[:0]
	c.plan(a, a.shift, 1)
	c.direct.run(operands{a: a.w, b: a.x, out: dst, relu: c.act == ReLU}, c.blocks)
	c.after.run(c, a, dst)
}

// computeAnew computes the chosen rows from the whole input.
func (c *conv) computeAnew(a layerArgs, dst []float32) {
	if c.matrix != nil {
		c.matrix.run(c, a, dst)
		if c.act == GELU {
			c.gelu(dst)
		}
		return
	}
	shift := c.foldConstants(a)
	c.blocks = c.blocks[:0]
	if c.wino == nil {
		c.plan(a, shift, 0)
	}
	c.plan(a, shift, 1)
	c.planRaw(a)
	w := a.w
	if c.direct.cells {
		w = a.derived
	}
	c.direct.run(operands{a: w, b: a.x, out: dst, res: a.res, raw: c.raw.memory(), relu: c.act == ReLU}, c.blocks)
	if c.wino != nil {
		c.wino.run(c, a, shift, dst)
	} else {
		c.applyKeep(a, c.raw.chosen(), dst)
	}
	if c.act == GELU {
		c.gelu(dst)
	}
}

// choose sorts rows by what has to be done for them.
func (c *conv) choose(a layerArgs, rows []int32) {
	for i := range c.chosen {
		c.chosen[i] = c.chosen[i][:0]
	}
	c.raw.choose()
	for _, r := range rows {
		class := 0
		if c.raw.wants(r) {
			continue
		}
		if a.keep != nil && a.keep[r] == 0 {
			class = 1
		}
		if c.res.covers(int(r)) {
			class += 2
		}
		c.chosen[class] = append(c.chosen[class], r)
	}
}

// noteConstants tells readers which output channels hold one value.
func (c *conv) noteConstants(a layerArgs) {
	c.makes.clear()
	for _, r := range c.chosen[1] {
		c.makes.set(int(r), c.act.of(a.shift[r]))
	}
}

// foldConstants returns the shift with what constant input channels add to it, where no border makes that depend on the position.
func (c *conv) foldConstants(a layerArgs) []float32 {
	if c.reads.few() || c.layer.Kernel > 1 || c.direct.cells {
		c.direct.live = c.direct.steps
		return a.shift
	}
	c.live = c.live[:0]
	for i, s := range c.direct.steps {
		if !c.reads.is[i] {
			c.live = append(c.live, s)
		}
	}
	c.direct.live = c.live
	copy(c.shift, a.shift)
	for r, s := range a.scale {
		if a.keep != nil {
			s *= a.keep[r]
		}
		if s != 0 {
			c.shift[r] += s * c.reads.dot(a.w[r*c.layer.In:])
		}
	}
	return c.shift
}

// plan appends blocks for the chosen rows: of the kept ones (class 0) or the ablated ones (class 1).
func (c *conv) plan(a layerArgs, shift []float32, class int) {
	size, stride := c.depth*c.layer.Kernel*c.layer.Kernel, c.plane.Stride()
	for with := range 2 {
		rows := c.chosen[class+2*with]
		c.add(len(rows), block{empty: class == 1, residual: with == 1}, func(b *block, i, n int) {
			r := rows[n]
			at, form := c.plane.row(int(r))
			b.a[i], b.out[i], b.outForm[i] = r*int32(size), int32(at*stride), form
			if b.residual {
				b.res[i], b.resForm[i] = c.res.row(int(r))
			}
			b.scale[i], b.shift[i] = c.rowScale(a, r), shift[r]
			if i == b.rows-1 {
				b.pair(rows[n-i:])
			}
		})
	}
}

// row is where the channel that is added to output channel c starts, and its form.
func (r *residual) row(c int) (int32, kernel.Form) {
	at, form := r.plane.row(c - r.shift)
	return int32(at * r.stride), form
}

func (c *conv) rowScale(a layerArgs, r int32) float32 {
	if a.keep == nil {
		return a.scale[r]
	}
	return a.scale[r] * a.keep[r]
}

// gelu applies the activation to the chosen channels in place; the zeros of the border stay zero. In cells, all are chosen.
func (c *conv) gelu(dst []float32) {
	n := c.plane.extent(c.plane.H) * c.plane.RowLen()
	if c.plane.Cells {
		for r := range c.plane.Rows() {
			x := dst[r*c.plane.Stride():]
			c.column = kernel.Columns{X: x, Y: x, Rows: 1, Cols: n}
			c.direct.set.GELUCells(&c.column)
		}
		return
	}
	for _, rows := range c.chosen {
		for _, r := range rows {
			x := dst[int(r)*c.plane.Stride():]
			c.column = kernel.Columns{X: x, Y: x, Rows: 1, Cols: n}
			c.direct.set.GELU(&c.column)
		}
	}
}
