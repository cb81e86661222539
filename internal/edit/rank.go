package edit

import (
	"fmt"
	"math"
	"slices"

	"coar/internal/fault"
)

// Direction says which way the target margins have to move.
type Direction int

const (
	// Raise asks for higher target margins: ablate the components with the lowest scores.
	Raise Direction = iota
	// Lower asks for lower target margins: ablate the components with the highest scores.
	Lower
)

func (d Direction) String() string {
	if d == Lower {
		return "lower"
	}
	return "raise"
}

// Attributions reads the theta of a fitted run, one example at a time.
type Attributions struct {
	NExamples, NComponents int
	// Row writes the attributions of one example, in logits, to theta, which has NComponents entries.
	Row func(example int, theta []float32) error
}

// Candidate is a component whose ablation should move the targets as wanted.
type Candidate struct {
	Component int
	Score     float64
}

// Ranking is the order in which components are ablated, best first.
type Ranking struct {
	Direction  Direction
	Candidates []Candidate // only components whose score has the sign that Direction needs
	Epsilon    float64     // logits; what keeps the denominator of the scores from vanishing
	References []int       // the references used: those asked for, without the targets and without repeats
}

// Prefix returns the components of the first k candidates, in ranking order; k is at most len(r.Candidates).
func (r Ranking) Prefix(k int) []int {
	components := make([]int, k)
	for i, c := range r.Candidates[:k] {
		components[i] = c.Component
	}
	return components
}

// Rank scores every component and orders those that can move the targets in the wanted direction.
//
// Score: s_c = (mean_T θ_c − mean_R θ_c) / sqrt(var_T/|T| + var_R/|R| + ε²), population variances,
// ε as described at epsilon. 0/0 scores 0. Ties go by component number.
// Targets never count as references. Examples are numbered as in the run.
// Cost: each row is read once, and up to three times more where θ is so sparse that ε needs the median of |θ|;
// 5 float64 per component of memory.
// Errors: fault.Usage for an empty set or an example outside the run, fault.Malformed for a θ that is not finite.
func Rank(a Attributions, targets, references []int, direction Direction) (Ranking, error) {
	targets = distinct(targets)
	references = Without(references, targets)
	if len(targets) == 0 {
		return Ranking{}, fault.Usagef("edit: no target example; choose at least one example of the run")
	}
	if len(references) == 0 {
		return Ranking{}, fault.Usagef("edit: no reference example is left once the targets are taken out; choose others")
	}
	target, err := momentsOf(a, targets)
	if err != nil {
		return Ranking{}, err
	}
	reference, err := momentsOf(a, references)
	if err != nil {
		return Ranking{}, err
	}
	eps, err := epsilon(a, reference, slices.Concat(targets, references))
	if err != nil {
		return Ranking{}, err
	}
	r := Ranking{Direction: direction, Epsilon: eps, References: references}
	for c := range a.NComponents {
		s := score(target, reference, c, eps)
		if direction == Raise && s < 0 || direction == Lower && s > 0 {
			r.Candidates = append(r.Candidates, Candidate{Component: c, Score: s})
		}
	}
	slices.SortFunc(r.Candidates, func(a, b Candidate) int {
		// Best is the largest magnitude, all candidates having the same sign.
		switch x, y := math.Abs(a.Score), math.Abs(b.Score); {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return a.Component - b.Component
	})
	return r, nil
}

// score is the standardised difference of component c between targets and references.
func score(target, reference moments, c int, eps float64) float64 {
	difference := target.mean[c] - reference.mean[c]
	if difference == 0 {
		return 0
	}
	return difference / math.Sqrt(target.varianceOfMean(c)+reference.varianceOfMean(c)+eps*eps)
}

// moments holds, per component, the mean of θ over a set of examples and the sum of squared deviations from it.
type moments struct {
	n           int
	mean, sqsum []float64
}

// varianceOfMean returns the population variance of component c divided by the number of examples.
func (m moments) varianceOfMean(c int) float64 {
	return m.sqsum[c] / float64(m.n) / float64(m.n)
}

// momentsOf accumulates mean and squared deviations in one pass (Welford), so that equal values give exactly zero.
func momentsOf(a Attributions, examples []int) (moments, error) {
	m := moments{mean: make([]float64, a.NComponents), sqsum: make([]float64, a.NComponents)}
	err := a.each(examples, func(theta []float32) {
		m.n++
		for c, v := range theta {
			delta := float64(v) - m.mean[c]
			m.mean[c] += delta / float64(m.n)
			m.sqsum[c] += delta * (float64(v) - m.mean[c])
		}
	})
	return m, err
}

// each calls visit with the attributions of every example; theta is valid during the call only.
func (a Attributions) each(examples []int, visit func(theta []float32)) error {
	theta := make([]float32, a.NComponents)
	for _, example := range examples {
		if example < 0 || example >= a.NExamples {
			return fault.Usagef("edit: example %d is not in the run, which has %d examples", example, a.NExamples)
		}
		if err := a.Row(example, theta); err != nil {
			return fmt.Errorf("edit: read attributions of example %d: %w", example, err)
		}
		for c, v := range theta {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				return fault.InFile("", "edit: attribution of example %d, component %d is not finite; fit the run again", example, c)
			}
		}
		visit(theta)
	}
	return nil
}
