package main

import (
	"context"
	"fmt"
	"image"
	"io"
	"log/slog"
	"path"
	"slices"

	"github.com/spf13/cobra"

	"coar/internal/ablate"
	"coar/internal/evaluate"
	"coar/internal/fault"
	"coar/internal/margin"
	"coar/internal/report"
	"coar/internal/store"
	"coar/internal/study"
)

// evaluateOptions are the flags of coar evaluate.
type evaluateOptions struct {
	*globals
	run       string
	fractions []float64
	rows      int
	seed      uint64
	moved     study.Relocation
	resources resourceFlags
}

func newEvaluate(g *globals) *cobra.Command {
	o := &evaluateOptions{globals: g}
	cmd := &cobra.Command{
		Use:   "evaluate RUN",
		Short: "Compare predicted with measured margins on fresh rows",
		Long: `Draws fresh rows, measures the margins under them, and correlates these with what the attributions predict,
example by example. The interval around the mean correlation is a 95 % percentile bootstrap over rows.
Measured rows are kept in RUN/evaluation and used again; results and figures are written beside them.

Where the attributions rest on gradient rows, their cost is compared with that of regressing rows alone, from a learning curve on the
run's own rows, as far as these fit into --memory; what lies beyond its end is marked as extrapolated.`,
		Annotations: map[string]string{goesOn: ""},
		Args:        oneRun,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.run = args[0]
			return runEvaluate(cmd, o)
		},
	}
	f := cmd.Flags()
	f.Float64SliceVar(&o.fractions, "fractions", nil, "fractions to test, such as 0.1,0.05 (default the run's own)")
	f.IntVar(&o.rows, "rows", 500, "fresh rows per fraction")
	f.Uint64Var(&o.seed, "seed", 1, "seed of the fresh rows")
	addRelocation(cmd, &o.moved)
	o.resources.add(cmd)
	return cmd
}

func runEvaluate(cmd *cobra.Command, o *evaluateOptions) error {
	results, err := doEvaluate(cmd, o)
	if err != nil {
		return err
	}
	w := o.out(cmd)
	if o.json {
		return results.WriteJSON(w)
	}
	var rows [][]string
	for _, f := range results.Fractions {
		name := fmt.Sprint(f.Fraction)
		if f.Trained {
			name += "*"
		}
		c := f.Correlation
		rows = append(rows, []string{name, fmt.Sprint(f.Rows), fmt.Sprintf("%.3f", c.Mean), fmt.Sprintf("%.3f to %.3f", c.Low, c.High),
			fmt.Sprintf("%.2f %.2f %.2f", c.Q1, c.Median, c.Q3), fmt.Sprintf("%.3f", f.R2.Pooled), fmt.Sprintf("%.3f", f.CalibrationSlope.Pooled), fmt.Sprint(c.Undefined)})
	}
	if err := table(w, "fraction | rows | correlation | 95 % interval | quartiles | R² | slope | undefined", rows); err != nil {
		return err
	}
	if slices.ContainsFunc(results.Fractions, func(f evaluate.Fraction) bool { return f.Trained }) {
		fmt.Fprintln(w, "* the fraction that the attributions were fitted at")
	}
	if results.Plain != nil {
		fmt.Fprintf(w, "\n%s\n", plainText(results.Plain))
	}
	fmt.Fprintf(w, "\nfigures and tables are in %s\n", path.Join(o.run, "evaluation"))
	return nil
}

func doEvaluate(cmd *cobra.Command, o *evaluateOptions) (*evaluate.Results, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	resources, err := o.resources.parse()
	if err != nil {
		return nil, err
	}
	run, err := store.Open(o.run)
	if err != nil {
		return nil, err
	}
	defer run.Close()
	m := run.Manifest()
	theta, err := study.OpenAttributions(o.run, &m)
	if err != nil {
		return nil, err
	}
	defer theta.Close()
	s, err := study.OpenRun(&m, o.moved, resources)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if len(o.fractions) == 0 && !(m.Fraction > 0 && m.Fraction < 1) {
		return nil, fault.Usagef("the run's own fraction is %g, at which all rows are the same; --fractions says others", m.Fraction)
	}
	if len(o.fractions) == 0 {
		o.fractions = []float64{m.Fraction}
	}
	for _, f := range o.fractions { // all of them, before any is measured
		if err := o.checkFresh(&m, o.sampler(f)); err != nil {
			return nil, err
		}
	}
	if has, now := m.CurrentInstructionSet(), s.Engine.Set.Name; has != now {
		slog.Warn("fresh rows are measured on another instruction set than the run's; margins differ in the last bits", "run", has, "now", now)
	}
	results := &evaluate.Results{}
	var scatter *report.Scatter
	for i, fraction := range o.fractions {
		rows, err := o.measure(cmd, run, s, fraction)
		if err != nil {
			return nil, err
		}
		scored, err := scoreFraction(cmd.Context(), o, &m, theta, rows, fraction, resources.Workers)
		if err != nil {
			return nil, err
		}
		results.Fractions = append(results.Fractions, scored.Fraction)
		if results.Plain == nil {
			if results.Plain, err = comparePlain(cmd.Context(), o, &m, scored, resources.Workers, resources.Memory); err != nil {
				return nil, err
			}
		}
		if i == 0 {
			if scatter, err = scored.scatter(s); err != nil {
				return nil, err
			}
		}
	}
	return results, saveEvaluation(run, results, scatter)
}

