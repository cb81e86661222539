package models

import (
	"fmt"
	"math"
	"testing"
	"time"

	"coar/internal/kernel"
	"coar/internal/margin"
)

// BenchmarkRow times one row, the examples loaded: keep values set, forward pass run.
func BenchmarkRow(b *testing.B) {
	set, err := kernel.Detect(false)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name  string // of a golden
		batch int
	}{{"resnet20", 16}, {"resnet20", 1}, {"mini_resnet_32", 16}, {"vit_small", 8}, {"resnet18_64", 8}} {
		b.Run(fmt.Sprintf("%s/batch=%d", c.name, c.batch), func(b *testing.B) {
			g := readGolden(b, c.name)
			m := openGolden(b, g)
			prog, err := m.NewProgram(Build{Set: set, Batch: c.batch, Height: g.Side, Width: g.Side})
			if err != nil {
				b.Fatal(err)
			}
			defer prog.Close()
			copy(prog.Images(), draw("images", len(prog.Images())))
			prog.Load()
			p := m.Components()
			const nRows = 8
			u, keep := draw("keep", nRows*p), make([]float32, nRows*p)
			for i := range keep {
				if float64(u[i]) >= 2*g.Fraction-1 {
					keep[i] = 1
				}
			}
			rows := 0
			b.ReportAllocs()
			for b.Loop() {
				prog.SetKeep(keep[rows%nRows*p:][:p])
				if _, err := prog.Run(); err != nil {
					b.Fatal(err)
				}
				rows++
			}
			b.ReportMetric(float64(rows*c.batch)/b.Elapsed().Seconds(), "margins/s")
		})
	}
}

// BenchmarkGradientRow times softened rows beside the forward rows of BenchmarkRow: a fifth of the components has keep
// uniform on [0,1] and is wanted. "forwards" is the cost of a gradient row in forward rows, softened ones, of a program
// that runs no gradients.
func BenchmarkGradientRow(b *testing.B) {
	set, err := kernel.Detect(false)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name  string // of a golden
		batch int
	}{{"resnet20", 16}, {"resnet20", 8}, {"resnet56", 8}, {"mini_resnet_32", 16}, {"resnet18_64", 8}, {"resnet50_64", 8}, {"resnet50_224", 8},
		{"vit_small", 8}, {"vit_28", 8}, {"vit_b_16", 2}} {
		b.Run(fmt.Sprintf("%s/batch=%d", c.name, c.batch), func(b *testing.B) {
			g := readGolden(b, c.name)
			m := openGolden(b, g)
			var progs [2]*Program // forward alone, with gradients
			for i := range progs {
				if progs[i], err = m.NewProgram(Build{Set: set, Batch: c.batch, Height: g.Side, Width: g.Side, Gradients: i == 1}); err != nil {
					b.Fatal(err)
				}
				defer progs[i].Close()
				copy(progs[i].Images(), draw("images", len(progs[i].Images())))
				progs[i].Load()
			}
			p := m.Components()
			const nRows = 8
			var keeps [nRows][]float32
			var wanted [nRows][]bool
			for r := range keeps {
				keeps[r], wanted[r] = keepRow(2*r, 2*nRows, p, .1), make([]bool, p)
				for c, k := range keeps[r] {
					wanted[r][c] = k != 1
				}
			}
			seed := func(logits, d []float32) error {
				clear(d)
				for i := range c.batch {
					margin.Output{}.Gradient(logits[i*m.Classes:(i+1)*m.Classes], 0, d[i*m.Classes:(i+1)*m.Classes])
				}
				return nil
			}
			inTurn := 4                                               // rows of a program before it is the other's turn, and the caches'; one that takes long fills them anew anyway
			fastest := [2]time.Duration{math.MaxInt64, math.MaxInt64} // turns: others' work on the machine only adds
			rows := 0
			forward := func() {
				progs[0].SetKeep(keeps[rows%nRows])
				if _, err := progs[0].Run(); err != nil {
					b.Fatal(err)
				}
			}
			gradient := func() {
				progs[1].SetKeep(keeps[rows%nRows])
				progs[1].SetWanted(wanted[rows%nRows])
				if _, err := progs[1].RunGradient(seed); err != nil {
					b.Fatal(err)
				}
			}
			forward() // the first runs touch the memory and compute what depends on no keep value
			start := time.Now()
			if gradient(); time.Since(start) > 50*time.Millisecond {
				inTurn = 1
			}
			for b.Loop() {
				for i, run := range []func(){forward, gradient} {
					start := time.Now()
					for range inTurn {
						run()
						rows++
					}
					fastest[i] = min(fastest[i], time.Since(start))
				}
			}
			b.ReportMetric(float64(inTurn*c.batch)/fastest[1].Seconds(), "gradients/s")
			b.ReportMetric(fastest[1].Seconds()/fastest[0].Seconds(), "forwards")
			b.ReportMetric(float64(progs[1].Bytes())/(1<<20), "MiB")
		})
	}
}
