package ablate

import (
	"math"

	"coar/internal/fault"
)

// SoftSampler draws softened rows: keep values of 1 for most components and between 0 and 1 for some, so that on average
// the share Fraction of every component is ablated.
//
// Rows come in blocks of B = ⌊1/(2·Fraction)⌋. In every block a component is softened in one row, drawn for it alone, with
// probability 2·Fraction·B (which is 1 or nearly so), and kept in the others: so all components are softened about equally
// often, in rows that look like independent draws. Its values follow a sequence of low discrepancy from block to block, so
// that they cover (0,1) evenly, too.
//
// A row is a pure function of (Seed, row, component, Fraction). With block j = row / B, u the component's word of purpose
// Gradient at row j, and v that of purpose GradientValue, drawn as Sampler draws, the component is softened where
// row mod B = ⌊u·B/2³²⌋ and v < 2·Fraction·B·2³². Its keep value there is (2k+1)·2⁻²⁴, k the upper 23 bits of
// o·2³² + j·0x9E3779B97F4A7C15 mod 2⁶⁴, o its word of purpose GradientValue at row 2⁶⁴-1: never 0, never 1. So
// 0 < keep < 1 says that a component is softened.
type SoftSampler struct {
	Seed     uint64
	Fraction float64
}

// goldenRatio is 2⁶⁴ divided by the golden ratio: its multiples are spread evenly modulo 2⁶⁴.
const goldenRatio = 0x9E3779B97F4A7C15

// Check refuses fractions that cannot be reached by softening.
func (s SoftSampler) Check() error {
	if !(s.Fraction > 0 && s.Fraction <= 0.5) {
		return fault.Usagef("--fraction %v: gradient rows want a number above 0 and up to 0.5; --gradients 0 does without them", s.Fraction)
	}
	return nil
}

// block is the number of rows among which every component is softened once.
func (s SoftSampler) block() uint64 {
	return max(1, uint64(min(math.Floor(1/(2*s.Fraction)+1e-9), math.MaxUint32)))
}

// Row writes the keep values of row r.
func (s SoftSampler) Row(r int, keep []float32) {
	b := s.block()
	j, slot := uint64(r)/b, uint64(r)%b
	threshold := uint64(math.Round(2 * s.Fraction * float64(b) * (1 << 32)))
	for c := 0; c < len(keep); c += 4 {
		place := s.words(c, j, Gradient)
		var chance, offset [4]uint32 // drawn where they are needed
		drawn := false
		for i, part := 0, keep[c:min(c+4, len(keep))]; i < len(part); i++ {
			part[i] = 1
			if uint64(place[i])*b>>32 != slot {
				continue
			}
			if !drawn {
				chance, offset, drawn = s.words(c, j, GradientValue), s.words(c, math.MaxUint64, GradientValue), true
			}
			if uint64(chance[i]) < threshold {
				k := (uint64(offset[i])<<32 + j*goldenRatio) >> 41
				part[i] = float32(2*k+1) / (1 << 24)
			}
		}
	}
}

// words are the random words of four components from c on.
func (s SoftSampler) words(c int, row uint64, purpose Purpose) [4]uint32 {
	return philox([4]uint32{uint32(c / 4), uint32(row), uint32(row >> 32), uint32(purpose)}, [2]uint32{uint32(s.Seed), uint32(s.Seed >> 32)})
}
