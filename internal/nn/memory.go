package nn

import (
	"fmt"

	G "gorgonia.org/gorgonia"

	"coar/internal/kernel"
)

// allocate gives every op its output memory. Ops whose outputs have one layout take turns with it once its last reader
// has run, so that memory follows the widest place of the network and not its depth. Layouts are never mixed: the zero
// border of a plane is written by nobody, so it must stay where it is.
//
// A graph runs in the order of gorgonia's Sort, which is stable.
func (b *Builder) allocate() error {
	sorted, err := G.Sort(b.graph)
	if err != nil {
		return fmt.Errorf("nn: sort graph: %w", err)
	}
	last := map[*G.Node]int{} // node: when it is read for the last time
	when := len(sorted)
	for _, n := range sorted { // from the last op to the first
		when--
		for _, in := range b.reads[n] {
			last[in] = max(last[in], when)
		}
	}
	free := map[any][][]float32{}
	ending := map[int][]*G.Node{}
	for i := len(sorted) - 1; i >= 0; i-- {
		n, at := sorted[i], len(sorted)-1-i
		op, ok := b.ops[n]
		if !ok {
			continue
		}
		var buf []float32
		if list := free[op.form()]; len(list) > 0 && !op.keeps() {
			buf, free[op.form()] = list[len(list)-1], list[:len(list)-1]
		} else {
			buf = make([]float32, op.size(), op.size()+kernel.Slack)
			b.bytes += int64(4 * len(buf))
		}
		op.bind(buf)
		ending[last[n]] = append(ending[last[n]], n)
		for _, done := range ending[at] {
			if o := b.ops[done]; !o.keeps() {
				free[o.form()] = append(free[o.form()], o.memory())
			}
		}
	}
	return nil
}
