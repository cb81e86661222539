package gradient

import "fmt"

// Role is what a gradient row does with a component.
type Role byte

// The roles. A component that a row ablates, or softens to 0, says nothing that is used.
const (
	Unused   Role = iota
	Softened      // 0 < keep < 1
	Kept          // keep = 1, in one of the first KeptRows rows
)

// KeptRows is the number of rows, the first ones, whose derivatives by kept components are used. Each row has many more of
// those than of softened ones, so that their mean is soon known well enough, and they cost time.
const KeptRows = 40

// Roles returns what the row of this number with these keep values does with each component.
func Roles(row int, keep []float32) []Role {
	roles := make([]Role, len(keep))
	for c, k := range keep {
		switch {
		case k == 1 && row < KeptRows:
			roles[c] = Kept
		case k == 1:
		case k > 0:
			roles[c] = Softened
		}
	}
	return roles
}

// Sums are what all gradient rows say of one example. They are taken in float64, row by row, and rounded once.
type Sums struct {
	Sum, SumSq []float32 // [nComponents] of the derivatives, and of their squares, over the rows that soften a component
	KeptSum    []float32 // [nComponents] of the derivatives over those of the first KeptRows that keep it
	Margins    []float32 // [nRows] logits
}

// Tally adds up the gradients of examples that are measured at the same time. Visit may be called concurrently for
// different examples; all rows of one example come in ascending order, one after the other.
type Tally struct {
	roles [][]Role    // [nRows][nComponents]
	open  []*openSums // [nExamples] while an example is being measured
	done  func(example int, s Sums) error
}

// openSums are the sums of an example of which rows are still to come.
type openSums struct {
	sum, sumSq, keptSum []float64
	margins             []float32
}

// NewTally makes a tally of rows with these roles, [nRows][nComponents]. It calls done, from the visiting goroutine, when an
// example has had all rows.
//
// Memory: 24 bytes per component for every example between its first row and its last.
func NewTally(roles [][]Role, nExamples int, done func(example int, s Sums) error) *Tally {
	return &Tally{roles: roles, open: make([]*openSums, nExamples), done: done}
}

// Visit takes in one row of one example: its margin and its derivatives [nComponents].
func (t *Tally) Visit(row, example int, margin float32, gradient []float32) error {
	s, p := t.open[example], len(gradient)
	if s == nil {
		s = &openSums{make([]float64, p), make([]float64, p), make([]float64, p), make([]float32, 0, len(t.roles))}
		t.open[example] = s
	}
	if row != len(s.margins) || p != len(t.roles[row]) {
		return fmt.Errorf("gradient: example %d: row %d with %d derivatives came after %d rows", example, row, p, len(s.margins))
	}
	s.margins = append(s.margins, margin)
	for c, role := range t.roles[row] {
		v := float64(gradient[c])
		switch role {
		case Softened:
			s.sum[c] += v
			s.sumSq[c] += v * v
		case Kept:
			s.keptSum[c] += v
		}
	}
	if len(s.margins) < len(t.roles) {
		return nil
	}
	t.open[example] = nil
	return t.done(example, Sums{single(s.sum), single(s.sumSq), single(s.keptSum), s.margins})
}

func single(v []float64) []float32 {
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = float32(x)
	}
	return out
}
