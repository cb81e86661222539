package main

import (
	"fmt"
	"io"
	"slices"
	"time"

	"coar/internal/nn"
)

// passes is what was measured of one model.
type passes struct {
	batch int
	rows  []time.Duration // whole forward passes
	ops   []nn.OpTime
}

// class is the sum of the ops of one kind.
type class struct {
	name           string
	ops            int
	seconds        float64 // per row: the sum of the ops' typical times
	flops, bytes   float64
	bound          float64 // seconds: the sum of the ops' limits
	memory, toCore float64 // seconds of the bound by the roof that sets them
}

func (c *class) add(o class) {
	c.ops += o.ops
	c.seconds += o.seconds
	c.flops += o.flops
	c.bytes += o.bytes
	c.bound += o.bound
	c.memory += o.memory
	c.toCore += o.toCore
}

// classes sums the ops by class, the slowest class first, those below 1 % of the whole in one.
func (p *passes) classes(m machine) (list []class, total class) {
	byName := map[string]*class{}
	for _, op := range p.ops {
		bound, memory := m.limit(op.Flops, op.Bytes)
		one := class{ops: 1, seconds: typical(op.Times), flops: op.Flops, bytes: op.Bytes, bound: bound, toCore: bound}
		if memory {
			one.memory, one.toCore = bound, 0
		}
		total.add(one)
		if byName[op.Class] == nil {
			byName[op.Class] = &class{name: op.Class}
		}
		byName[op.Class].add(one)
	}
	rest := class{name: "the rest"}
	for _, c := range byName {
		if c.seconds < 0.01*total.seconds {
			rest.add(*c)
		} else {
			list = append(list, *c)
		}
	}
	slices.SortFunc(list, func(a, b class) int {
		if a.seconds > b.seconds {
			return -1
		}
		return 1
	})
	if rest.ops > 0 {
		list = append(list, rest)
	}
	total.name = "all ops"
	return append(list, total), total
}

// print writes the table of one model.
func (p *passes) print(w io.Writer, s study, m machine) {
	list, total := p.classes(m)
	row := typical(p.rows)
	fmt.Fprintf(w, "\n%s, %d examples per run, fraction %g: %.2f ms per row, %.1f margins/s; %.2f ms of a row outside the ops\n\n",
		s.title, p.batch, s.fraction, 1e3*row, float64(p.batch)/row, 1e3*p.outside())
	fmt.Fprintln(w, "| layers | ops | share of time | ms | GFLOPS | of the limit | flops/byte | roof |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|")
	for _, c := range list {
		gflops, intensity, limit, roof := "-", "-", "-", "-"
		if c.flops > c.bytes/2 { // else it moves data
			gflops, intensity = fmt.Sprintf("%.0f", c.flops/c.seconds/1e9), fmt.Sprintf("%.0f", c.flops/c.bytes)
		}
		if c.bound > 0 {
			limit, roof = fmt.Sprintf("%.0f %%", 100*c.bound/c.seconds), "compute"
			if c.memory > c.toCore {
				roof = "memory"
			}
		}
		fmt.Fprintf(w, "| %s | %d | %.1f %% | %.3f | %s | %s | %s | %s |\n", c.name, c.ops, 100*c.seconds/total.seconds, 1e3*c.seconds, gflops, limit, intensity, roof)
	}
}

// outside is what a row takes beyond its ops, in seconds (typical): gorgonia's machine and the timing itself.
func (p *passes) outside() float64 {
	left := slices.Clone(p.rows)
	for _, op := range p.ops {
		for r, t := range op.Times {
			left[r] -= t
		}
	}
	return typical(left)
}

// typical is the lower quartile of times in seconds: what other processes add by taking the core away for a while
// lies above it.
func typical(times []time.Duration) float64 {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[len(sorted)/4].Seconds()
}
