package models

import (
	"fmt"
	"testing"

	"coar/internal/kernel"
)

// BenchmarkRow times one row, the examples loaded: keep values set, forward pass run.
func BenchmarkRow(b *testing.B) {
	set, err := kernel.Detect()
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
