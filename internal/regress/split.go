package regress

import (
	"cmp"
	"math"
	"slices"
)

// split says which rows are fitted while λ is chosen and which are held out; both lists ascend.
type split struct {
	train, held []int
}

// HeldRows lists the rows that Fit holds out under these options, ascending.
func HeldRows(nRows int, opts Options) []int {
	return splitRows(nRows, opts.ValFraction, opts.Seed).held
}

// splitRows holds out about fraction of the rows, those whose hash under seed is smallest.
//
// At least two rows stay on either side, if there are four, unless fraction is 0. The hash of a row does not depend on nRows,
// so most rows keep their side when a study is extended.
func splitRows(nRows int, fraction float64, seed uint64) split {
	order := make([]int, nRows)
	for i := range order {
		order[i] = i
	}
	if fraction == 0 {
		return split{train: order}
	}
	hash := make([]uint64, nRows)
	for i := range hash {
		hash[i] = splitmix64(seed ^ splitmix64(uint64(i)))
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(hash[a], hash[b]), cmp.Compare(a, b))
	})
	nHeld := max(min(max(int(math.Round(fraction*float64(nRows))), 2), nRows-2), 0)
	s := split{held: order[:nHeld], train: order[nHeld:]}
	slices.Sort(s.held)
	slices.Sort(s.train)
	return s
}

// splitmix64 is the output function of Steele, Lea and Flood's generator (OOPSLA 2014).
func splitmix64(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
