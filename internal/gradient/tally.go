package gradient

import (
	"fmt"
	"slices"
)

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
	roles [][]Role   // [nRows][nComponents]
	open  []*Partial // [nExamples] while an example is being measured
	done  func(example int, s Sums) error
}

// Partial is what the first rows say of an example of which others are still to come, exactly.
type Partial struct {
	Sum, SumSq, KeptSum []float64 // [nComponents]
	Margins             []float32 // [rows so far]
}

// NewTally makes a tally of rows with these roles, [nRows][nComponents]. It calls done, from the visiting goroutine, when an
// example has had all rows.
//
// Memory: 24 bytes per component for every example between its first row and its last.
func NewTally(roles [][]Role, nExamples int, done func(example int, s Sums) error) *Tally {
	return &Tally{roles: roles, open: make([]*Partial, nExamples), done: done}
}

// Resume goes on from what the first rows said of an example, before any of its rows is visited.
func (t *Tally) Resume(example int, s Partial) { t.open[example] = s.clone() }

// Partial is what the rows so far say of an example, nil before the first and after the last. Not to be called while the example
// is visited.
func (t *Tally) Partial(example int) *Partial {
	if s := t.open[example]; s != nil {
		return s.clone()
	}
	return nil
}

func (s *Partial) clone() *Partial {
	return &Partial{slices.Clone(s.Sum), slices.Clone(s.SumSq), slices.Clone(s.KeptSum), slices.Clone(s.Margins)}
}

// Visit takes in one row of one example: its margin and its derivatives [nComponents].
func (t *Tally) Visit(row, example int, margin float32, gradient []float32) error {
	s, p := t.open[example], len(gradient)
	if s == nil {
		s = &Partial{make([]float64, p), make([]float64, p), make([]float64, p), make([]float32, 0, len(t.roles))}
		t.open[example] = s
	}
	if row != len(s.Margins) || p != len(t.roles[row]) {
		return fmt.Errorf("gradient: example %d: row %d with %d derivatives came after %d rows", example, row, p, len(s.Margins))
	}
	s.Margins = append(s.Margins, margin)
	for c, role := range t.roles[row] {
		v := float64(gradient[c])
		switch role {
		case Softened:
			s.Sum[c] += v
			s.SumSq[c] += v * v
		case Kept:
			s.KeptSum[c] += v
		}
	}
	if len(s.Margins) < len(t.roles) {
		return nil
	}
	t.open[example] = nil
	return t.done(example, Sums{single(s.Sum), single(s.SumSq), single(s.KeptSum), s.Margins})
}

func single(v []float64) []float32 {
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = float32(x)
	}
	return out
}
