package nn

import (
	"fmt"
	"hash"
	"hash/fnv"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// base carries what gorgonia asks of every op: an identity, the types of inputs and output, and the output buffer.
type base struct {
	id     string  // unique in the graph: gorgonia merges nodes whose ops hash alike
	inDims []int   // number of dimensions of each input
	layout any     // what ops that share memory must agree in
	lasts  bool    // the output must survive from run to run
	over   *G.Node // the input that the output may overwrite; nil: none
	shape  tensor.Shape
	out    *tensor.Dense
	buf    []float32 // the memory of out, from bind on
}

// newBase describes an op whose output has the given layout and shape; bind gives it the memory.
func newBase(id string, layout any, shape ...int) base {
	return base{id: id, layout: layout, shape: shape}
}

// newPlaneBase describes an op that writes a plane.
func newPlaneBase(id string, p Plane) base {
	if p.Pad == 0 && !p.Cells {
		return newBase(id, flat, p.Rows(), p.Stride())
	}
	return newBase(id, p, p.Rows(), p.Stride())
}

// flat is the layout of planes without a border: whoever reads one reads only what was written, so that they may follow
// each other in memory whatever their shapes. Cells are left out, whose unused halves must stay zero.
const flat = "flat"

// lasting makes the output survive from run to run where the op is frozen.
func (b base) lasting(batch *Batch) base {
	b.lasts = batch != nil
	return b
}

// overwriting lets the output take the memory of x where nobody reads that later. The op reads every element of x before it
// writes the same place.
func (b base) overwriting(x *Map) base {
	b.over = x.node
	return b
}

func (b *base) keeps() bool        { return b.lasts }
func (b *base) form() any          { return b.layout }
func (b *base) memory() []float32  { return b.buf }
func (b *base) needs() [][]float32 { return nil }
func (b *base) fetch(*ahead)       {}
func (b *base) replaces() *G.Node  { return b.over }

// tensor is the output, whose address is the same in every run.
func (b *base) tensor() *tensor.Dense { return b.out }

// size is the number of elements of the output.
func (b *base) size() int { return b.shape.TotalSize() }

// bind makes buf the memory of the output.
func (b *base) bind(buf []float32) {
	b.buf, b.out = buf, tensor.New(tensor.WithShape(b.shape...), tensor.WithBacking(buf))
}

func (b *base) Arity() int { return len(b.inDims) }

func (b *base) Type() hm.Type {
	var ts []hm.Type
	for _, d := range b.inDims {
		ts = append(ts, tensorType(d))
	}
	return hm.NewFnType(append(ts, tensorType(b.shape.Dims()))...)
}

func tensorType(dims int) hm.Type { return G.TensorType{Dims: dims, Of: G.Float32} }

func (b *base) InferShape(...G.DimSizer) (tensor.Shape, error) { return b.shape.Clone(), nil }
func (b *base) ReturnsPtr() bool                               { return true }
func (b *base) CallsExtern() bool                              { return false }
func (b *base) OverwritesInput() int                           { return -1 }
func (b *base) WriteHash(h hash.Hash)                          { fmt.Fprint(h, b.id) }
func (b *base) String() string                                 { return b.id }

func (b *base) Hashcode() uint32 {
	h := fnv.New32a()
	b.WriteHash(h)
	return h.Sum32()
}

// fused is an op of this package.
type fused interface {
	G.Op
	setInputs([]int)
	size() int
	form() any
	keeps() bool
	bind(buf []float32)
	memory() []float32
	tensor() *tensor.Dense
	needs() [][]float32 // memory that the op touches besides its inputs and its output
	fetch(*ahead)       // takes what it may fetch meanwhile
	replaces() *G.Node  // an input that the op reads element by element before it writes the same places; nil: none
}

// apply adds op to the graph of its inputs and names the result after the op.
func apply(op fused, inputs ...*G.Node) (*G.Node, error) {
	var dims []int
	for _, in := range inputs {
		dims = append(dims, in.Dims())
	}
	op.setInputs(dims)
	out, err := G.ApplyOp(op, inputs...)
	if err != nil {
		return nil, fmt.Errorf("nn: %s: %w", op, err)
	}
	return out, nil
}

func (b *base) setInputs(dims []int) { b.inDims = dims }

// floats is the memory of a graph value. Beyond its length lies the slack, unless it is a weight. Unlike Data it allocates nothing.
func floats(v G.Value) []float32 { return v.(*tensor.Dense).Float32s() }
