package nn

import "coar/internal/kernel"

// ahead is what a product brings into a core's second-level cache while it multiplies, evenly spread over its steps: memory
// that the op after it touches and that has left the cache since the forward pass. It changes no result.
type ahead struct {
	memory [][]float32
	bytes  int // of memory

	perStep int       // bytes that a step of the current run fetches
	at      int       // the memory that is being fetched
	rest    []float32 // of it
}

// mostAhead bounds what is fetched, which has to fit into the cache beside what the product itself works on. More gained nothing.
const mostAhead = 640 << 10

// add appends memory as far as there is room.
func (a *ahead) add(memory []float32) {
	memory = memory[:min(len(memory), (mostAhead-a.bytes)/floatBytes)]
	if len(memory) > 0 {
		a.memory = append(a.memory, memory)
		a.bytes += floatBytes * len(memory)
	}
}

// begin spreads the memory over a run of p.
func (a *ahead) begin(p *product, blocks []block) {
	spans, summing := 0, 0
	for _, group := range p.groups {
		for _, v := range group {
			spans += len(v.spans)
		}
	}
	for i := range blocks {
		if !blocks[i].empty {
			summing++
		}
	}
	const line = 64
	steps := max(1, spans*summing*(len(p.live)+len(p.live2)))
	a.perStep = min(line, (a.bytes+steps-1)/steps)
	a.at, a.rest = 0, a.memory[0]
}

// next gives the tile's next call its share.
func (a *ahead) next(t *kernel.Tile) {
	t.Ahead, t.AheadStride = nil, a.perStep
	if len(a.rest) == 0 {
		return
	}
	t.Ahead = a.rest
	a.rest = a.rest[min(len(a.rest), (len(t.K)+len(t.K2))*len(t.Spans)*a.perStep/floatBytes):]
	if len(a.rest) == 0 && a.at < len(a.memory)-1 {
		a.at++
		a.rest = a.memory[a.at]
	}
}

// lookAhead makes the products of a pass fetch what the ops after them touch. It pays where a pass comes back to memory that
// another wrote: passes that only go forward gained nothing.
func (m *machine) lookAhead() {
	for i := range len(m.steps) - 1 {
		op, next := m.steps[i].op, m.steps[i+1]
		a := &ahead{}
		written := op.memory()
		add := func(memory []float32) {
			if len(memory) > 0 && &memory[0] != &written[0] {
				a.add(memory)
			}
		}
		for _, in := range next.in {
			add(floats(in))
		}
		for _, memory := range next.op.needs() {
			add(memory)
		}
		add(next.op.memory())
		if a.bytes > 0 {
			op.fetch(a)
		}
	}
}
