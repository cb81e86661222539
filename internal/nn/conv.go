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
// tap of every input channel through offsets into the padded plane.
type conv struct {
	base
	product
	blocker
	layer   Layer
	act     Activation
	plane   Plane
	masked  bool
	res     *residual
	classes [4][]int32 // output channels by (ablated, with residual); reused
	column  kernel.Columns
}

// residual says where output channel c finds what is added to it: channel c-shift of a map, if there is one.
type residual struct {
	node   *G.Node
	stride int
	at     func(y int) int // element of channel 0, row y, column 0
	shift  int
	c      int // channels of the map
	flat   bool
}

// view is how a convolution reads its input.
type view struct {
	stride int                  // elements from channel to channel
	at     func(y int) int      // base of output row y
	tap    func(ky, kx int) int // offset of a tap from the base
	flat   bool                 // output rows follow each other in the input too
}

// directView reads a plane at stride 1.
func directView(in Plane, l Layer) view {
	return view{in.Stride(), func(y int) int { return in.At(y-l.Pad, -l.Pad) },
		func(ky, kx int) int { return ky*in.RowLen() + kx*in.G }, in.contiguous() && l.Kernel == 1}
}

func newConv(set *kernel.Set, l Layer, v view, out Plane, act Activation, res *residual, masked bool) *conv {
	steps := make([]kernel.Offset, 0, l.In*l.Kernel*l.Kernel)
	for c := range l.In {
		for ky := range l.Kernel {
			for kx := range l.Kernel {
				steps = append(steps, kernel.Offset{A: int32(len(steps)), B: int32(c*v.stride + v.tap(ky, kx))})
			}
		}
	}
	c := &conv{base: newBase(l.Key+"/op", out.C, out.Stride()), layer: l, act: act, plane: out, masked: masked, res: res}
	c.product = newProduct(set, steps, convSpans(set, v, out, res), l.In*min(l.Kernel, 3)*set.MaxVecs*set.Lanes*4)
	c.blocker.maxRows = set.MaxRows
	return c
}

// convSpans tiles the output rows; where nothing has a border, all rows are one.
func convSpans(set *kernel.Set, v view, out Plane, res *residual) spans {
	s := spans{lanes: set.Lanes, maxVecs: set.MaxVecs}
	rows, n := out.H, out.W*out.G
	if v.flat && out.contiguous() && (res == nil || res.flat) {
		rows, n = 1, out.H*n
	}
	for y := range rows {
		r := 0
		if res != nil {
			r = res.at(y)
		}
		s.row(v.at(y), out.At(y, 0), r, n)
	}
	return s
}

// Do takes input, weight, scale, shift, then keep where the layer is a component group, then the residual's map.
func (c *conv) Do(in ...G.Value) (G.Value, error) {
	rest := in[4:]
	var keep, res []float32
	if c.masked {
		keep, rest = floats(rest[0]), rest[1:]
	}
	if c.res != nil {
		res = floats(rest[0])
	}
	c.plan(keep, floats(in[2]), floats(in[3]))
	c.product.run(floats(in[1]), floats(in[0]), c.buf, res, c.blocks, c.act == ReLU)
	if c.act == GELU {
		c.gelu()
	}
	return c.out, nil
}

// plan sorts the output channels into blocks: kept ones with the whole reduction, ablated ones with an empty one.
func (c *conv) plan(keep, scale, shift []float32) {
	for i := range c.classes {
		c.classes[i] = c.classes[i][:0]
	}
	for r := range c.layer.Out {
		class := 0
		if keep != nil && keep[r] == 0 {
			class = 1
		}
		if c.res != nil && r >= c.res.shift && r < c.res.shift+c.res.c {
			class += 2
		}
		c.classes[class] = append(c.classes[class], int32(r))
	}
	c.blocks = c.blocks[:0]
	size, stride := int32(c.layer.In*c.layer.Kernel*c.layer.Kernel), int32(c.plane.Stride())
	for class, rows := range c.classes {
		steps := c.steps
		if class&1 == 1 {
			steps = nil
		}
		c.add(len(rows), steps, class&2 != 0, func(b *block, i, n int) {
			r := rows[n]
			b.a[i], b.out[i] = r*size, r*stride
			if c.res != nil {
				b.res[i] = (r - int32(c.res.shift)) * int32(c.res.stride)
			}
			b.scale[i], b.shift[i] = scale[r], shift[r]
			if keep != nil {
				b.scale[i] *= keep[r]
			}
		})
	}
}

// gelu applies the activation to every channel in place; the zeros of the border stay zero.
func (c *conv) gelu() {
	n := (c.plane.H + 2*c.plane.Pad) * c.plane.RowLen()
	for r := range c.layer.Out {
		x := c.buf[r*c.plane.Stride():]
		c.column = kernel.Columns{X: x, Y: x, Rows: 1, Cols: n}
		c.set.GELU(&c.column)
	}
}
