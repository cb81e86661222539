package nn

import "coar/internal/kernel"

// panelMinBlocks is the number of blocks of rows from which reading columns from a panel repays copying them.
const panelMinBlocks = 8

// panel is a copy of the columns that a group of spans reads, span after span, step after step. In the map, equal positions
// of two channels lie a map apart, on pages of their own, where nothing is fetched ahead of its use.
type panel struct {
	work   *workspace
	steps  [][]kernel.Offset // by the number of vectors
	spans  []kernel.Span
	visits []visit
}

// newPanel prepares panels for the groups of p, whose second sum must be empty.
func newPanel(p *product, work *workspace) *panel {
	most := 0
	for _, group := range p.groups {
		size := 0
		for _, v := range group {
			size += len(v.spans) * v.vecs
		}
		most = max(most, size)
	}
	grow(&work.panel, most*len(p.steps)*p.set.Lanes)
	return &panel{work: work, steps: make([][]kernel.Offset, p.set.MaxVecs+1)}
}

// begin takes the steps that are run.
func (n *panel) begin(live []kernel.Offset, lanes int) {
	for vecs := range n.steps {
		n.steps[vecs] = n.steps[vecs][:0]
		for i, s := range live {
			n.steps[vecs] = append(n.steps[vecs], kernel.Offset{A: s.A, B: int32(i * vecs * lanes)})
		}
	}
}

// fill copies what the group reads of b, whose vectors lie step apart, and returns the group with its places in the panel.
// Lanes that nothing is written from may be left as they were: those beyond the end of b.
func (n *panel) fill(group []visit, live []kernel.Offset, b []float32, step, lanes int) []visit {
	n.spans, n.visits = n.spans[:0], n.visits[:0]
	at := 0
	for _, v := range group {
		first := len(n.spans)
		for _, s := range v.spans {
			s.In = int32(at)
			n.spans = append(n.spans, s)
			at += len(live) * v.vecs * lanes
		}
		n.visits = append(n.visits, visit{v.vecs, n.spans[first:]})
	}
	for i, k := range live { // channel by channel, so that memory is read along its lines
		for j, v := range group {
			width := v.vecs * lanes
			for s, span := range v.spans {
				to, from := n.work.panel[int(n.visits[j].spans[s].In)+i*width:][:width], b[span.In+k.B:]
				if step == lanes {
					copy(to, from)
					continue
				}
				for w := range v.vecs {
					copy(to[w*lanes:][:lanes], from[w*step:])
				}
			}
		}
	}
	return n.visits
}
