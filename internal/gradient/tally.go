package gradient

import "fmt"

// Sums are what all gradient rows say of one example. Squares and sums are taken in float64, row by row, and rounded once.
type Sums struct {
	Sum, SumSq []float32 // [nComponents] of the derivatives, and of their squares, over the rows that soften a component
	Margins    []float32 // [nRows] logits
}

// Tally adds up the gradients of examples that are measured at the same time. Visit may be called concurrently for
// different examples; all rows of one example come in ascending order from one goroutine.
type Tally struct {
	nRows, nComponents int
	open               []*openSums // [nExamples] while an example is being measured
	done               func(example int, s Sums) error
}

// openSums are the sums of an example of which rows are still to come.
type openSums struct {
	sum, sumSq []float64
	margins    []float32
}

// NewTally makes a tally that calls done, from the visiting goroutine, when an example has had all rows.
//
// Memory: 16 bytes per component for every example between its first row and its last.
func NewTally(nRows, nComponents, nExamples int, done func(example int, s Sums) error) *Tally {
	return &Tally{nRows: nRows, nComponents: nComponents, open: make([]*openSums, nExamples), done: done}
}

// Visit takes in one row of one example: its margin and its derivatives [nComponents], 0 where a component is not softened.
func (t *Tally) Visit(row, example int, margin float32, gradient []float32) error {
	s := t.open[example]
	if s == nil {
		s = &openSums{make([]float64, t.nComponents), make([]float64, t.nComponents), make([]float32, 0, t.nRows)}
		t.open[example] = s
	}
	if row != len(s.margins) || len(gradient) != t.nComponents {
		return fmt.Errorf("gradient: example %d: row %d of %d derivatives came after %d rows of %d", example, row, len(gradient), len(s.margins), t.nComponents)
	}
	s.margins = append(s.margins, margin)
	for c, g := range gradient {
		if g != 0 {
			v := float64(g)
			s.sum[c] += v
			s.sumSq[c] += v * v
		}
	}
	if len(s.margins) < t.nRows {
		return nil
	}
	t.open[example] = nil
	return t.done(example, Sums{single(s.sum), single(s.sumSq), s.margins})
}

func single(v []float64) []float32 {
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = float32(x)
	}
	return out
}
