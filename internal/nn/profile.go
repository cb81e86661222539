package nn

import (
	"time"

	G "gorgonia.org/gorgonia"
)

// Profile times the ops of one program. It belongs to the program's goroutine.
type Profile struct{ ops []*timed }

// OpTime is what a Profile measured of one op.
type OpTime struct {
	Name, Class string
	Times       []time.Duration // of each run since Reset
	Flops       float64         // per run, mean: multiply-adds x 2 of the direct algorithm, for the rows that were kept
	Bytes       float64         // per run, mean: what must be read and written at least once
}

// Profile makes the graph's ops report to p; it comes before the first op is built.
func (b *Builder) Profile(p *Profile) { b.profile = p }

// Reset forgets what was measured.
func (p *Profile) Reset() {
	for _, t := range p.ops {
		t.times, t.flops, t.bytes = t.times[:0], 0, 0
	}
}

// Ops returns what was measured since Reset, in the order of construction; ops that did not run are left out.
func (p *Profile) Ops() []OpTime {
	var all []OpTime
	for _, t := range p.ops {
		if n := float64(len(t.times)); n > 0 {
			all = append(all, OpTime{t.String(), t.class(), t.times, t.flops / n, t.bytes / n})
		}
	}
	return all
}

// timed is an op under observation.
type timed struct {
	fused
	times        []time.Duration
	flops, bytes float64 // sums over the runs
}

// watch returns op wrapped so that p sees its runs.
func (p *Profile) watch(op fused) fused {
	t := &timed{fused: op}
	p.ops = append(p.ops, t)
	return t
}

func (t *timed) class() string {
	if w, ok := t.fused.(costed); ok {
		return w.class()
	}
	return "other"
}

func (t *timed) Do(in ...G.Value) (G.Value, error) {
	if w, ok := t.fused.(costed); ok { // before Do, which may change what is still to be done
		flops, bytes := w.work(in)
		t.flops += flops
		t.bytes += bytes
	}
	start := time.Now()
	out, err := t.fused.Do(in...)
	t.times = append(t.times, time.Since(start))
	return out, err
}
