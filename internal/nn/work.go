package nn

import (
	"fmt"

	G "gorgonia.org/gorgonia"
)

// costed is an op that can say what its next run costs.
type costed interface {
	// class names the kind of layer, the same for ops that should run at one speed.
	class() string
	// work counts the multiply-adds x 2 of the direct algorithm and the bytes that must be read and written at least
	// once if the op runs on in. Rows that are ablated cost their output alone. Softmax, normalisation, activations
	// and pooling count as no arithmetic.
	work(in []G.Value) (flops, bytes float64)
}

const floatBytes = 4

func (c *conv) class() string {
	p, l := c.plane, c.layer
	switch {
	case p.H == 1 && l.Kernel == 1 && c.act == GELU:
		return "linear, GELU"
	case p.H == 1 && l.Kernel == 1:
		return "linear"
	case l.Stride > 1:
		return fmt.Sprintf("conv %dx%d /%d to %dx%d", l.Kernel, l.Kernel, l.Stride, p.H, p.W)
	}
	return fmt.Sprintf("conv %dx%d at %dx%d", l.Kernel, l.Kernel, p.H, p.W)
}

func (c *conv) work(in []G.Value) (flops, bytes float64) {
	rows := c.layer.Out
	if c.masked {
		rows = 0
		for _, k := range c.args(in).keep {
			if k != 0 {
				rows++
			}
		}
	}
	at := c.plane.H * c.plane.W * c.plane.G
	area := c.layer.Kernel * c.layer.Kernel
	depth, stored := c.layer.In*area, c.depth*area
	moved := rows*stored + min(in[0].Shape().TotalSize(), stored*at) + c.plane.Rows()*at
	if c.res != nil {
		p := c.res.plane
		p.C = c.res.c
		moved += p.Rows() * at
	}
	return 2 * float64(rows) * float64(depth) * float64(at), floatBytes * float64(moved)
}

func (s *stem) class() string { return "stem" }

func (s *stem) work(in []G.Value) (flops, bytes float64) {
	if s.due() {
		flops, bytes = s.conv.work(in)
	}
	if !s.masked {
		return flops, bytes
	}
	for c, k := range s.args(in).keep {
		switch {
		case s.state[c] == k:
		case k == 1:
			bytes += 2 * floatBytes * float64(s.plane.Stride()) // from the cache to the output
		default:
			bytes += floatBytes * float64(s.plane.Stride())
		}
	}
	return flops, bytes
}

// due says what stale will say, and changes nothing.
func (f *frozen) due() bool { return f.batch == nil || f.seen != f.batch.loads }

// moves is the work of an op that only reads and writes elements, 0 once a frozen op has done it.
func (f *frozen) moves(elements int) (flops, bytes float64) {
	if !f.due() {
		return 0, 0
	}
	return 0, floatBytes * float64(elements)
}

func (p *pack) class() string { return "pack" }
func (p *pack) work(in []G.Value) (flops, bytes float64) {
	return p.moves(2 * in[0].Shape().TotalSize())
}

func (s *split) class() string { return "split by parity" }
func (s *split) work(in []G.Value) (flops, bytes float64) {
	return s.moves(2 * in[0].Shape().TotalSize())
}

func (r *round) class() string { return "round to bfloat16" }
func (r *round) work(in []G.Value) (flops, bytes float64) {
	return 0, 1.5 * floatBytes * float64(in[0].Shape().TotalSize())
}

func (l *layerNorm) class() string { return "layer norm" }
func (l *layerNorm) work(in []G.Value) (flops, bytes float64) {
	return l.moves(2 * in[0].Shape().TotalSize())
}

func (e *embed) class() string { return "patch embedding" }
func (e *embed) work([]G.Value) (flops, bytes float64) {
	if !e.due() {
		return 0, 0
	}
	depth, out := len(e.steps), e.out.C*e.out.W
	return 2 * float64(depth) * float64(out), floatBytes * float64(depth*(e.out.C+e.out.W)+out)
}

func (a *attention) class() string { return "attention" }
func (a *attention) work([]G.Value) (flops, bytes float64) {
	out := a.plane.C * a.plane.W
	return 4 * float64(a.tokens) * float64(out), 4 * floatBytes * float64(out) // Q, K, V and the result
}

func (p *pool) class() string { return "average pool" }
func (p *pool) work([]G.Value) (flops, bytes float64) {
	return 0, floatBytes * float64(p.in.C*p.in.H*p.in.W*p.in.G)
}

func (c *classToken) class() string { return "class token" }
func (c *classToken) work([]G.Value) (flops, bytes float64) {
	return 0, 2 * floatBytes * float64(c.out.C*c.out.W)
}

func (l *logits) class() string { return "logits" }
func (l *logits) work([]G.Value) (flops, bytes float64) {
	return 0, 2 * floatBytes * float64(len(l.buf))
}
