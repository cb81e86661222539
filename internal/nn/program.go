package nn

import (
	"fmt"

	G "gorgonia.org/gorgonia"
)

// Program is a compiled graph and its machine. It belongs to one goroutine.
type Program struct {
	size    int
	images  []float32
	batch   *Batch
	keeps   map[string][]float32
	classes int
	bytes   int64
	forward *machine
	logits  []float32
	back    *backward // nil: the program runs no gradients
}

// Compile closes the graph with the class scores in last, one position per example.
func (b *Builder) Compile(last *Map) (*Program, error) {
	out := b.apply(newLogits(last.Plane), last.node)
	if b.err != nil {
		return nil, b.err
	}
	if err := distinct(b.graph); err != nil {
		return nil, err
	}
	if err := b.allocate(b.held()); err != nil {
		return nil, err
	}
	p := &Program{size: b.size, images: b.images.Data().([]float32), batch: b.batch, keeps: b.keeps, classes: last.C, bytes: b.bytes + b.work.bytes()}
	var err error
	if p.forward, err = b.newMachine(); err != nil {
		return nil, err
	}
	p.logits = b.ops[out].memory()
	if b.tape != nil {
		if err := b.compileBackward(p, last); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// distinct refuses a graph in which two nodes of different names hash alike: gorgonia keeps both but may run one for the other.
func distinct(g *G.ExprGraph) error {
	seen := map[uint32]*G.Node{}
	for _, n := range g.AllNodes() {
		h := n.Hashcode()
		if o := seen[h]; o != nil && o != n {
			return fmt.Errorf("nn: nodes %v and %v have one hash; rename a tensor", o, n)
		}
		seen[h] = n
	}
	return nil
}

// Size is the number of examples per run.
func (p *Program) Size() int { return p.size }

// Bytes is the memory that the program holds by itself, the weights that programs share aside.
func (p *Program) Bytes() int64 { return p.bytes }

// Images is the input [Size, C, H, W] to fill before Load.
func (p *Program) Images() []float32 { return p.images }

// Load makes the program take note that Images holds new examples.
func (p *Program) Load() { p.batch.Next() }

// Keep is the keep vector of the weight key, to be filled before Run; nil where its rows are no components.
func (p *Program) Keep(key string) []float32 { return p.keeps[key] }

// Run computes the logits [Size, classes] of the loaded examples under the keep vectors. The result is valid until the next Run.
func (p *Program) Run() ([]float32, error) {
	if err := p.forward.run(); err != nil {
		return nil, err
	}
	return p.logits, nil
}

// Close releases the memory; the program cannot be run again.
func (p *Program) Close() { *p = Program{size: p.size, classes: p.classes, bytes: p.bytes} }
