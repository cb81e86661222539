package ablate

import (
	"math"
	"slices"
	"testing"
)

// The known-answer vectors of the Random123 distribution (kat_vectors, philox4x32-10).
func TestPhiloxKnownAnswers(t *testing.T) {
	for _, c := range []struct {
		counter [4]uint32
		key     [2]uint32
		want    [4]uint32
	}{
		{[4]uint32{}, [2]uint32{}, [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{[4]uint32{^uint32(0), ^uint32(0), ^uint32(0), ^uint32(0)}, [2]uint32{^uint32(0), ^uint32(0)}, [4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{[4]uint32{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, [2]uint32{0xa4093822, 0x299f31d0}, [4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
	} {
		if got := philox(c.counter, c.key); got != c.want {
			t.Errorf("philox(%x, %x) = %x, want %x", c.counter, c.key, got, c.want)
		}
	}
}

func TestRowsHaveTheFractionAndDiffer(t *testing.T) {
	const p, rows = 1003, 400
	s := Sampler{Seed: 7, Purpose: Train, Fraction: 0.1}
	ablated := 0
	seen := map[string]bool{}
	row := make([]byte, p)
	for r := range rows {
		s.Row(r, row)
		for _, k := range row {
			ablated += int(1 - k)
		}
		seen[string(row)] = true
	}
	mean, sigma := float64(ablated)/(p*rows), math.Sqrt(0.1*0.9/(p*rows))
	if math.Abs(mean-0.1) > 5*sigma {
		t.Errorf("ablated fraction %g, want 0.1 within %g", mean, 5*sigma)
	}
	if len(seen) != rows {
		t.Errorf("%d distinct rows of %d", len(seen), rows)
	}
}

func TestPurposesNeverShareRows(t *testing.T) {
	a, b := make([]byte, 100), make([]byte, 100)
	for r := range 50 {
		Sampler{Seed: 1, Purpose: Train, Fraction: 0.3}.Row(r, a)
		for q := range 50 {
			Sampler{Seed: 1, Purpose: Evaluate, Fraction: 0.3}.Row(q, b)
			if slices.Equal(a, b) {
				t.Fatalf("training row %d equals evaluation row %d", r, q)
			}
		}
	}
}
