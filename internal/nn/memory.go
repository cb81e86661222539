package nn

import (
	"fmt"
	"slices"

	G "gorgonia.org/gorgonia"

	"coar/internal/kernel"
)

// allocate gives every op its output memory. Ops whose outputs have one layout take turns with it once its last reader
// has run, so that memory follows the widest place of the network and not its depth, and a sum may take the place of its
// summand, so that less of it leaves the cache. Layouts with a border are never
// mixed: its zeros are written by nobody, so they must stay where they are.
//
// A graph runs in the order of gorgonia's Sort, which is stable.
// The nodes in held keep their outputs for themselves: the backward graph reads them. It takes over all others.
func (b *Builder) allocate(held map[*G.Node]bool) error {
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
	free := b.free
	take := func(op fused) []float32 {
		list := free[op.form()]
		for i, buf := range list {
			if cap(buf) >= op.size()+kernel.Slack {
				free[op.form()] = slices.Delete(list, i, i+1)
				return buf[:op.size()]
			}
		}
		return nil
	}
	ending, gone := map[int][]*G.Node{}, map[*G.Node]bool{}
	give := func(n *G.Node, at int) {
		op := b.ops[n]
		var buf []float32
		if old := op.replaces(); b.replaceable(n, old) && !held[old] && !held[n] && last[old] == at {
			buf, gone[old] = b.ops[old].memory(), true
		} else if !op.keeps() && !held[n] {
			buf = take(op)
		}
		if buf == nil {
			buf = buffer(op.size())
			b.bytes += int64(4 * len(buf))
		}
		op.bind(buf)
		ending[last[n]] = append(ending[last[n]], n)
	}
	for i := len(sorted) - 1; i >= 0; i-- {
		n, at := sorted[i], len(sorted)-1-i
		op, ok := b.ops[n]
		if !ok {
			continue
		}
		if op.memory() == nil {
			give(n, at)
		}
		if o := b.others[n]; o != nil {
			give(o, at)
		}
		for _, done := range ending[at] {
			if o := b.ops[done]; !o.keeps() && !held[done] && !gone[done] {
				free[o.form()] = append(free[o.form()], o.memory())
			}
		}
	}
	return nil
}

// replaceable says whether the output of n may take the memory of its input old, once nobody else reads that.
func (b *Builder) replaceable(n, old *G.Node) bool {
	if old == nil || b.ops[old] == nil {
		return false
	}
	op, before := b.ops[n], b.ops[old]
	readers := 0
	for _, in := range b.reads[n] {
		if in == old {
			readers++
		}
	}
	return readers == 1 && !op.keeps() && !before.keeps() && op.form() == before.form() && op.size() == before.size()
}
