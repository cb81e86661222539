package nn

import (
	G "gorgonia.org/gorgonia"

	"coar/internal/kernel"
)

// strided is the input gradient of a convolution of stride 2. Rows and columns of the input are split by parity: each of
// the four parts is a convolution of stride 1 with the taps that reach it, computed by itself and then put in place, a strip
// of rows at a time.
type strided struct {
	base
	layer Layer // transposed
	d, x  Plane
	out   Plane // the form of a channel of the gradient of x
	parts [4]phase
	sum   bool    // a gradient is added
	half  *halved // nil, or a gradient that the even positions have besides
	blocker
	row    []float32 // a strip of the parts of a block's channels
	strip  int       // rows of a part in a strip
	shared *workspace
	inputs []*G.Node
	after  *layerGradient // what is done to each channel; nil: nothing
}

// phase is the positions (2m+py, 2n+px) of the input, m < h, n < w. A strip is a group of its spans.
type phase struct {
	product
	py, px, h, w int
	at           int // where the phase starts in a channel's work space
}

// stridedPanelBytes bounds the columns that a strip copies: they stay in a core's second-level cache while every channel reads them.
const stridedPanelBytes = 512 << 10

// newStrided prepares the op for the gradient of x through l, without its output.
func (b *Builder) newStrided(x *Map, l Layer, d *Map) *strided {
	t := l.transposed()
	op := &strided{layer: t, d: d.Plane, x: x.Plane, out: x.Plane, sum: x.gradient != nil, half: x.halved, shared: &b.work}
	x.halved = nil
	lanes := 4 * stripLanes
	if l.Kernel == 1 {
		lanes = min(lanes, stridedPanelBytes/(floatBytes*l.Out))
	}
	op.strip = max(1, lanes/((x.W+1)/2*x.G))
	stride := 0
	for i := range op.parts {
		op.parts[i] = newPhase(b.set, l, d.Plane, op, i/2, i%2, stride)
		stride = op.parts[i].at + oddLines(op.strip*op.parts[i].w*x.G)
	}
	op.row = buffer(stride * b.set.MaxRows)
	b.bytes += int64(4 * len(op.row))
	op.blocker.maxRows = b.set.MaxRows
	op.add(t.Out, block{}, func(bl *block, i, r int) {
		bl.a[i], bl.out[i], bl.scale[i] = int32(r*t.In*t.Kernel*t.Kernel), int32(i*stride), 1
		if op.half != nil {
			bl.res[i] = int32((r + op.half.shift) * op.half.of.Stride())
		}
	})
	op.inputs = []*G.Node{d.node, b.weight(t.Key, t.Weight, t.Out, t.In*t.Kernel*t.Kernel)}
	if op.sum {
		op.inputs = append(op.inputs, b.settled(x.gradient).node)
	}
	if op.half != nil {
		op.inputs = append(op.inputs, op.half.of.node)
	}
	return op
}

// newPhase plans a part. Input position 2m+p is read through tap k by output position (2m+p+pad-k)/2, where that is whole.
func newPhase(set *kernel.Set, l Layer, d Plane, of *strided, py, px, at int) phase {
	x := of.x
	p := phase{py: py, px: px, h: (x.H - py + 1) / 2, w: (x.W - px + 1) / 2, at: at}
	taps := func(parity int) (ks []int) {
		for k := range l.Kernel {
			if (parity+l.Pad-k)%2 == 0 {
				ks = append(ks, k)
			}
		}
		return ks
	}
	area := l.Kernel * l.Kernel
	var steps []kernel.Offset
	for r := range l.Out {
		for _, ky := range taps(py) {
			for _, kx := range taps(px) {
				dy, dx := (py+l.Pad-ky)/2, (px+l.Pad-kx)/2
				steps = append(steps, kernel.Offset{A: int32(r*area + area - 1 - ky*l.Kernel - kx), B: int32(r*d.Stride() + dy*d.RowLen() + dx*d.G)})
			}
		}
	}
	s := newSpans(set)
	for y := range p.h {
		res := 0
		if of.half != nil {
			res = of.half.of.At(y, 0)
		}
		s.row(d.At(y, 0), at+y%of.strip*p.w*x.G, res, p.w*x.G)
	}
	p.product = newProduct(set, steps, s, 0)
	p.groups = s.group(max(1, len(s.list)/max(1, p.h)*of.strip))
	if l.Kernel == 1 { // more taps read a column again
		p.usePanel(d.Stride(), of.shared)
	}
	return p
}

