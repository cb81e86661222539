package main

import "testing"

func TestRoughly(t *testing.T) {
	for _, test := range []struct {
		x    float64
		want string
	}{{7.14, "7.1"}, {0.318, "0.32"}, {99.6, "100"}, {14759, "15000"}, {71, "71"}, {1, "1.0"}} {
		if got := roughly(test.x); got != test.want {
			t.Errorf("%g: %s, want %s", test.x, got, test.want)
		}
	}
}
