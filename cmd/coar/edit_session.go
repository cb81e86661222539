package main

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"

	"coar/internal/edit"
	"coar/internal/fault"
	"coar/internal/margin"
	"coar/internal/store"
	"coar/internal/study"
)

// session is an edit in progress: the run's model, and who is watched.
type session struct {
	*editOptions
	manifest   store.Manifest
	subject    *study.Subject
	theta      *study.Attributions
	output     margin.Output
	target     int // in the run
	references []int
	choosing   []int // dataset positions
	holdout    []int
	ranking    edit.Ranking
}

// checkOutput refuses a run that measured another class's logit: raising that would work against the target.
func (s *session) checkOutput() error {
	class, ok := s.output.Class()
	if label := s.manifest.Labels[s.target]; ok && class != label {
		return fault.Conflictf("%s has --output %s, the logit of %s, but example %s is to become %s; coar ablate with --output margin makes a run that can be edited, in another directory",
			s.run, s.output, study.ClassName(&s.manifest, class), s.fix, study.ClassName(&s.manifest, label))
	}
	return nil
}

// pickReferences chooses the run's examples that should not move, and refuses a target that is right already. Only examples
// that were fitted have attributions to compare.
func (s *session) pickReferences() error {
	members, err := study.Members(s.run, &s.manifest)
	if err != nil {
		return err
	}
	if members.Right == nil {
		return fault.Missingf("%s has no predictions of the intact model; coar ablate makes them", s.run)
	}
	if members.Right[s.target] {
		return fault.Usagef("example %s is classified correctly (%s); --fix takes a misclassified one", s.fix, study.ClassName(&s.manifest, s.manifest.Labels[s.target]))
	}
	if !s.theta.Fitted(s.target) {
		return fault.Missingf("example %s was left out of the fit; coar fit without --examples fits all", s.fix)
	}
	if s.reference == "" {
		eligible := make([]bool, len(members.Right))
		for i, right := range members.Right {
			eligible[i] = right && s.theta.Fitted(i)
		}
		s.references = edit.References(eligible, []int{s.target}, s.seed)
	} else {
		picked, err := members.Select(s.reference)
		if err != nil {
			return fmt.Errorf("--reference: %w", err)
		}
		s.references = edit.Without(picked, []int{s.target})
		for _, i := range s.references {
			if !s.theta.Fitted(i) {
				return fault.Missingf("--reference: example %s was left out of the fit; choose others, or coar fit without --examples fits all", members.ID(i))
			}
		}
	}
	if len(s.references) == 0 {
		return fault.Usagef("no reference example is left beside the target; --reference chooses some")
	}
	return nil
}

// pickWatched chooses the choosing and the hold-out set among the data's examples.
func (s *session) pickWatched(ctx context.Context) error {
	n := s.subject.Source.Len()
	targets, references := s.positions([]int{s.target}), s.positions(s.references)
	var err error
	if s.choose == "" {
		s.choosing = edit.Choosing(n, targets, references, s.seed)
	} else if s.choosing, err = s.subject.Select(ctx, s.choose); err != nil {
		return fmt.Errorf("--choose: %w", err)
	}
	s.choosing = edit.Without(s.choosing, targets, references)
	if len(s.choosing) == 0 {
		slog.Warn("no example is left for the choosing set, so --max-drop restricts nothing; --choose or fewer references leave some")
	}
	if s.editOptions.holdout == "" {
		s.holdout = edit.Holdout(n, targets, references, s.choosing, s.seed)
	} else if s.holdout, err = s.subject.Select(ctx, s.editOptions.holdout); err != nil {
		return fmt.Errorf("--holdout: %w", err)
	}
	s.holdout = edit.Without(s.holdout, targets, references, s.choosing)
	return nil
}

// positions maps the run's examples to dataset positions.
func (s *session) positions(examples []int) []int {
	out := make([]int, len(examples))
	for i, e := range examples {
		out[i] = s.manifest.Positions[e]
	}
	return out
}

// rank orders the components whose ablation should raise the target's margin.
func (s *session) rank() error {
	var err error
	s.ranking, err = edit.Rank(edit.Attributions{NExamples: s.theta.NExamples, NComponents: s.theta.NComponents, Row: s.theta.Row}, []int{s.target}, s.references, edit.Raise)
	if err == nil && len(s.ranking.Candidates) == 0 {
		return fmt.Errorf("no component speaks more against %s than against the references; more rows would tell them apart", s.fix)
	}
	return err
}

// answers are what the model says of one set of examples.
type answers struct {
	outputs     []float32
	predictions []int
	correct     edit.Accuracy
}

// under measures examples at the given dataset positions with the first k components of the ranking ablated.
func (s *session) under(ctx context.Context, k int, positions []int) (answers, error) {
	ex := s.subject.Examples(positions)
	a := answers{outputs: make([]float32, ex.Len()), predictions: make([]int, ex.Len())}
	ablated := s.ranking.Prefix(k)
	rows := func(_ int, keep []float32) {
		for c := range keep {
			keep[c] = 1
		}
		for _, c := range ablated {
			keep[c] = 0
		}
	}
	err := s.subject.Engine.Each(ctx, ex, 1, rows, func(_, i int, logits []float32) error {
		a.outputs[i], a.predictions[i] = s.output.Of(logits, ex.Label(i)), margin.Prediction(logits)
		return nil
	})
	a.correct.Total = ex.Len()
	for i, p := range a.predictions {
		if p == ex.Label(i) {
			a.correct.Correct++
		}
	}
	return a, err
}

