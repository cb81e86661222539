package ablate

import (
	"math"
	"slices"
	"testing"
)

// The law of a softened row: who is softened, the values' first two moments, and that none lies at an end.
func TestSoftenedRowsFollowTheirLaw(t *testing.T) {
	const p, rows, fraction = 1001, 400, 0.05
	s := SoftSampler{Seed: 9, Fraction: fraction}
	var n int
	var sum, squares float64
	row := make([]float32, p)
	for r := range rows {
		s.Row(r, row)
		for c, k := range row {
			if !(k > 0 && k <= 1) {
				t.Fatalf("row %d, component %d: keep %v", r, c, k)
			}
			if k < 1 {
				n++
				sum += float64(k)
				squares += float64(k) * float64(k)
			}
		}
	}
	share, sigma := float64(n)/(p*rows), math.Sqrt(2*fraction*(1-2*fraction)/(p*rows))
	if math.Abs(share-2*fraction) > 5*sigma {
		t.Errorf("%g softened, want %g within %g", share, 2*fraction, 5*sigma)
	}
	mean, second := sum/float64(n), squares/float64(n)
	if math.Abs(mean-0.5) > 5*math.Sqrt(1.0/12/float64(n)) || math.Abs(second-1.0/3) > 5*math.Sqrt(4.0/45/float64(n)) {
		t.Errorf("softened values have mean %g and mean square %g, want 1/2 and 1/3", mean, second)
	}
}

// A row is a function of its number: not of the width asked for, nor of the rows drawn before.
func TestSoftenedRowIsAFunctionOfItsNumber(t *testing.T) {
	s := SoftSampler{Seed: 1 << 40, Fraction: 0.3}
	long, short, other := make([]float32, 37), make([]float32, 10), make([]float32, 37)
	s.Row(5, long)
	s.Row(5, short)
	s.Row(6, other)
	if !slices.Equal(long[:10], short) {
		t.Error("a shorter row differs from the beginning of a longer one")
	}
	if slices.Equal(long, other) {
		t.Error("rows 5 and 6 are equal")
	}
	SoftSampler{Seed: 1, Fraction: 0.3}.Row(5, other)
	if slices.Equal(long, other) {
		t.Error("two seeds give one row")
	}
}

// The bits that FORMAT.md promises, computed here once more from its text.
func TestSoftenedRowBits(t *testing.T) {
	s := SoftSampler{Seed: 0x0123456789abcdef, Fraction: 0.25}
	row := make([]float32, 9)
	s.Row(3, row)
	for c, k := range row {
		key := [2]uint32{0x89abcdef, 0x01234567}
		u := philox([4]uint32{uint32(c / 4), 3, 0, 1}, key)[c%4]
		v := philox([4]uint32{uint32(c / 4), 3, 0, 3}, key)[c%4]
		want := 1.0
		if u < 1<<31 {
			want = (2*math.Floor(float64(v)/512) + 1) / (1 << 24)
		}
		if float64(k) != want {
			t.Errorf("component %d: keep %v, want %v", c, k, want)
		}
	}
	if err := (SoftSampler{Fraction: 0.51}).Check(); err == nil {
		t.Error("fraction 0.51 accepted")
	}
}