// check refuses flags that cannot be meant.
func (o *evaluateOptions) check() error {
	if o.rows < 2 || o.rows > store.MaxRows {
		return fault.Usagef("--rows %d: a correlation wants 2 rows or more, and %d at most", o.rows, store.MaxRows)
	}
	for i, f := range o.fractions {
		if !(f > 0 && f < 1) {
			return fault.Usagef("--fractions %v: want numbers between 0 and 1", f)
		}
		if slices.Contains(o.fractions[:i], f) {
			return fault.Usagef("--fractions has %g twice", f)
		}
	}
	return nil
}

// sampler draws the fresh rows of a fraction.
func (o *evaluateOptions) sampler(fraction float64) ablate.Sampler {
	return ablate.Sampler{Seed: o.seed, Purpose: ablate.Evaluate, Fraction: fraction}
}

// measure measures the fresh rows of one fraction that are not there yet and opens them all for reading.
func (o *evaluateOptions) measure(cmd *cobra.Command, run *store.Run, s *study.Subject, fraction float64) (*store.Arrays, error) {
	m, sampler := run.Manifest(), o.sampler(fraction)
	rows, err := run.EvaluationRows(fraction, o.seed, o.rows)
	if err != nil {
		return nil, err
	}
	out, err := margin.Parse(m.Output)
	if err != nil {
		return nil, err
	}
	todo := slices.DeleteFunc(missing(rows.Completed()), func(r int) bool { return r >= o.rows })
	if len(todo) > 0 {
		bar := o.newProgress(cmd.ErrOrStderr(), fmt.Sprintf("fresh rows at %g", fraction), o.rows-len(todo), o.rows)
		defer bar.finish()
		draw := func(r int, keep []byte) error { sampler.Row(r, keep); return nil }
		err := s.Engine.Measure(cmd.Context(), s.Examples(m.Positions), out, todo, draw, func(first int, keep []byte, margins []float32) error {
			bar.add(len(keep) / rows.NComponents())
			return rows.Commit(first, keep, margins)
		})
		if err != nil {
			return nil, err
		}
	}
	if err := run.Seal(rows.Files()...); err != nil {
		return nil, err
	}
	return store.OpenEvaluationRows(o.run, fraction, o.seed)
}

// checkFresh refuses rows that the run was fitted on. Rows that coar draws never meet: their purpose differs. Rows from
// a file might.
func (o *evaluateOptions) checkFresh(m *store.Manifest, sampler ablate.Sampler) error {
	if m.MasksSHA == "" {
		return nil
	}
	arrays, err := store.OpenArrays(o.run, m.Split)
	if err != nil {
		return err
	}
	defer arrays.Close()
	keep := make([]byte, m.NComponents())
	trained := map[string]int{}
	for _, r := range arrays.CompletedRows() {
		if err := arrays.KeepRow(r, keep); err != nil {
			return err
		}
		trained[string(keep)] = r
	}
	for r := range o.rows {
		sampler.Row(r, keep)
		if t, met := trained[string(keep)]; met {
			return fault.Conflictf("evaluation row %d at fraction %g equals row %d of the run's --masks-file; use another --seed", r, sampler.Fraction, t)
		}
	}
	return nil
}

// scoredFraction is one fraction's scores with the rows that they rest on.
type scoredFraction struct {
	evaluate.Fraction
	rows      evaluate.Rows
	positions []int // in the data source, of the scored examples
	examples  []int // of the run
}

