package main

import (
	"testing"

	"coar/internal/fault"
)

func TestParseMemory(t *testing.T) {
	for s, want := range map[string]int64{"4GB": 4e9, "512mb": 512e6, "1.5GiB": 3 << 29, "4 GB": 4e9, "2T": 2e12, ".5GB": 5e8, "100": 100, "1B": 1, "0.5KiB": 512} {
		if got, err := parseMemory(s); got != want || err != nil {
			t.Errorf("%s: %d bytes, %v; want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "GB", "0", "0GB", "0.5B", "0.9", "4GB 5", "4_0MB", "4XB", "-4GB", "+4GB", "4.GB", "1.2.3GB", "1e9", "0x10", "Inf", "NaN", "4GB\n", "5000000TB", "4\u017fB"} {
		if got, err := parseMemory(s); fault.KindOf(err) != fault.Usage {
			t.Errorf("%q: %d bytes, %v; want a usage error", s, got, err)
		}
	}
}
