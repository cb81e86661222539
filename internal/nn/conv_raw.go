package nn

import "coar/internal/kernel"

// rawRows is what a layer notes of the rows whose keep gradients are wanted: scale·(W * x), which keep scales. Such rows
// are computed even where keep is 0. What the layer gives for them is then made from here, but by Winograd's algorithm,
// which transforms its products twice.
type rawRows struct {
	wanted   []bool
	rows     []int32 // the wanted rows, ascending
	slot     []int32 // where a row stands in buf; -1: nowhere
	plane    Plane   // of the layer's output, whose form buf has
	buf      []float32
	gradient []float32 // [examples, rows]: d output / d keep

	keep   product // from buf to the layer's output
	run    kernel.Columns
	step   [1]kernel.Offset
	blocks [1]block
	shift  []float32 // what constant input channels add to a row
}

// noteRaw prepares the layer c for its keep gradients, where the program runs gradients and the layer is a component group.
func (b *Builder) noteRaw(c *conv) *rawRows {
	if b.tape == nil || !c.masked || b.err != nil {
		return nil
	}
	l, p := c.layer, c.plane
	r := &rawRows{wanted: make([]bool, l.Out), slot: make([]int32, l.Out), plane: p, buf: buffer(p.Len()),
		gradient: make([]float32, b.size*l.Out), shift: make([]float32, l.Out)}
	same := view{at: func(y int) int { return p.At(y, 0) }, step: p.G, flat: p.contiguous()}
	r.keep = newProduct(b.set, r.step[:], convSpans(b.set, same, p, c.res), 0)
	b.bytes += int64(4 * p.Len())
	b.tape.raws[l.Key] = r
	return r
}

// wants says whether row i is one of those chosen.
func (r *rawRows) wants(i int32) bool { return r != nil && r.slot[i] >= 0 }

func (r *rawRows) chosen() []int32 {
	if r == nil {
		return nil
	}
	return r.rows
}

// choose gives the wanted rows their places: one after the other, so that memory is touched as far as it is used.
func (r *rawRows) choose() {
	if r == nil {
		return
	}
	r.list()
	for i := range r.slot {
		r.slot[i] = -1
	}
	for at, i := range r.rows {
		r.slot[i] = int32(at)
	}
}

// list brings rows up to what is wanted.
func (r *rawRows) list() {
	r.rows = r.rows[:0]
	for i, w := range r.wanted {
		if w {
			r.rows = append(r.rows, int32(i))
		}
	}
}

// row is row i of buf.
func (r *rawRows) row(i int32) []float32 { return r.buf[int(r.slot[i])*r.plane.Stride():] }

// memory is where the raw rows are.
func (r *rawRows) memory() []float32 {
	if r == nil {
		return nil
	}
	return r.buf
}

// planRaw appends blocks for the wanted rows where they are computed directly. It follows foldConstants.
func (c *conv) planRaw(a layerArgs) {
	rows := c.raw.chosen()
	if len(rows) == 0 || c.wino != nil {
		return
	}
	size, stride := c.depth*c.layer.Kernel*c.layer.Kernel, c.plane.Stride()
	folded := len(c.direct.live) < len(c.direct.steps)
	c.add(len(rows), block{raw: true}, func(b *block, i, n int) {
		r := rows[n]
		b.a[i], b.out[i], b.scale[i] = r*int32(size), c.raw.slot[r]*int32(stride), a.scale[r]
		if folded {
			b.shift[i] = a.scale[r] * c.reads.dot(a.w[int(r)*c.layer.In:])
		}
	})
}

// transformRaw writes a strip of the wanted row r, the i-th kept one, to the raw buffer.
func (w *winograd) transformRaw(c *conv, a layerArgs, i, r, first, rows int) {
	k := &w.kernelW
	k.Scale, k.Shift, k.ReLU = a.scale[r], 0, 0
	w.transformTiles(c, i, c.raw.row(int32(r))[w.out.At(first*kernel.WinogradTile, 0):], nil, first, rows)
}

var one = []float32{1}

// applyKeep makes the layer's output of the given rows from their raw values: act(keep·raw + shift + residual).
func (c *conv) applyKeep(a layerArgs, rows []int32, dst []float32) {
	c.raw.apply(c, a, rows, dst)
}

func (r *rawRows) apply(c *conv, a layerArgs, rows []int32, dst []float32) {
	if p := c.plane; c.act == None && p.contiguous() && (c.res == nil || c.res.flat) {
		r.applyRuns(c, a, rows, dst)
		return
	}
	for _, i := range rows {
		bl := &r.blocks[0]
		*bl = block{rows: 1, residual: c.res.covers(int(i))}
		bl.out[0], bl.scale[0], bl.shift[0] = i*int32(c.plane.Stride()), 1, a.shift[i]
		if a.keep != nil {
			bl.scale[0] = a.keep[i]
		}
		if bl.residual {
			bl.res[0], _ = c.res.row(int(i))
		}
		r.keep.run(operands{a: one, b: r.row(i), out: dst, res: a.res, relu: c.act == ReLU}, r.blocks[:])
	}
}

// applyRuns is apply where a row is one run of positions and nothing follows the sum: cheaper than tiles.
func (r *rawRows) applyRuns(c *conv, a layerArgs, rows []int32, dst []float32) {
	p := c.plane
	for _, i := range rows {
		k := &r.run
		k.X, k.Y, k.Rows, k.Cols = r.row(i), dst[int(i)*p.Stride():], 1, p.H*p.RowLen()
		k.Gamma, k.Beta, k.Res = one, a.shift[i:], nil
		if a.keep != nil {
			k.Gamma = a.keep[i:]
		}
		if c.res.covers(int(i)) {
			at, _ := c.res.row(int(i))
			k.Res = a.res[at:]
		}
		c.direct.set.Affine(k)
	}
}

// fillLinear computes what the keep values of a stem scale, once per load of examples.
func (s *stem) fillLinear(a layerArgs) {
	r := s.linear
	if r == nil {
		return
	}
	for i := range r.slot {
		r.slot[i] = int32(i)
	}
	linear := layerArgs{x: a.x, w: a.w, scale: a.scale, shift: r.shift}
	act := s.act
	s.act = None
	s.choose(linear, s.rows)
	s.compute(linear, r.buf)
	s.act = act
}

// applyLinear writes the given channels of the layer, before pooling, from what fillLinear computed.
func (s *stem) applyLinear(a layerArgs, channels []int32, dst []float32) {
	s.linear.apply(&s.conv, a, channels, dst)
}