// scoreFraction scores the fitted examples.
func scoreFraction(ctx context.Context, o *evaluateOptions, m *store.Manifest, theta *study.Attributions, arrays *store.Arrays, fraction float64, workers int) (*scoredFraction, error) {
	var fitted []int
	for i := range m.NExamples() {
		if theta.Fitted(i) {
			fitted = append(fitted, i)
		}
	}
	keep, all := make([]byte, m.NComponents()), make([]float32, m.NExamples())
	rows := evaluate.Rows{Fraction: fraction, NRows: o.rows, NComponents: m.NComponents(), NExamples: len(fitted),
		Keep: func(row int, dst []bool) error {
			err := arrays.KeepRow(row, keep)
			for c, k := range keep {
				dst[c] = k == 1
			}
			return err
		},
		Margins: func(row, first int, dst []float32) error {
			err := arrays.Margins([]int{row}, 0, len(all), all)
			for i := range dst {
				dst[i] = all[fitted[first+i]]
			}
			return err
		},
		Attribution: func(i int, dst []float32) error { return theta.Row(fitted[i], dst) },
	}
	s := &scoredFraction{examples: fitted}
	for _, i := range fitted {
		rows.Intercepts = append(rows.Intercepts, theta.Intercepts[i])
		rows.IDs = append(rows.IDs, m.ExampleIDs[i])
		rows.Labels = append(rows.Labels, study.ClassName(m, m.Labels[i]))
		s.positions = append(s.positions, m.Positions[i])
	}
	var err error
	s.rows = rows
	if s.Fraction, err = evaluate.Score(ctx, rows, evaluate.Options{Seed: o.seed, Workers: workers}); err != nil {
		return nil, err
	}
	s.Trained = fraction == m.Fraction
	return s, nil
}

// scatterPanels is how many examples the scatter figure shows.
const scatterPanels = 8

// scatter draws examples from the best predicted to the worst, evenly spaced in between.
func (s *scoredFraction) scatter(subject *study.Subject) (*report.Scatter, error) {
	order := make([]int, len(s.Scores))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case s.Scores[a].Correlation > s.Scores[b].Correlation:
			return -1
		case s.Scores[a].Correlation < s.Scores[b].Correlation:
			return 1
		}
		return 0
	})
	n := min(scatterPanels, len(order))
	f := &report.Scatter{Title: "Predicted and measured margins", Subtitle: fmt.Sprintf("%d fresh rows, %g of the components ablated; %d of %d examples, from the best predicted to the worst", s.Rows, s.Fraction.Fraction, n, len(order))}
	for p := range n {
		i := order[p*(len(order)-1)/max(1, n-1)]
		predicted, measured, err := s.rows.Points(i)
		if err != nil {
			return nil, err
		}
		var picture image.Image
		if picture, err = subject.Source.Picture(s.positions[i]); err != nil {
			return nil, err
		}
		f.Panels = append(f.Panels, report.ScatterPanel{ID: s.rows.IDs[i], Class: s.rows.Labels[i], Correlation: s.Scores[i].Correlation, Image: picture, Predicted: predicted, Measured: measured})
	}
	return f, nil
}

// costName is the figure of what gradients saved.
const costName = "evaluation/cost.png"

// saveEvaluation writes evaluation.json, .csv and the figures, and seals them.
func saveEvaluation(run *store.Run, results *evaluate.Results, scatter *report.Scatter) error {
	bars := report.CorrelationBars{Title: "Mean correlation of predicted and measured margins", Subtitle: "over examples, with a 95 % interval over rows"}
	for _, f := range results.Fractions {
		bars.Groups = append(bars.Groups, report.BarGroup{Fraction: f.Fraction, Trained: f.Trained,
			Bars: []report.Bar{{Method: "COAR", Mean: float64(f.Correlation.Mean), Low: float64(f.Correlation.Low), High: float64(f.Correlation.High)}}})
	}
	type result struct {
		name  string
		write func(io.Writer) error
	}
	files := []result{
		{"evaluation/evaluation.csv", results.WriteCSV},
		{"evaluation/scatter.png", scatter.Figure().WritePNG},
		{"evaluation/correlation.png", bars.Figure().WritePNG},
		{store.EvaluationName, results.WriteJSON},
	}
	if results.Plain != nil {
		files = append([]result{{costName, plainFigure(results.Plain).WritePNG}}, files...)
	} else if err := run.Remove(costName); err != nil { // an earlier evaluation's
		return err
	}
	var names []string
	for _, f := range files {
		if err := run.WriteFile(f.name, f.write); err != nil {
			return err
		}
		names = append(names, f.name)
	}
	return run.Seal(names...)
}
