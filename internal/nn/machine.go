package nn

import (
	"fmt"

	G "gorgonia.org/gorgonia"
)

// machine runs a graph on the goroutine of its caller. gorgonia's own machine runs each pass on a goroutine of its own, which
// moves from processor to processor and leaves its caches behind, and boxes every value anew.
//
// Every op writes to memory that allocate bound to it, so that the values of a pass are known before it begins.
type machine struct{ steps []step }

// step is one op and its operands.
type step struct {
	op fused
	in []G.Value
}

// newMachine prepares the graph that b holds, whose ops have their memory, in the order in which allocate took them.
func (b *Builder) newMachine() (*machine, error) {
	sorted, err := G.Sort(b.graph)
	if err != nil {
		return nil, fmt.Errorf("nn: sort graph: %w", err)
	}
	m := &machine{}
	for i := len(sorted) - 1; i >= 0; i-- {
		n := sorted[i]
		op, ok := b.ops[n]
		if !ok {
			continue
		}
		s := step{op: op}
		for _, in := range b.reads[n] {
			if of := b.ops[in]; of != nil {
				s.in = append(s.in, of.tensor())
			} else {
				s.in = append(s.in, in.Value())
			}
		}
		m.steps = append(m.steps, s)
	}
	return m, nil
}

// run computes every op once.
func (m *machine) run() error {
	for _, s := range m.steps {
		if _, err := s.op.Do(s.in...); err != nil {
			return fmt.Errorf("nn: %s: %w", s.op, err)
		}
	}
	return nil
}
