package nn

import (
	"fmt"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"coar/internal/kernel"
)

// Builder assembles one worker's graph. Its methods may be chained freely: the first error sticks and Compile reports it.
type Builder struct {
	set    *kernel.Set
	bf16   bool
	graph  *G.ExprGraph
	batch  *Batch
	size   int // examples per run
	tokens int // of an example, all of whose positions then follow each other; 0: examples are interleaved
	images *tensor.Dense
	input  *G.Node
	masked map[string]bool
	keeps  map[string][]float32
	names  map[string]bool // of tensors and ops in the graph
	ops    map[*G.Node]fused
	reads  map[*G.Node][]*G.Node // an op's inputs
	others map[*G.Node]*G.Node   // the node of an op's second output
	work   workspace
	free   map[any][][]float32 // outputs that another op may take over, by layout
	bytes  int64               // of the ops' outputs
	err    error

	profile *Profile // nil: nothing is timed
	tape    *tape    // nil: no gradients
}

// Map is an activation in the graph under construction.
type Map struct {
	Plane
	node    *G.Node
	phases  *G.Node    // split by parity, made at the first use with stride 2
	rounded *Map       // in bfloat16, made at the first use
	frozen  bool       // no keep value reaches it
	last    bool       // class tokens alone, on their way to the head
	holds   *constants // which channels hold one value; nil where that is never known
	stem    *stem      // that makes it; nil: another op does
	reached bool       // a keep value reaches it

	factors []float32 // what each channel is still to be multiplied by; nil: nothing

	gradient *Map     // of what is differentiated with respect to the map: what its readers have added so far
	pending  *fusible // how the gradient is made, while it is not: node is nil
	halved   *halved  // a further part of it
}

// NewBuilder starts a graph for size examples of shape [c, h, w] per run; masked names the weights whose rows are components.
// With bf16, layers multiply bfloat16 weights and activations and sum in float32; what no keep value reaches, norms,
// softmax and the head stay float32, and so do a transformer's residual tokens.
func NewBuilder(set *kernel.Set, bf16 bool, size, c, h, w int, masked map[string]bool) *Builder {
	b := &Builder{set: set, bf16: bf16, graph: G.NewGraph(), batch: &Batch{}, size: size, masked: masked, keeps: map[string][]float32{}, names: map[string]bool{},
		ops: map[*G.Node]fused{}, reads: map[*G.Node][]*G.Node{}, others: map[*G.Node]*G.Node{}, free: map[any][][]float32{}}
	b.images = tensor.New(tensor.WithShape(size, c, h, w), tensor.Of(tensor.Float32))
	b.input = b.value("images", b.images)
	return b
}

func (b *Builder) value(name string, t *tensor.Dense) *G.Node {
	b.claim(name)
	return G.NewTensor(b.graph, tensor.Float32, t.Dims(), G.WithShape(t.Shape()...), G.WithName(name), G.WithValue(t))
}

// claim refuses a second use of a name: gorgonia would take the second node for the first, without a word.
func (b *Builder) claim(name string) {
	if b.names[name] {
		b.fail("two tensors or ops are called %s", name)
	}
	b.names[name] = true
}

// weight enters a tensor that all workers share under its checkpoint key.
func (b *Builder) weight(key string, data []float32, shape ...int) *G.Node {
	return b.value(key, tensor.New(tensor.WithShape(shape...), tensor.WithBacking(data)))
}

func (b *Builder) apply(op fused, inputs ...*G.Node) *G.Node {
	b.claim(op.String())
	if b.err != nil {
		return b.input
	}
	if b.profile != nil {
		op = b.profile.watch(op)
	}
	n, err := apply(op, inputs...)
	if err != nil {
		b.err = err
		return b.input
	}
	b.ops[n], b.reads[n] = op, inputs
	return n
}

// fail records the first error of the construction.
func (b *Builder) fail(format string, args ...any) {
	if b.err == nil {
		b.err = fmt.Errorf("nn: "+format, args...)
	}
}

