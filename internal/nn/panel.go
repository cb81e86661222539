package nn

import "coar/internal/kernel"

// Reading columns from a panel repays copying them from so many blocks of rows on, and where the map does not stay in a core's
// second-level cache anyway: one that does is read in place a tenth faster.
const (
	panelMinBlocks = 8
	panelMinBytes  = 512 << 10
)

// panel is a copy of the columns that a group of spans reads, span after span, step after step. In the map, equal positions
// of two channels lie a map apart, on pages of their own, where nothing is fetched ahead of its use.
type panel struct {
	work          *workspace
	steps, steps2 [][]kernel.Offset // of both sums, by the number of vectors
	spans         []kernel.Span
	visits        []visit
}

// usePanel makes p read columns of a map, whose channels lie stride elements apart, from panels if that pays.
func (p *product) usePanel(stride int, work *workspace) {
	if floatBytes*len(p.steps)*stride < panelMinBytes {
		return
	}
	most := 0
	for _, group := range p.groups {
		size := 0
		for _, v := range group {
			size += len(v.spans) * v.vecs
		}
		most = max(most, size)
	}
	grow(&work.panel, most*len(p.steps)*p.set.Lanes)
	p.panel = &panel{work: work, steps: make([][]kernel.Offset, p.set.MaxVecs+1), steps2: make([][]kernel.Offset, p.set.MaxVecs+1)}
}

// begin takes the steps that are run, of both sums: together no more than the product was made for.
func (n *panel) begin(live, live2 []kernel.Offset, lanes int) {
	for vecs := range n.steps {
		n.steps[vecs] = places(n.steps[vecs][:0], live, 0, vecs*lanes)
		n.steps2[vecs] = places(n.steps2[vecs][:0], live2, len(live), vecs*lanes)
	}
}

// places appends the steps to dst with their columns in a panel, where the first of them is the given one.
func places(dst, steps []kernel.Offset, first, width int) []kernel.Offset {
	for i, s := range steps {
		dst = append(dst, kernel.Offset{A: s.A, B: int32((first + i) * width)})
	}
	return dst
}

// fill copies what the group reads of b, whose vectors lie step apart, and returns the group with its places in the panel.
// Lanes that nothing is written from may be left as they were: those beyond the end of b.
func (n *panel) fill(group []visit, live, live2 []kernel.Offset, b []float32, step, lanes int) []visit {
	n.spans, n.visits = n.spans[:0], n.visits[:0]
	at := 0
	for _, v := range group {
		first := len(n.spans)
		for _, s := range v.spans {
			s.In = int32(at)
			n.spans = append(n.spans, s)
			at += (len(live) + len(live2)) * v.vecs * lanes
		}
		n.visits = append(n.visits, visit{v.vecs, n.spans[first:]})
	}
	n.take(group, live, 0, b, step, lanes)
	n.take(group, live2, len(live), b, step, lanes)
	return n.visits
}

// take copies the columns of the steps, channel by channel, so that memory is read along its lines.
func (n *panel) take(group []visit, steps []kernel.Offset, first int, b []float32, step, lanes int) {
	for i, k := range steps {
		for j, v := range group {
			width := v.vecs * lanes
			for s, span := range v.spans {
				to, from := n.work.panel[int(n.visits[j].spans[s].In)+(first+i)*width:][:width], b[span.In+k.B:]
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
}
