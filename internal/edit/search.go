package edit

import (
	"context"
	"fmt"
	"math"
	"slices"

	"coar/internal/fault"
)

// Measurement is what the model does with the first K components of the ranking ablated.
type Measurement struct {
	K            int       `json:"k"`
	Margins      []float64 `json:"target_margins"` // logits, one per target
	TargetsRight int       `json:"targets_right"`  // how many targets are classified correctly
	// Choosing is the accuracy on the choosing set. A measure function may leave its Total 0 where the goal is missed,
	// to save the passes: such a K is not acceptable whatever its accuracy.
	Choosing Accuracy `json:"choosing"`
}

// Goal says whether the targets are where the user wants them.
type Goal func(Measurement) bool

// Measure ablates the first k components of the ranking and measures.
type Measure func(ctx context.Context, k int) (Measurement, error)

// Limits bounds a search.
type Limits struct {
	// Candidates is the length of the ranking: no larger k exists.
	Candidates int
	// MaxDrop is the most that accuracy on the choosing set may fall, as a fraction (0.005 is half a point).
	MaxDrop float64
}

// Affordable reports whether accuracy on the choosing set falls by at most MaxDrop. It compares counts, so that a drop of
// exactly MaxDrop is allowed whatever the rounding.
func (l Limits) Affordable(intact, after Accuracy) bool {
	lost := float64(intact.Correct - after.Correct)
	return lost <= l.MaxDrop*float64(after.Total)+1e-9
}

// Outcome is what a search measured and what it settled on.
type Outcome struct {
	Found  bool
	Chosen Measurement   // the acceptable measurement, where Found
	Curve  []Measurement // everything measured, k = 0 first, ascending in k
}

const (
	exhaustive = 64   // every k up to here is measured
	growth     = 1.25 // then k grows by this factor
)

// Search finds the smallest prefix of the ranking that it can that reaches the goal
// without costing more than MaxDrop of the accuracy on the choosing set.
//
// It measures k = 0, then every k up to 64, then k growing by a quarter, and stops at the first acceptable one;
// beyond 64 it then bisects between that k and the last one measured before it.
// A k that reaches the goal but costs too much accuracy is not acceptable, and the search goes on.
//
// The effect of ablating more is not monotone in k. What holds is this: the k returned was measured and is acceptable;
// up to 64 no smaller k is acceptable; beyond 64 k-1 was measured and is not acceptable, nor is any smaller k that was measured,
// but a smaller acceptable k between two measured ones may exist. Found false means that no measured k is acceptable.
// If the intact model reaches the goal, K is 0.
//
// Cost: at most 65 measurements, and beyond k = 64 about ten more for each tenfold growth and log2(k) for the bisection.
// Errors: those of measure, ctx.Err(), and fault.Usage for a MaxDrop that is not in [0, 1];
// the outcome returned with an error holds what had been measured.
func Search(ctx context.Context, limits Limits, measure Measure, goal Goal) (Outcome, error) {
	if !(limits.MaxDrop >= 0 && limits.MaxDrop <= 1) {
		return Outcome{}, fault.Usagef("edit: --max-drop %v is not a fraction between 0 and 1", limits.MaxDrop)
	}
	s := &search{limits: limits, measure: measure, goal: goal}
	err := s.run(ctx)
	slices.SortFunc(s.outcome.Curve, func(a, b Measurement) int { return a.K - b.K })
	return s.outcome, err
}

type search struct {
	limits  Limits
	measure Measure
	goal    Goal
	intact  Measurement
	outcome Outcome
}

func (s *search) run(ctx context.Context) error {
	for k := 0; k <= min(exhaustive, s.limits.Candidates); k++ {
		if ok, err := s.try(ctx, k); ok || err != nil {
			return err
		}
	}
	for below, k := exhaustive, exhaustive; k < s.limits.Candidates; below = k {
		k = min(int(math.Ceil(float64(k)*growth)), s.limits.Candidates)
		ok, err := s.try(ctx, k)
		if err != nil {
			return err
		}
		if ok {
			return s.bisect(ctx, below, k)
		}
	}
	return nil
}

// bisect narrows an unacceptable k below an acceptable one until they are neighbours.
func (s *search) bisect(ctx context.Context, unacceptable, acceptable int) error {
	for acceptable-unacceptable > 1 {
		middle := unacceptable + (acceptable-unacceptable)/2
		ok, err := s.try(ctx, middle)
		if err != nil {
			return err
		}
		if ok {
			acceptable = middle
		} else {
			unacceptable = middle
		}
	}
	return nil
}

// try measures k and records it, as the chosen one if it is acceptable.
func (s *search) try(ctx context.Context, k int) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	m, err := s.measure(ctx, k)
	if err != nil {
		return false, fmt.Errorf("edit: measure with %d components ablated: %w", k, err)
	}
	m.K = k
	if k == 0 {
		s.intact = m
	}
	s.outcome.Curve = append(s.outcome.Curve, m)
	if !s.goal(m) {
		return false, nil
	}
	if m.Choosing.Total != s.intact.Choosing.Total {
		return false, fmt.Errorf("edit: with %d components ablated the choosing set had %d examples, with none %d",
			k, m.Choosing.Total, s.intact.Choosing.Total)
	}
	if !s.limits.Affordable(s.intact.Choosing, m.Choosing) {
		return false, nil
	}
	s.outcome.Found, s.outcome.Chosen = true, m
	return true, nil
}
