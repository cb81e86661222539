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

// peak runs the largest tile from cache and returns its flops per second, the best of many short measurements.
func peak(set *kernel.Set) float64 {
	const k, calls = 576, 200
	line := set.MaxVecs * set.Lanes
	t := &kernel.Tile{A: make([]float32, set.MaxRows*k+kernel.Slack), B: make([]float32, 64*line+kernel.Slack),
		Out: make([]float32, set.MaxRows*line+kernel.Slack), Spans: []kernel.Span{{Last: int32(set.Lanes)}}, BStep: set.Lanes}
	for r := range set.MaxRows {
		t.ARow[r], t.OutRow[r] = int32(r*k), int32(r*line)
	}
	for i := range k {
		t.K = append(t.K, kernel.Offset{A: int32(i), B: int32(i % 64 * line)})
	}
	flops := 2 * float64(set.MaxRows*line*k*calls)
	return flops / best(func() {
		for range calls {
			set.Tile(t, set.MaxRows, set.MaxVecs)
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
