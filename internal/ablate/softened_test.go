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
	mean, second := sum/float64(n), squares/float64(n) // closer than for independent values
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

// In a block of rows every component is softened once where 1/(2·Fraction) is whole, and hardly ever not elsewhere.
func TestSoftenedRowsAreBalanced(t *testing.T) {
	const p, blocks = 200, 30
	for _, test := range []struct {
		fraction float64
		block    int
		share    float64
	}{{0.05, 10, 1}, {0.1, 5, 1}, {0.25, 2, 1}, {0.5, 1, 1}, {0.15, 3, 0.9}, {0.3, 1, 0.6}, {0.0125, 40, 1}} {
		s := SoftSampler{Seed: 2, Fraction: test.fraction}
		row, softened := make([]float32, p), 0
		perRow := make([]int, test.block) // over all blocks
		for b := range blocks {
			times := make([]int, p)
			for r := range test.block {
				s.Row(b*test.block+r, row)
				for c, k := range row {
					if k > 0 && k < 1 {
						times[c]++
						perRow[r]++
					}
				}
			}
			for c, n := range times {
				if softened += n; n > 1 || test.share == 1 && n != 1 {
					t.Fatalf("fraction %v, block %d: component %d is softened %d times", test.fraction, b, c, n)
				}
			}
		}
		n := float64(p * blocks)
		if share := float64(softened) / n; math.Abs(share-test.share) > 5*math.Sqrt(test.share*(1-test.share)/n)+1e-9 {
			t.Errorf("fraction %v: softened with probability %v in a block, want %v", test.fraction, share, test.share)
		}
		for r, k := range perRow {
			q := test.share / float64(test.block)
			if math.Abs(float64(k)-n*q) > 5*math.Sqrt(n*q*(1-q))+1e-9 {
				t.Errorf("fraction %v: row %d of the blocks softens %d, want about %.0f", test.fraction, r, k, n*q)
			}
		}
	}
}

// A component's values cover (0,1) evenly: of any n in a row, no gap is far above 1/n.
func TestSoftenedValuesHaveLowDiscrepancy(t *testing.T) {
	const p, n = 20, 40
	s := SoftSampler{Seed: 4, Fraction: 0.5}
	values, row := make([][]float32, p), make([]float32, p)
	for r := range n {
		s.Row(r, row)
		for c, k := range row {
			values[c] = append(values[c], k)
		}
	}
	for c, v := range values {
		slices.Sort(v)
		last := float32(0)
		for _, k := range append(v, 1) {
			if k-last > 2.7/n {
				t.Errorf("component %d: no value between %v and %v", c, last, k)
			}
			last = k
		}
	}
}

// The bits that FORMAT.md promises, computed here once more from its text.
func TestSoftenedRowBits(t *testing.T) {
	s := SoftSampler{Seed: 0x0123456789abcdef, Fraction: 0.15} // blocks of 3
	key := [2]uint32{0x89abcdef, 0x01234567}
	row := make([]float32, 9)
	for r := range 12 {
		s.Row(r, row)
		j := uint32(r / 3)
		for c, k := range row {
			at := func(low, high, purpose uint32) uint64 {
				return uint64(philox([4]uint32{uint32(c / 4), low, high, purpose}, key)[c%4])
			}
			want := 1.0
			if at(j, 0, 1)*3>>32 == uint64(r%3) && float64(at(j, 0, 3)) < math.Round(0.9*(1<<32)) {
				o := at(math.MaxUint32, math.MaxUint32, 3)
				want = float64(2*((o<<32+uint64(j)*0x9E3779B97F4A7C15)>>41)+1) / (1 << 24)
			}
			if float64(k) != want {
				t.Errorf("row %d, component %d: keep %v, want %v", r, c, k, want)
			}
		}
	}
	if err := (SoftSampler{Fraction: 0.51}).Check(); err == nil {
		t.Error("fraction 0.51 accepted")
	}
}
