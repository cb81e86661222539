package main

import "time"

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
