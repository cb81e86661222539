package nn

import (
	"fmt"
	"os"
	"testing"
	"time"

	"coar/internal/kernel"
)

func TestZZ(t *testing.T) {
	set := kernel.Available()[0]
	for _, s := range []struct{ c, side, g, kept int }{{16, 32, 16, 14}, {32, 16, 16, 29}, {64, 8, 16, 58}, {64, 56, 16, 61}, {128, 28, 16, 122}, {256, 14, 16, 243}, {512, 7, 16, 486}} {
		l := Layer{Key: "w", Weight: make([]float32, s.c*s.c*9), Out: s.c, In: s.c, Kernel: 3, Stride: 1, Pad: 1, Derived: &Derived{}}
		for i := range l.Weight {
			l.Weight[i] = float32(i%17) - 8
		}
		in := Plane{C: s.c, H: s.side, W: s.side, G: s.g, Pad: 1}
		out := in
		var work workspace
		v := directView(in, l)
		c := newConv(set, l, v, in, out, ReLU, nil, true)
		c.reads = newConstants(s.c)
		for i := range s.c - s.kept {
			c.reads.set(i, 1)
		}
		c.wino = newWinograd(set, l, v, in, out, nil, &work)
		w := c.wino
		x, dst := buffer(in.Len()), buffer(out.Len())
		keep := filled(s.c, 1)
		for i := range s.c - s.kept {
			keep[i] = 0
		}
		a := layerArgs{x: x, w: l.Weight, scale: filled(s.c, 1), shift: filled(s.c, 0), derived: l.winogradFactors(), keep: keep}
		best := [4]time.Duration{1 << 60, 1 << 60, 1 << 60, 1 << 60}
		start := time.Now()
		for time.Since(start) < 700*time.Millisecond || os.Getenv("ZZ") != "" {
			t0 := time.Now()
			c.choose(a, c.rows)
			c.compute(a, dst)
			tt := time.Since(t0)
			best[3] = min(best[3], tt)
			if os.Getenv("ZZ") != "" && time.Since(start) > 3*time.Second {
				break
			}
			var d [3]time.Duration
			shift := a.shift
			w.kept = append(append(w.kept[:0], c.chosen[0]...), c.chosen[2]...)
			sums := w.sumConstants(c.reads, a.w)
			w.plan(c.reads, sums)
			for first := 0; first < tilesOf(w.out.H); first += w.strip {
				rows := min(w.strip, tilesOf(w.out.H)-first)
				p := &w.full
				if rows < w.strip {
					p = &w.rest
				}
				t0 := time.Now()
				w.transformInput(a.x, first, rows)
				t1 := time.Now()
				for k := range kernel.WinogradProducts {
					o := operands{a: a.derived[k*w.layer.Out*w.layer.In:], b: w.work.v[k*w.depth()*w.ld:], out: w.work.m[k*len(w.kept)*w.ld:]}
					if sums {
						o.a2 = w.sums[k*w.layer.Out:]
					}
					p.run(o, w.blocks)
				}
				t2 := time.Now()
				w.transformKept(c, a, shift, dst, first, rows)
				t3 := time.Now()
				d[0] += t1.Sub(t0)
				d[1] += t2.Sub(t1)
				d[2] += t3.Sub(t2)
			}
			for i := range d {
				best[i] = min(best[i], d[i])
			}
		}
		tiles := tilesOf(s.side)
		fma := float64(36*s.kept*s.kept*tiles*tiles) * float64(s.g) / 16 / 2
		tr := float64(s.kept * tiles * tiles * s.g / 16)
		const ghz = 2.78
		fmt.Printf("%3d ch at %2d: input %v (%.0f cycles/tile) product %v (%.0f%%) output %v (%.0f cycles/tile) sum %v all %v\n", s.c, s.side, best[0], best[0].Seconds()*ghz*1e9/tr,
			best[1], 100*fma/(best[1].Seconds()*ghz*1e9), best[2], best[2].Seconds()*ghz*1e9/tr, best[0]+best[1]+best[2], best[3])
	}
}