// layerInputs are a layer's constant inputs, derived weights among them, and its keep vector where its rows are components.
func (b *Builder) layerInputs(c *conv) []*G.Node {
	l := c.layer
	scale, shift := l.Scale, l.Shift
	if scale == nil {
		scale = filled(l.Out, 1)
	}
	if shift == nil {
		shift = make([]float32, l.Out)
	}
	in := []*G.Node{b.weight(l.Key, l.Weight, l.Out, l.In*l.Kernel*l.Kernel), b.weight(l.Key+"/scale", scale, l.Out), b.weight(l.Key+"/shift", shift, l.Out)}
	switch {
	case c.wino != nil:
		in = append(in, b.weight(l.Key+"/winograd", l.winogradFactors(), kernel.WinogradProducts, l.Out, l.In))
	case c.matrix != nil:
		w := l.matrixWeights()
		in = append(in, b.weight(l.Key+"/matrix", w, len(w)))
	case c.direct.cells:
		in = append(in, b.weight(l.Key+"/cells", l.cellWeights(), l.Out, c.depth*l.Kernel*l.Kernel))
	}
	if b.masked[l.Key] {
		keep := filled(l.Out, 1)
		b.keeps[l.Key] = keep
		in = append(in, b.weight(l.Key+"/keep", keep, l.Out))
	}
	return in
}

func filled(n int, v float32) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = v
	}
	return x
}

// Pack brings the images into a plane with a border of pad, all examples of the batch interleaved.
func (b *Builder) Pack(pad int) Map {
	s := b.images.Shape()
	p := Plane{C: s[1], H: s[2], W: s[3], G: s[0], Pad: pad}
	return Map{Plane: p, node: b.apply(newPack(p, b.batch), b.input), frozen: true}
}

// split returns x by parity of rows and columns, once however many layers read it so.
func (b *Builder) split(x *Map) *G.Node {
	if x.phases == nil {
		var batch *Batch
		if x.frozen {
			batch = b.batch
		}
		x.phases = b.apply(newSplit(x.node.Name()+x.node.Op().String(), phasesOf(x.Plane), batch), x.node)
	}
	return x.phases
}

// read returns how l reads x, and the node to read.
func (b *Builder) read(x *Map, l Layer) (view, *G.Node) {
	if x.C != l.In {
		b.fail("%s reads %d channels, %d are there", l.Key, l.In, x.C)
	}
	if l.Pad > x.Pad {
		b.fail("%s needs a border of %d, the map has %d", l.Key, l.Pad, x.Pad)
	}
	if b.err != nil {
		return view{at: func(int) int { return 0 }, tap: func(int, int) int { return 0 }}, b.input
	}
	if l.Stride == 2 && !columnwise(b.set, x.Plane) {
		return phasesOf(x.Plane).view(l), b.split(x)
	}
	return directView(x.Plane, l), x.node
}

func (b *Builder) outPlane(x *Map, l Layer, pad int) Plane {
	return Plane{C: l.Out, H: l.outSize(x.H), W: l.outSize(x.W), G: x.G, Pad: pad}
}

// Stem applies a network's first convolution and ReLU, then with pool a 3x3 max pooling of stride 2.
func (b *Builder) Stem(x *Map, l Layer, pool bool, pad int) *Map {
	conv := b.outPlane(x, l, pad)
	out := conv
	if pool {
		conv.Pad = 1
		out.H, out.W = (conv.H+1)/2, (conv.W+1)/2
	}
	return b.stem(x, l, ReLU, pool, conv, out)
}

func (b *Builder) stem(x *Map, l Layer, act Activation, pool bool, conv, out Plane) *Map {
	v, node := b.read(x, l)
	c := newConv(b.set, l, v, x.Plane, conv, act, nil, b.masked[l.Key])
	b.bytes += int64(8 * out.Len())
	s := newStem(c, pool, out, b.batch)
	s.linear = b.noteRaw(c)
	m := &Map{Plane: out, node: b.apply(s, append([]*G.Node{node}, b.layerInputs(c)...)...), holds: s.makes, stem: s, reached: c.masked}
	if c.masked {
		b.recordFusing(m, func(g *Map) { b.stemGradient(s, m, g) }, m)
	}
	return m
}

