package ablate

import (
	"math"

	"coar/internal/fault"
)

// SoftSampler draws softened rows: each component's keep value is 1 with probability 1-2·Fraction and uniform on (0,1)
// otherwise, so that on average the share Fraction of every component is ablated.
//
// A row is a pure function of (Seed, row, component, Fraction): component c is softened where its word of purpose Gradient,
// drawn as Sampler draws, is below 2·Fraction·2³². Its value is then the odd multiple of 2⁻²⁴ that the upper 23 bits v of
// its word of purpose GradientValue name, (2v+1)·2⁻²⁴: never 0, never 1, of mean 1/2. So 0 < keep < 1 says that a
// component is softened.
type SoftSampler struct {
	Seed     uint64
	Fraction float64
}

// Check refuses fractions that cannot be reached by softening.
func (s SoftSampler) Check() error {
	if !(s.Fraction > 0 && s.Fraction <= 0.5) {
		return fault.Usagef("--fraction %v: gradient rows want a number above 0 and up to 0.5; --gradients 0 does without them", s.Fraction)
	}
	return nil
}

// Row writes the keep values of row r.
func (s SoftSampler) Row(r int, keep []float32) {
	threshold := uint64(math.Round(2 * s.Fraction * (1 << 32)))
	key := [2]uint32{uint32(s.Seed), uint32(s.Seed >> 32)}
	for c := 0; c < len(keep); c += 4 {
		counter := [4]uint32{uint32(c / 4), uint32(r), uint32(uint64(r) >> 32), uint32(Gradient)}
		choice := philox(counter, key)
		counter[3] = uint32(GradientValue)
		value := philox(counter, key)
		for i, part := 0, keep[c:min(c+4, len(keep))]; i < len(part); i++ {
			part[i] = 1
			if uint64(choice[i]) < threshold {
				part[i] = float32(2*(value[i]>>9)+1) / (1 << 24)
			}
		}
	}
}

// Softened reports whether a keep value is one that is differentiated.
func Softened(keep float32) bool { return keep > 0 && keep < 1 }