// search measures prefixes of the ranking: all that --max-drop allows, or just the k that was asked for.
func (s *session) search(ctx context.Context) (edit.Outcome, error) {
	target := s.positions([]int{s.target})
	measure := func(ctx context.Context, k int) (edit.Measurement, error) {
		a, err := s.under(ctx, k, target)
		if err != nil {
			return edit.Measurement{}, err
		}
		m := edit.Measurement{K: k, Margins: []float64{float64(a.outputs[0])}, TargetsRight: a.correct.Correct}
		if k == 0 || m.TargetsRight > 0 || s.k != "auto" {
			watched, err := s.under(ctx, k, s.choosing)
			m.Choosing = watched.correct
			return m, err
		}
		return m, nil
	}
	right := func(m edit.Measurement) bool { return m.TargetsRight == 1 }
	if s.k == "auto" {
		o, err := edit.Search(ctx, edit.Limits{Candidates: len(s.ranking.Candidates), MaxDrop: s.maxDrop}, measure, right)
		if err != nil || !o.Found {
			return o, err
		}
		err = s.lookBeyond(ctx, &o, measure)
		return o, err
	}
	k, err := strconv.Atoi(s.k)
	if err != nil || k > len(s.ranking.Candidates) {
		return edit.Outcome{}, fault.Usagef("-k %s: only %s can be ablated in the example's favour", s.k, components(len(s.ranking.Candidates)))
	}
	var o edit.Outcome
	for _, k := range []int{0, k} {
		m, err := measure(ctx, k)
		if err != nil {
			return o, err
		}
		o.Curve, o.Chosen = append(o.Curve, m), m
	}
	o.Found = right(o.Chosen)
	return o, nil
}

// lookBeyond measures some k beyond the chosen one, so that the curve shows whether more would have helped or hurt.
func (s *session) lookBeyond(ctx context.Context, o *edit.Outcome, measure edit.Measure) error {
	last := o.Curve[len(o.Curve)-1].K
	for k := last + 1; k <= min(max(2*o.Chosen.K, 8), last+16, len(s.ranking.Candidates)); k++ {
		m, err := measure(ctx, k)
		if err != nil {
			return err
		}
		o.Curve = append(o.Curve, m)
	}
	return nil
}

// record measures the chosen edit on the hold-out set and writes everything down.
func (s *session) record(ctx context.Context, o edit.Outcome) (*edit.Record, error) {
	m := &s.manifest
	label := study.ClassName(m, m.Labels[s.target])
	r := &edit.Record{Name: s.name, Goal: fmt.Sprintf("fix %s: classified as %s", s.fix, label), Direction: edit.Raise.String(), Found: o.Found, Epsilon: s.ranking.Epsilon,
		MaxDrop: s.maxDrop, Seed: s.seed, Curve: o.Curve, Components: []edit.Component{}}
	r.References = edit.NewSet(described(s.reference, "fitted run examples that the intact model has right, drawn by seed"), s.positions(s.references))
	r.Choosing.Set = edit.NewSet(described(s.choose, "examples of the data outside targets and references, drawn by seed"), s.choosing)
	r.Holdout.Set = edit.NewSet(described(s.editOptions.holdout, "examples of the data outside targets, references and choosing set, drawn by seed"), s.holdout)
	if o.Found {
		r.K = o.Chosen.K
	}
	for i, c := range s.ranking.Prefix(r.K) {
		key, row := study.Locate(modelGroups(m), c)
		r.Components = append(r.Components, edit.Component{Component: c, Key: key, Row: row, Score: s.ranking.Candidates[i].Score})
	}
	inRun := map[int]bool{}
	for _, p := range m.Positions {
		inRun[p] = true
	}
	var outside []int
	for _, set := range []struct {
		positions []int
		effect    *edit.Effect
	}{{s.choosing, &r.Choosing}, {s.holdout, &r.Holdout}} {
		before, err := s.under(ctx, 0, set.positions)
		if err != nil {
			return nil, err
		}
		after := before
		if r.K > 0 {
			if after, err = s.under(ctx, r.K, set.positions); err != nil {
				return nil, err
			}
		}
		set.effect.Before, set.effect.After = before.correct, after.correct
		for i, p := range set.positions {
			if !inRun[p] {
				outside = append(outside, p)
				count(&r.OutsideRun.Before, before.predictions[i] == s.subject.Source.Label(p))
				count(&r.OutsideRun.After, after.predictions[i] == s.subject.Source.Label(p))
			}
		}
	}
	r.OutsideRun.Set = edit.NewSet("choosing and hold-out examples that are not in the run", edit.Without(outside))
	before, err := s.under(ctx, 0, s.positions([]int{s.target}))
	if err != nil {
		return nil, err
	}
	after, err := s.under(ctx, r.K, s.positions([]int{s.target}))
	if err != nil {
		return nil, err
	}
	r.Targets = []edit.Target{{ID: s.fix, Label: label, MarginBefore: float64(before.outputs[0]), MarginAfter: float64(after.outputs[0]),
		PredictedBefore: study.ClassName(m, before.predictions[0]), PredictedAfter: study.ClassName(m, after.predictions[0])}}
	r.Settle()
	return r, nil
}

func described(selection, otherwise string) string {
	if selection != "" {
		return selection
	}
	return otherwise
}

func count(a *edit.Accuracy, correct bool) {
	a.Total++
	if correct {
		a.Correct++
	}
}
