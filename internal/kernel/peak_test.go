package kernel

import "testing"

// A rate is positive and finite for every set and precision.
func TestPeak(t *testing.T) {
	for _, set := range Available() {
		if gflops := set.Peak(false, 0) / 1e9; !(gflops > 0.01 && gflops < 1e5) {
			t.Errorf("%s: %g GFLOPS", set.Name, gflops)
		}
	}
	for _, set := range AvailableBF16() {
		if gflops := set.Peak(true, 0) / 1e9; !(gflops > 0.01 && gflops < 1e5) {
			t.Errorf("%s, bfloat16: %g GFLOPS", set.Name, gflops)
		}
	}
}
