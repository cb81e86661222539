package main

import (
	"testing"
	"time"
)

func TestSettled(t *testing.T) {
	for _, c := range []struct {
		name string
		ends []int // in milliseconds
		want float64
	}{
		{"one worker, which compiles first", []int{50, 60, 70, 80}, 10},
		{"two workers, side by side", []int{50, 50, 60, 60}, 5},
		{"the second compiles until the first has done half", []int{50, 60, 70, 80, 90, 100, 100, 110}, 7.5},
		{"stopped at once", []int{50}, 0},
		{"stopped before anything ended", nil, 0},
	} {
		ends := make([]time.Time, len(c.ends))
		for i, ms := range c.ends {
			ends[i] = time.UnixMilli(int64(ms))
		}
		if got := settled(ends).Seconds() * 1e3; got != c.want {
			t.Errorf("%s: %g ms, want %g", c.name, got, c.want)
		}
	}
}
