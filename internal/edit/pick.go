package edit

import (
	"math/bits"
	"math/rand/v2"
	"slices"
)

const (
	// DefaultReferences is how many eligible examples of the run References draws.
	DefaultReferences = 50
	// DefaultChoosing is the most examples that Choosing draws.
	DefaultChoosing = 1000
	// DefaultHoldout is the most examples that Holdout draws.
	DefaultHoldout = 10000
	// FewestToClaim is the smallest set whose accuracies are evidence of anything.
	FewestToClaim = 200
)

// Streams of the generator, so that the three draws of one seed have nothing to do with each other.
const (
	streamReferences = 1
	streamChoosing   = 2
	streamHoldout    = 3
)

// References draws up to DefaultReferences examples of the run that are eligible and are no targets.
// eligible tells, for every example of the run, whether it was fitted and the intact model classifies it correctly.
// The result is in ascending order and a pure function of the arguments.
func References(eligible []bool, targets []int, seed uint64) []int {
	var pool []int
	for example, ok := range eligible {
		if ok {
			pool = append(pool, example)
		}
	}
	return draw(Without(pool, targets), DefaultReferences, seed, streamReferences)
}

// Choosing draws the dataset positions on which side effects are measured while k is being chosen:
// up to DefaultChoosing of the nDataset examples outside targets and references,
// but never more than half of what is left, so that as many remain for Holdout.
// The result is in ascending order and a pure function of the arguments.
func Choosing(nDataset int, targets, references []int, seed uint64) []int {
	pool := Without(positions(nDataset), targets, references)
	return draw(pool, min(DefaultChoosing, len(pool)/2), seed, streamChoosing)
}

// Holdout draws the dataset positions on which the chosen edit is measured once:
// up to DefaultHoldout of the nDataset examples outside targets, references and the choosing set.
// The result is in ascending order and a pure function of the arguments.
func Holdout(nDataset int, targets, references, choosing []int, seed uint64) []int {
	return draw(Without(positions(nDataset), targets, references, choosing), DefaultHoldout, seed, streamHoldout)
}

// Without returns the distinct members of set that are in none of the excluded sets, in ascending order.
func Without(set []int, excluded ...[]int) []int {
	out := make(map[int]bool)
	for _, e := range excluded {
		for _, v := range e {
			out[v] = true
		}
	}
	return slices.DeleteFunc(distinct(set), func(v int) bool { return out[v] })
}

// distinct returns the members of set once each, in ascending order.
func distinct(set []int) []int {
	sorted := slices.Clone(set)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}

func positions(n int) []int {
	all := make([]int, max(n, 0))
	for i := range all {
		all[i] = i
	}
	return all
}

// draw shuffles n members of pool to its front (Fisher-Yates over PCG(seed, stream)) and returns them in ascending order.
func draw(pool []int, n int, seed, stream uint64) []int {
	n = min(n, len(pool))
	generator := rand.NewPCG(seed, stream)
	for i := range n {
		// The high half of a 64 x 64 bit product is uniform over [0, len-i) to within 2^-64 times its size.
		j, _ := bits.Mul64(generator.Uint64(), uint64(len(pool)-i))
		pool[i], pool[i+int(j)] = pool[i+int(j)], pool[i]
	}
	chosen := slices.Clone(pool[:n])
	slices.Sort(chosen)
	return chosen
}
