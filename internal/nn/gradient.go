package nn

import (
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// tape is what a graph needs to be run backwards. The backward pass is a graph of its own: its inputs are the gradient of
// the logits and the output tensors of some of the forward graph's ops, which then keep their memory for themselves.
type tape struct {
	entries []entry
	raws    map[string]*rawRows // by weight key
	held    map[*G.Node]bool    // the forward graph's nodes that the backward pass reads
	values  map[*G.Node]*G.Node // of those: their outputs in the backward graph
}

// entry says how the gradient of out becomes gradients of what out was made from.
type entry struct {
	out   *Map
	back  func(g *Map)
	fuses bool // back takes a gradient that is not yet made
}

// Differentiate makes the compiled program run gradients too; it comes before the first op is built.
func (b *Builder) Differentiate() {
	if b.bf16 {
		b.fail("gradients are computed in float32 only")
	}
	b.tape = &tape{raws: map[string]*rawRows{}, held: map[*G.Node]bool{}, values: map[*G.Node]*G.Node{}}
}

// record notes how the gradient g of out, a map of out's plane, is passed on. back builds ops of the backward graph and
// hands their results to addGradient; it runs when the forward graph is complete, and only where out has a gradient.
// Of the forward graph it may read the maps that are listed; others share their memory.
func (b *Builder) record(out *Map, back func(g *Map), reads ...*Map) {
	if b.tape == nil || !out.reached {
		return
	}
	b.tape.entries = append(b.tape.entries, entry{out: out, back: back})
	for _, x := range reads {
		b.tape.held[x.node] = true
	}
}

// recordFusing is record where back takes a gradient that is not yet made; see fusible.
func (b *Builder) recordFusing(out *Map, back func(g *Map), reads ...*Map) {
	b.record(out, back, reads...)
	if b.tape != nil && out.reached {
		b.tape.entries[len(b.tape.entries)-1].fuses = true
	}
}

// addGradient adds g, a map of x's plane, to the gradient of x. Nothing is added where no keep value reaches x.
func (b *Builder) addGradient(x *Map, g *Map) {
	switch {
	case !x.reached:
	case x.halved != nil:
		b.fail("a map that is read subsampled needs a layer of stride 2 to add its gradients")
	case x.gradient == nil:
		x.gradient = g
	default:
		b.fail("two gradients of one map are added by no layer")
	}
}

// held are the nodes whose output another graph reads.
func (b *Builder) held() map[*G.Node]bool {
	if b.tape == nil {
		return nil
	}
	return b.tape.held
}

// forward is the output of x in the backward graph.
func (b *Builder) forward(x *Map) *G.Node {
	if b.err != nil {
		return b.input
	}
	n := b.tape.values[x.node]
	if !b.tape.held[x.node] {
		b.fail("%v is read by the backward pass, which did not say so", x.node)
	}
	if n == nil {
		op := b.ops[x.node]
		n = b.value(op.String()+"/value", op.tensor())
		b.tape.values[x.node] = n
	}
	return n
}

// applyPair adds an op with a second output, which other makes available; it returns the nodes of both.
func (b *Builder) applyPair(op fused, other fused, inputs ...*G.Node) (*G.Node, *G.Node) {
	n := b.apply(op, inputs...)
	o := b.apply(other, n)
	if b.err == nil {
		b.others[n] = o
	}
	return n, o
}

// second is the second output of an op, which wrote it already.
type second struct{ base }

func (s *second) Do(...G.Value) (G.Value, error) { return s.out, nil }

func (s *second) class() string                         { return "second output" }
func (s *second) work([]G.Value) (flops, bytes float64) { return 0, 0 }

// backward is a compiled backward pass.
type backward struct {
	machine *machine
	seed    []float32 // [size, classes], the gradient of the logits
	raws    map[string]*rawRows
}

// compileBackward closes the backward graph of a program whose class scores are in last.
func (b *Builder) compileBackward(p *Program, last *Map) error {
	b.graph = G.NewGraph()
	back := &backward{seed: make([]float32, b.size*last.C), raws: b.tape.raws}
	seed := b.value("logits/gradient", tensor.New(tensor.WithShape(b.size, last.C), tensor.WithBacking(back.seed)))
	last.gradient = &Map{Plane: last.Plane, node: b.apply(newSeed(last.Plane), seed)}
	for i := len(b.tape.entries) - 1; i >= 0; i-- {
		e := b.tape.entries[i]
		if e.out.halved != nil {
			b.fail("a map that is read subsampled has no layer of stride 2 to add its gradients")
		}
		if e.out.gradient != nil {
			if !e.fuses {
				b.settled(e.out.gradient)
			}
			e.back(e.out.gradient)
		}
	}
	if b.err != nil {
		return b.err
	}
	if err := distinct(b.graph); err != nil {
		return err
	}
	before := b.bytes
	if err := b.allocate(nil); err != nil {
		return err
	}
	p.bytes += b.bytes - before
	var err error
	if back.machine, err = b.newMachine(); err != nil {
		return err
	}
	p.back = back
	if b.tokens > 0 { // of convolutional networks too much is too large, or computed by Winograd's algorithm
		p.forward.lookAhead()
		back.machine.lookAhead()
	}
	return nil
}

// seed brings the gradient of the logits [B, classes] into a plane of one position per example.
type seed struct {
	base
	out Plane
}

func newSeed(out Plane) *seed {
	return &seed{base: newPlaneBase("logits/gradient/plane", out), out: out}
}

func (s *seed) Do(in ...G.Value) (G.Value, error) {
	g := floats(in[0])
	for c := range s.out.C {
		row := s.buf[c*s.out.Stride():][:s.out.W*s.out.G]
		for i := range row {
			row[i] = g[i*s.out.C+c]
		}
	}
	return s.base.out, nil
}

// Wanted says, row by row of the weight key, which keep gradients the next RunGradient shall compute; nil where the rows
// are no components or the program runs no gradients. Run computes the same logits whatever it says, up to rounding.
func (p *Program) Wanted(key string) []bool {
	if p.back == nil || p.back.raws[key] == nil {
		return nil
	}
	return p.back.raws[key].wanted
}

// KeepGradient is what the last RunGradient computed for the weight key: [Size, rows], for each example the derivatives
// by the keep values of the wanted rows, 0 for the others.
func (p *Program) KeepGradient(key string) []float32 {
	if p.back == nil || p.back.raws[key] == nil {
		return nil
	}
	return p.back.raws[key].gradient
}

// RunGradient computes the logits as Run does, asks seed for the gradient of the output with respect to them, both
// [Size, classes], and computes the keep gradients of the wanted rows. What is in dLogits at the call is undefined.
//
// Cost: 2 to 2.5 forward passes; see BenchmarkGradientRow.
func (p *Program) RunGradient(seed func(logits, dLogits []float32) error) ([]float32, error) {
	logits, err := p.Run()
	if err != nil {
		return nil, err
	}
	if err := seed(logits, p.back.seed); err != nil {
		return nil, err
	}
	for _, r := range p.back.raws {
		clear(r.gradient)
	}
	if err := p.back.machine.run(); err != nil {
		return nil, err
	}
	return logits, nil
}
