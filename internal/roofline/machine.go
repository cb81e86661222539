package main

import (
	"time"

	"coar/internal/kernel"
)

// machine is what one core reaches at best.
type machine struct {
	peak      float64 // flops per second
	bandwidth float64 // bytes per second
}

// limit is the roof over a layer of the given flops and bytes: the least time in seconds that they allow, and whether
// memory sets it.
func (m machine) limit(flops, bytes float64) (seconds float64, memory bool) {
	compute, moving := flops/m.peak, bytes/m.bandwidth
	return max(compute, moving), moving > compute
}

// peak is the flops per second of the set's best kernel of one precision, run from cache.
func peak(set *kernel.Set, bf16 bool) float64 {
	if bf16 && set.MatrixUnit() {
		return matrixPeak(set)
	}
	return tilePeak(set, bf16)
}

// tilePeak runs the largest tile and returns its flops per second, the best of many short measurements.
func tilePeak(set *kernel.Set, bf16 bool) float64 {
	const k, calls = 576, 200
	line := set.MaxVecs * set.Lanes
	t := &kernel.CellTile{Tile: kernel.Tile{A: make([]float32, set.MaxRows*k+kernel.Slack), B: make([]float32, 64*line+kernel.Slack),
		Out: make([]float32, set.MaxRows*line+kernel.Slack), Spans: []kernel.Span{{Last: int32(set.Lanes)}}, BStep: set.Lanes}}
	for r := range set.MaxRows {
		t.ARow[r], t.OutRow[r] = int32(r*k), int32(r*line)
	}
	for i := range k {
		t.K = append(t.K, kernel.Offset{A: int32(i), B: int32(i % 64 * line)})
	}
	flops := 2 * float64(set.MaxRows*line*k*calls)
	if bf16 {
		flops *= 2 // a step is two channels
	}
	return flops / best(func() {
		for range calls {
			if bf16 {
				set.TileBF16(t, set.MaxRows, set.MaxVecs)
			} else {
				set.Tile(&t.Tile, set.MaxRows, set.MaxVecs)
			}
		}
	})
}

// matrixPeak is tilePeak of the matrix unit's largest block.
func matrixPeak(set *kernel.Set) float64 {
	const steps, calls, sides, vecs = 72, 200, 2, 2
	m := kernel.NewMatrix(kernel.MatrixSide)
	const line = vecs * kernel.MatrixSide
	m.A, m.B, m.Out = make([]float32, steps*sides*kernel.MatrixWeights), make([]float32, 8*kernel.MatrixSide*line), make([]float32, kernel.MatrixRows*line)
	m.Spans, m.Stride, m.BStep, m.Rows = []kernel.Span{{Last: kernel.MatrixSide}}, line, kernel.MatrixSide, kernel.MatrixRows
	for r := range m.Rows {
		m.OutRow[r], m.ResRow[r] = int32(r*line), -1
	}
	for i := range steps {
		m.Steps = append(m.Steps, int32(i%8*kernel.MatrixSide*line))
	}
	flops := 2 * float64(kernel.MatrixRows*line*2*kernel.MatrixSide*steps*calls)
	return flops / best(func() {
		for range calls {
			set.RunMatrix(m, sides, vecs)
		}
	})
}

// bandwidth copies a buffer far beyond any cache and returns the bytes read and written per second.
func bandwidth() float64 {
	const size = 256 << 20
	src, dst := make([]byte, size), make([]byte, size)
	for i := 0; i < size; i += 4096 { // pages that were never written share one page of zeros
		src[i], dst[i] = 1, 1
	}
	return 2 * size / best(func() { copy(dst, src) })
}

// best is the shortest time of f in seconds, over a second of repetitions.
func best(f func()) float64 {
	shortest := time.Hour
	for start := time.Now(); time.Since(start) < time.Second; {
		at := time.Now()
		f()
		shortest = min(shortest, time.Since(at))
	}
	return shortest.Seconds()
}