// Conv applies a convolution or, on a map of height 1, a linear layer. The result has a border of pad.
func (b *Builder) Conv(x *Map, l Layer, act Activation, pad int) *Map {
	if b.tape != nil && act == GELU {
		return b.gelu(b.Conv(x, l, None, pad))
	}
	if x.frozen {
		out := b.outPlane(x, l, pad)
		return b.stem(x, l, act, false, out, out)
	}
	return b.conv(x, l, act, pad, nil)
}

// ConvAdd adds the map skip before the activation.
func (b *Builder) ConvAdd(x *Map, l Layer, act Activation, pad int, skip *Map) *Map {
	out := b.conv(x, l, act, pad, residualOf(skip))
	out.last = skip.last
	return out
}

// residualOf adds the map x position by position.
func residualOf(x *Map) *residual {
	return &residual{of: x, node: x.node, plane: x.Plane, stride: x.Stride(), at: func(y int) int { return x.At(y, 0) }, step: 1, c: x.C, flat: x.contiguous()}
}

// ConvAddSubsampled adds every second position of the map skip, its channel 0 to the result's channel shift: the
// parameter-free shortcut of He et al. (2015), option A.
func (b *Builder) ConvAddSubsampled(x *Map, l Layer, act Activation, pad int, skip *Map, shift int) *Map {
	if winogradFits(l, x.Plane) && !b.bf16 && skip.G%b.set.Lanes == 0 && skip.Pad > 0 { // the transform reads any column
		return b.conv(x, l, act, pad, &residual{of: skip, halved: true, node: skip.node, plane: skip.Plane, stride: skip.Stride(),
			at: func(y int) int { return skip.At(2*y, 0) }, step: 2, shift: shift, c: skip.C})
	}
	p := phasesOf(skip.Plane)
	d := skip.Pad
	return b.conv(x, l, act, pad, &residual{of: skip, halved: true, node: b.split(skip), plane: skip.Plane, stride: p.stride(),
		at: func(y int) int { return p.at(2*y+d, d) }, step: 1, shift: shift, c: skip.C})
}

func (b *Builder) conv(x *Map, l Layer, act Activation, pad int, res *residual) *Map {
	if b.bf16 {
		x = b.cells(x)
	}
	v, node := b.read(x, l)
	out := b.outPlane(x, l, pad)
	out.Cells = b.bf16 && (act != None || out.H > 1)
	return b.layer(x, v, node, l, act, out, res)
}

// Head applies the last linear layer, in float32.
func (b *Builder) Head(x *Map, l Layer) *Map {
	v, node := b.read(x, l)
	return b.layer(x, v, node, l, None, b.outPlane(x, l, 0), nil)
}

func (b *Builder) layer(x *Map, v view, node *G.Node, l Layer, act Activation, out Plane, res *residual) *Map {
	c := newConv(b.set, l, v, x.Plane, out, act, res, b.masked[l.Key])
	c.reads = x.holds
	c.raw = b.noteRaw(c)
	if l.Kernel == 1 && !x.Cells && b.err == nil {
		c.direct.usePanel(v.stride, &b.work)
	}
	switch {
	case b.err != nil:
	case x.Cells && b.set.MatrixUnit():
		c.matrix = newMatrixProduct(b.set, c, v, out, res, &b.work)
	case winogradFits(l, x.Plane):
		c.wino = newWinograd(b.set, l, v, x.Plane, out, res, &b.work)
	}
	if b.tape == nil && x.stem != nil && node == x.node && res == nil && act != GELU && !x.Cells && !out.Cells && b.err == nil {
		c.after = newCorrection(b.set, c, x.stem, v, b.batch)
		b.bytes += c.after.bytes()
	}
	inputs := append([]*G.Node{node}, b.layerInputs(c)...)
	if res != nil {
		inputs = append(inputs, res.node)
	}
	y := &Map{Plane: out, node: b.apply(c, inputs...), holds: c.makes, reached: x.reached || c.masked || res != nil && res.of.reached}
	if b.tape != nil && y.reached && act == ReLU {
		c.signs = newSigns(out)
		b.bytes += int64(len(c.signs.bits))
	}
	b.recordFusing(y, func(g *Map) { b.layerGradient(c, x, y, g) })
	return y
}

