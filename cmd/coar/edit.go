package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	"github.com/spf13/cobra"

	"coar/internal/edit"
	"coar/internal/fault"
	"coar/internal/margin"
	"coar/internal/report"
	"coar/internal/store"
	"coar/internal/study"
)

// editOptions are the flags of coar edit.
type editOptions struct {
	*globals
	run       string
	fix       string
	reference string
	choose    string
	holdout   string
	k         string
	maxDrop   float64
	name      string
	seed      uint64
	moved     study.Relocation
	resources resourceFlags
}

func newEdit(g *globals) *cobra.Command {
	o := &editOptions{globals: g}
	cmd := &cobra.Command{
		Use:   "edit RUN",
		Short: "Find the few components whose ablation makes a wrong prediction right",
		Long: `Ranks components by how much more they speak against the example than against reference examples, and ablates
the fewest of them that make it right while accuracy on a choosing set falls by at most --max-drop.
The result is measured once on a hold-out set. RUN/edits/NAME receives edit.json, edited.safetensors and curve.png.`,
		Args: oneRun,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.run = args[0]
			return runEdit(cmd, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.fix, "fix", "", "id of a misclassified example of the run")
	f.StringVar(&o.reference, "reference", "", "run examples whose predictions should not move (default 50 that are right)")
	f.StringVar(&o.choose, "choose", "", "examples of the data on which accuracy is watched (default up to 1,000 others)")
	f.StringVar(&o.holdout, "holdout", "", "examples of the data on which the result is measured once (default up to 10,000 others)")
	f.StringVarP(&o.k, "components", "k", "auto", "how many components to ablate; auto searches")
	f.Float64Var(&o.maxDrop, "max-drop", 0.005, "how far accuracy on the choosing set may fall, as a fraction")
	f.StringVar(&o.name, "name", "", "name of the edit (default fix-ID)")
	f.Uint64Var(&o.seed, "seed", 0, "seed of the default example sets")
	f.StringVar(&o.moved.Weights, "weights", "", "where the run's checkpoint is now")
	f.StringVar(&o.moved.Data, "data", "", "where the run's data is now")
	o.resources.add(cmd)
	return cmd
}

func runEdit(cmd *cobra.Command, o *editOptions) error {
	record, err := doEdit(cmd, o)
	if record != nil {
		if o.json {
			if err := record.Write(o.out(cmd)); err != nil {
				return err
			}
		} else {
			printEdit(o.out(cmd), o, record)
		}
	}
	return err
}

func printEdit(w io.Writer, o *editOptions, r *edit.Record) {
	if !r.Found {
		fmt.Fprintf(w, "no k makes %s right within the accuracy allowed; %d values tried\n", o.fix, len(r.Curve))
		return
	}
	t := r.Targets[0]
	fmt.Fprintf(w, "example %s (%s): ablating %s turns %s into %s, margin %+.3f to %+.3f\n", t.ID, t.Label, components(r.K), t.PredictedBefore, t.PredictedAfter, t.MarginBefore, t.MarginAfter)
	for _, c := range r.Components {
		fmt.Fprintf(w, "  %s row %d\n", c.Key, c.Row)
	}
	for _, e := range []struct {
		name string
		edit.Effect
	}{{"on the choosing set", r.Choosing}, {"on the hold-out set", r.Holdout}, {"outside the run", r.OutsideRun}} {
		if e.Before.Total > 0 {
			fmt.Fprintf(w, "accuracy %-19s  %s before, %s after\n", e.name, percent(e.Before.Correct, e.Before.Total), percent(e.After.Correct, e.After.Total))
		}
	}
	if r.Note != "" {
		fmt.Fprintln(w, r.Note)
	}
	fmt.Fprintf(w, "%s holds edited.safetensors, edit.json and curve.png\n", filepath.Join(o.run, "edits", r.Name))
}

// components counts them in words.
func components(k int) string {
	if k == 1 {
		return "1 component"
	}
	return fmt.Sprintf("%d components", k)
}

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

func doEdit(cmd *cobra.Command, o *editOptions) (*edit.Record, error) {
	resources, err := o.resources.parse()
	if err != nil {
		return nil, err
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	folder, err := store.EditPath(o.name)
	if err != nil {
		return nil, err
	}
	run, err := store.Open(o.run)
	if err != nil {
		return nil, err
	}
	defer run.Close()
	s := &session{editOptions: o, manifest: run.Manifest()}
	if s.output, err = margin.Parse(s.manifest.Output); err != nil {
		return nil, err
	}
	if s.target, err = study.FindExample(&s.manifest, o.fix); err != nil {
		return nil, err
	}
	if s.theta, err = study.OpenAttributions(o.run, &s.manifest); err != nil {
		return nil, err
	}
	defer s.theta.Close()
	if err := s.pickReferences(); err != nil {
		return nil, err
	}
	if s.subject, err = study.OpenRun(&s.manifest, o.moved, resources); err != nil {
		return nil, err
	}
	defer s.subject.Close()
	ctx := cmd.Context()
	if err := s.pickWatched(ctx); err != nil {
		return nil, err
	}
	if err := s.rank(); err != nil {
		return nil, err
	}
	outcome, err := s.search(ctx)
	if err != nil {
		return nil, err
	}
	record, err := s.record(ctx, outcome)
	if err != nil {
		return nil, err
	}
	if err := s.save(run, folder, record, outcome); err != nil {
		return nil, err
	}
	if !outcome.Found && s.k != "auto" {
		return record, fmt.Errorf("ablating %s components does not make %s right; %s has what was measured", s.k, o.fix, filepath.Join(o.run, folder))
	}
	if !outcome.Found {
		return record, fmt.Errorf("no number of components makes %s right while accuracy on the choosing set falls by at most %g; %s has the curve", o.fix, o.maxDrop, filepath.Join(o.run, folder))
	}
	return record, nil
}

var notInName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

func (o *editOptions) check() error {
	if o.fix == "" {
		return fault.Usagef("--fix is missing: the id of the example to make right")
	}
	if o.k != "auto" {
		if k, err := strconv.Atoi(o.k); err != nil || k < 1 {
			return fault.Usagef("-k %q: want auto or a whole number from 1 on", o.k)
		}
	}
	if !(o.maxDrop >= 0 && o.maxDrop <= 1) {
		return fault.Usagef("--max-drop %v: want a fraction from 0 to 1, such as 0.005", o.maxDrop)
	}
	if o.name == "" {
		o.name = "fix-" + notInName.ReplaceAllString(o.fix, "-")
	}
	return nil
}

// pickReferences chooses the run's examples that should not move, and refuses a target that is right already.
func (s *session) pickReferences() error {
	members := study.Members(s.run, &s.manifest)
	if members.Right == nil {
		return fault.Missingf("%s has no predictions of the intact model; coar ablate makes them", s.run)
	}
	if members.Right[s.target] {
		return fault.Usagef("example %s is classified correctly (%s); --fix takes a misclassified one", s.fix, study.ClassName(&s.manifest, s.manifest.Labels[s.target]))
	}
	if s.reference == "" {
		s.references = edit.References(members.Right, []int{s.target}, s.seed)
	} else {
		picked, err := members.Select(s.reference)
		if err != nil {
			return fmt.Errorf("--reference: %w", err)
		}
		s.references = edit.Without(picked, []int{s.target})
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
		return edit.Outcome{}, fault.Usagef("-k %s: only %d components speak against the example", s.k, len(s.ranking.Candidates))
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
	r.References = edit.NewSet(described(s.reference, "run examples that the intact model has right, drawn by seed"), s.positions(s.references))
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

// save writes the edit's files; the checkpoint only where a k was found.
func (s *session) save(run *store.Run, folder string, r *edit.Record, o edit.Outcome) error {
	if err := os.MkdirAll(filepath.Join(run.Path(), filepath.FromSlash(folder)), 0o777); err != nil {
		return fmt.Errorf("edit: %w", err)
	}
	base := o.Curve[0].Choosing.Value()
	curve := report.EditCurve{Title: fmt.Sprintf("Fixing example %s (%s)", s.fix, r.Targets[0].Label), Subtitle: "the first k components of the ranking ablated", Chosen: -1, Floor: base - s.maxDrop}
	if o.Found {
		curve.Chosen = r.K
	}
	for _, m := range o.Curve {
		p := report.EditPoint{K: m.K, Margins: m.Margins, Accuracy: math.NaN()}
		if m.Choosing.Total > 0 {
			p.Accuracy = m.Choosing.Value()
		}
		curve.Points = append(curve.Points, p)
	}
	checkpoint := folder + "/edited.safetensors"
	if err := run.Remove(checkpoint); err != nil { // of an earlier edit of this name, which edit.json will not describe
		return err
	}
	names := []string{folder + "/edit.json", folder + "/curve.png"}
	if err := run.WriteFile(names[0], r.Write); err != nil {
		return err
	}
	if err := run.WriteFile(names[1], curve.Figure().WritePNG); err != nil {
		return err
	}
	if o.Found {
		zero := map[string][]int{}
		for _, c := range r.Components {
			zero[c.Key] = append(zero[c.Key], c.Row)
		}
		if err := s.subject.File.WriteEdited(filepath.Join(run.Path(), filepath.FromSlash(checkpoint)), zero, s.subject.Model.Aliases); err != nil {
			return err
		}
		names = append(names, checkpoint)
	}
	return run.Seal(names...)
}
