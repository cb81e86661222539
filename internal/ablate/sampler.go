// Package ablate draws keep-rows and measures what a model does under them.
package ablate

import (
	"math"

	"coar/internal/fault"
)

// Purpose separates the streams of rows: no two purposes ever share one, whatever their seeds.
type Purpose uint32

// The purposes a row can have. Their numbers are part of the file format.
const (
	Train         Purpose = 0
	Gradient      Purpose = 1 // which components a gradient row softens
	Evaluate      Purpose = 2
	GradientValue Purpose = 3 // what it softens them to
)

// Sampler draws rows of keep values: each component is ablated independently with probability Fraction.
//
// A row is a pure function of (Seed, Purpose, row, component, Fraction): Philox4x32-10 with key Seed and
// counter (component/4, row, Purpose); a component is ablated where its 32-bit word is below Fraction·2³².
// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
type Sampler struct {
	Seed     uint64
	Purpose  Purpose
	Fraction float64
}

// Check refuses fractions outside (0, 1).
func (s Sampler) Check() error {
	if !(s.Fraction > 0 && s.Fraction < 1) {
		return fault.Usagef("--fraction %v: want a number between 0 and 1, such as 0.1", s.Fraction)
	}
	return nil
}

// Row writes row r: keep[c] is 1 where component c is kept, 0 where it is ablated.
func (s Sampler) Row(r int, keep []byte) {
	threshold := uint64(math.Round(s.Fraction * (1 << 32)))
	key := [2]uint32{uint32(s.Seed), uint32(s.Seed >> 32)}
	for c := 0; c < len(keep); c += 4 {
		words := philox([4]uint32{uint32(c / 4), uint32(r), uint32(uint64(r) >> 32), uint32(s.Purpose)}, key)
		for i, part := 0, keep[c:min(c+4, len(keep))]; i < len(part); i++ {
			part[i] = 1
			if uint64(words[i]) < threshold {
				part[i] = 0
			}
		}
	}
}

// philox is Philox4x32 with ten rounds.
func philox(x [4]uint32, key [2]uint32) [4]uint32 {
	for range 10 {
		a, b := uint64(x[0])*0xD2511F53, uint64(x[2])*0xCD9E8D57
		x = [4]uint32{uint32(b>>32) ^ x[1] ^ key[0], uint32(b), uint32(a>>32) ^ x[3] ^ key[1], uint32(a)}
		key[0] += 0x9E3779B9
		key[1] += 0xBB67AE85
	}
	return x
}