// AveragePool averages the map over side x side windows that cover it.
func (b *Builder) AveragePool(id string, x *Map, side int) *Map {
	op, out := newPool(b.set, id, x.Plane, side)
	y := &Map{Plane: out, node: b.apply(op, x.node), reached: x.reached}
	b.record(y, func(g *Map) {
		b.addGradient(x, &Map{Plane: x.Plane, node: b.apply(newSpread(op, g.Plane), g.node)})
	})
	return y
}

// Embed makes tokens of image patches; see embed. pos is [D, T].
func (b *Builder) Embed(l Layer, class, pos []float32) (*Map, int) {
	s := b.images.Shape()
	op := newEmbed(b.set, l.Key+"/embed", Plane{C: s[1], H: s[2], W: s[3]}, l.Kernel, l.Out, b.size, b.batch)
	n := b.apply(op, b.input, b.weight(l.Key, l.Weight, l.Out, l.In*l.Kernel*l.Kernel), b.weight(l.Key+"/bias", l.Shift, l.Out),
		b.weight("class_token", class, l.Out), b.weight("encoder.pos_embedding", pos, l.Out, op.tokens()))
	b.tokens = op.tokens()
	return &Map{Plane: op.out, node: n, frozen: true}, b.tokens
}

// LayerNorm normalises every token.
func (b *Builder) LayerNorm(key string, x *Map, weight, bias []float32, eps float32) *Map {
	var batch *Batch
	if x.frozen {
		batch = b.batch
	}
	out := x.Plane
	out.Cells = b.bf16 && !x.frozen && !x.last
	op := newLayerNorm(b.set, key+"/op", x.Plane, out, eps, batch)
	y := &Map{Plane: out, node: b.apply(op, x.node, b.weight(key+".weight", weight, x.C), b.weight(key+".bias", bias, x.C)), frozen: x.frozen, reached: x.reached}
	b.record(y, func(g *Map) {
		inputs, over := []*G.Node{g.node, b.forward(x), b.weight(key+".weight/gradient", weight, x.C)}, g
		if x.gradient != nil {
			over = b.settled(x.gradient)
			inputs = append(inputs, over.node)
		}
		x.gradient = &Map{Plane: x.Plane, node: b.apply(newLayerNormGradient(op, over), inputs...)}
	}, x)
	return y
}

// Attention is multi-head self-attention on the concatenated projections qkv, of the first queries tokens of each example.
func (b *Builder) Attention(id string, qkv *Map, tokens, queries, heads int) *Map {
	op := newAttention(b.set, id, qkv.Plane, tokens, queries, heads, b.bf16 && b.tape == nil, &b.work)
	op.reads = qkv.holds
	y := &Map{Plane: op.plane, node: b.apply(op, qkv.node), holds: op.makes, reached: qkv.reached}
	if b.tape != nil && y.reached {
		b.bytes += op.keepProbabilities()
	}
	b.record(y, func(g *Map) {
		b.addGradient(qkv, &Map{Plane: qkv.Plane, node: b.apply(newAttentionGradient(op), g.node, b.forward(qkv))})
	}, qkv)
	return y
}

// ClassTokens picks every example's first token.
func (b *Builder) ClassTokens(x *Map, tokens int) *Map {
	op := newClassToken("class_tokens", x.Plane, tokens)
	y := &Map{Plane: op.out, node: b.apply(op, x.node), frozen: x.frozen, last: true, reached: x.reached}
	b.record(y, func(g *Map) {
		b.addGradient(x, &Map{Plane: x.Plane, node: b.apply(newClassTokenGradient(op), g.node)})
	})
	return y
}
