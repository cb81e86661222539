package models

import (
	"fmt"
	"testing"
	"time"

	"coar/internal/kernel"
	"coar/internal/margin"
)

// BenchmarkGradientRow times one softened row with the derivatives of a fifth of the components, the examples loaded; it
// reports the cost in plain rows with a tenth of the components ablated, which are timed in turns with it.
func BenchmarkGradientRow(b *testing.B) {
	set, err := kernel.Detect()
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name  string // of a golden
		batch int
	}{{"vit_small", 8}, {"vit_28", 16}, {"vit_b_16", 2}} {
		b.Run(fmt.Sprintf("%s/batch=%d", c.name, c.batch), func(b *testing.B) {
			g := readGolden(b, c.name)
			m := openGolden(b, g)
			open := func(gradients bool) *Program {
				prog, err := m.NewProgram(Build{Set: set, Batch: c.batch, Height: g.Side, Width: g.Side, Gradients: gradients})
				if err != nil {
					b.Fatal(err)
				}
				copy(prog.Images(), draw("images", len(prog.Images())))
				prog.Load()
				return prog
			}
			plain, prog := open(false), open(true)
			defer plain.Close()
			defer prog.Close()
			p := m.Components()
			u, wanted, soft, hard := draw("keep", p), make([]bool, p), make([]float32, p), make([]float32, p)
			for i, v := range u {
				wanted[i], soft[i], hard[i] = v < -.6, 1, 1
				if wanted[i] {
					soft[i] = (v + 1) / .4
				}
				if v < -.8 {
					hard[i] = 0
				}
			}
			var rows time.Duration
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				start := time.Now()
				plain.SetKeep(hard)
				if _, err := plain.Run(); err != nil {
					b.Fatal(err)
				}
				rows += time.Since(start)
				b.StartTimer()
				prog.SetKeep(soft)
				prog.SetWanted(wanted)
				if _, err := prog.RunGradient(func(logits, d []float32) error {
					clear(d)
					for i := range c.batch {
						margin.Output{}.Gradient(logits[i*m.Classes:][:m.Classes], i%m.Classes, d[i*m.Classes:][:m.Classes])
					}
					return nil
				}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed())/float64(rows), "rows")
			b.ReportMetric(float64(prog.Bytes())/(1<<20), "MiB")
		})
	}
}