// Do takes d and the transposed weight, then the gradients to add, of the whole map and of its even positions, if there are any.
func (s *strided) Do(in ...G.Value) (G.Value, error) {
	d, w := floats(in[0]), floats(in[1])
	var sum, half []float32
	if s.sum {
		sum = floats(in[2])
	}
	if s.half != nil {
		half = floats(in[len(in)-1])
	}
	if s.after != nil {
		s.after.buf = s.base.buf
		s.after.begin()
	}
	o := operands{a: w, b: d, out: s.row, res: half}
	for p := range s.parts {
		s.parts[p].begin(o, len(s.blocks))
	}
	for strip := range s.parts[0].groups {
		for p := range s.parts {
			if part := &s.parts[p]; part.has(strip) {
				part.enter(part.groups[strip])
			}
		}
		r := 0
		for i := range s.blocks {
			for p := range s.parts {
				s.blocks[i].residual = p == 0 && s.half != nil
				if part := &s.parts[p]; part.has(strip) {
					part.compute(s.blocks[i : i+1])
				}
			}
			for k := range s.blocks[i].rows {
				s.place(r, strip, s.row[s.blocks[i].out[k]:], sum)
				r++
			}
		}
	}
	if s.after != nil {
		s.after.end()
	}
	return s.base.out, nil
}

// has says whether something is computed of the part's strip.
func (p *phase) has(strip int) bool { return len(p.steps) > 0 && strip < len(p.groups) }

// place puts a strip of the parts of channel r, which starts at src, in place and does what comes after.
func (s *strided) place(r, strip int, src, sum []float32) {
	first := 2 * s.strip * strip
	n := min(2*s.strip, s.out.H-first)
	dst := s.shared.strip
	if s.after == nil {
		dst = s.base.buf[r*s.out.Stride()+s.out.At(first, 0):]
	}
	for p := range s.parts {
		part := &s.parts[p]
		for y := part.py; y < n; y += 2 {
			var add []float32
			if sum != nil {
				add = sum[r*s.x.Stride()+s.x.At(first+y, part.px):]
			}
			part.placeRow(dst[y*s.out.RowLen()+part.px*s.out.G:], src[part.at+y/2*part.w*s.out.G:], add, s.out.G)
		}
	}
	if s.after != nil {
		s.after.part(r, r, dst, s.out.RowLen(), first, n)
	}
}

// placeRow writes a row of one part to its positions in dst, with sum added where there is one.
func (p *phase) placeRow(dst, src, sum []float32, g int) {
	switch {
	case len(p.steps) == 0 && sum == nil:
		clear2nd(dst, p.w, g)
	case len(p.steps) == 0:
		copy2nd(dst, sum, p.w, g)
	case sum == nil:
		spread2nd(dst, src, p.w, g)
	default:
		add2nd(dst, src, sum, p.w, g)
	}
}

// clear2nd zeroes every second one of n positions of g elements.
func clear2nd(dst []float32, n, g int) {
	for i := range n {
		clear(dst[2*g*i:][:g])
	}
}

// copy2nd copies every second position.
func copy2nd(dst, src []float32, n, g int) { copyGangs(dst, 2*g, src, 2*g, n, g) }

// spread2nd writes n positions of g elements to every second position.
func spread2nd(dst, src []float32, n, g int) { copyGangs(dst, 2*g, src, g, n, g) }

// add2nd is spread2nd with every second position of sum added.
func add2nd(dst, src, sum []float32, n, g int) {
	for i := range n {
		to, a, b := dst[2*g*i:][:g], src[g*i:][:g], sum[2*g*i:][:g]
		for j, v := range a {
			to[j] = v + b[j]
		}
	}
}

func (s *strided) class() string { return "gradient of a convolution of stride 2" }
func (s *strided) work([]G.Value) (flops, bytes float64) {
	taps := s.layer.Kernel * s.layer.Kernel
	positions := (s.out.H + 1) / 2 * ((s.out.W + 1) / 2) * s.out.G
	return 2 * float64(taps*s.layer.In*s.layer.Out*positions), floatBytes * float64(s.d.C*positions+2*s.out.C*s.out.H*s.out.W*s.out.G)
}

// halved is the gradient of every second position of a map: channel c of the map is channel c+shift of of.
type halved struct {
	of    *Map
	shift int
}
