package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"coar/internal/fault"
	"coar/internal/margin"
	"coar/internal/store"
	"coar/internal/study"
)

// doAblate creates or resumes the run and measures what is missing.
func doAblate(ctx context.Context, cmd *cobra.Command, o *ablateOptions) (*ablateReport, error) {
	out, err := o.adopt()
	if err != nil {
		return nil, err
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	resources, err := o.resources.parse()
	if err != nil {
		return nil, err
	}
	s, err := study.OpenSubject(o.inputs, resources)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if err := out.Check(s.Model.Classes); err != nil {
		return nil, err
	}
	for _, warning := range s.Warnings() {
		slog.Warn(warning)
	}
	rows, err := o.rowSource(s.Model.Components())
	if err != nil {
		return nil, err
	}
	defer rows.close()
	if rows.file != nil {
		o.fraction = rows.fraction // the run's, and so that of the gradient rows
	}
	soft, err := o.softSource(s.Model.Components(), s.Model.Heads)
	if err != nil {
		return nil, err
	}
	defer soft.close()
	manifest, err := o.manifest(ctx, s, rows, soft)
	if err != nil {
		return nil, err
	}
	run, err := store.Prepare(o.run, manifest, o.allowISA)
	if err != nil {
		return nil, err
	}
	defer run.Close()
	correct, err := measureIntact(ctx, cmd, o.globals, run, s, out)
	if err != nil {
		return nil, err
	}
	m := run.Manifest()
	report := &ablateReport{Run: o.run, Arch: m.Arch, Components: m.NComponents(), Groups: m.Groups, Examples: m.NExamples(), Correct: correct,
		Accuracy: float64(correct) / float64(m.NExamples()), Rows: m.Masks, Output: m.Output, Precision: m.Precision, InstructionSet: s.Engine.Set.Name,
		GradientRows: m.GradientRows()}
	hard, err := newHardWork(run, s, out, rows)
	if err != nil {
		return nil, err
	}
	gradients, err := o.openGradients(run, s, out, soft)
	if err != nil {
		return nil, err
	}
	defer gradients.save.drop()
	return report, o.work(ctx, cmd, run, hard, gradients, report)
}

// work measures what is missing, having said what it will cost, and seals the run.
func (o *ablateOptions) work(ctx context.Context, cmd *cobra.Command, run *store.Run, hard *hardWork, gradients *gradientWork, report *ablateReport) error {
	report.RowsMeasured, report.GradientMargins = len(hard.todo), gradients.left()
	var err error
	if report.Estimate, err = estimate(ctx, hard, gradients, o.most); err != nil {
		return err
	}
	if report.Estimate != nil && !o.json {
		fmt.Fprintln(o.out(cmd), report.Estimate)
	}
	if err := hard.measure(ctx, cmd, o.globals); err != nil {
		return err
	}
	if report.Seconds = hard.spent.Seconds(); hard.spent > 0 {
		report.PerSecond = float64(report.RowsMeasured*report.Examples) / report.Seconds
	}
	start := time.Now()
	if o.until > 0 {
		before := gradients
		if gradients, report.Until, err = o.grow(ctx, cmd, run, gradients); err != nil {
			return err
		}
		report.GradientMargins += gradients.rowsAfter(before) * report.Examples
		m := run.Manifest()
		report.GradientRows = m.GradientRows()
	} else if err := gradients.measure(ctx, cmd, o.globals); err != nil {
		return err
	}
	report.GradientSeconds = time.Since(start).Seconds()
	return run.Seal(append(append(run.Files(), gradients.files()...), store.BaseMarginsName, store.BasePredictionsName)...)
}

// measureIntact writes the unablated outputs and predictions if one of them is not there, and counts the right predictions.
func measureIntact(ctx context.Context, cmd *cobra.Command, g *globals, run *store.Run, s *study.Subject, out margin.Output) (correct int, err error) {
	m := run.Manifest()
	n := m.NExamples()
	_, err = store.ReadFloat32(run.Path(), store.BaseMarginsName, n)
	var predictions []int32
	if err == nil {
		predictions, err = study.IntactPredictions(run.Path(), &m)
	}
	if fault.KindOf(err) == fault.Missing || errors.Is(err, fs.ErrNotExist) { // not yet, or no longer: it is no other then
		bar := g.newProgress(cmd.ErrOrStderr(), "intact model", 0, n)
		var outputs []float32
		outputs, predictions, err = s.Intact(ctx, m.Positions, out, bar.add)
		bar.finish()
		if err != nil {
			return 0, err
		}
		if err := run.WriteFloat32(store.BaseMarginsName, outputs, n); err != nil {
			return 0, err
		}
		err = run.WriteInt32(store.BasePredictionsName, predictions, n)
	}
	if err != nil {
		return 0, err
	}
	for i, p := range predictions {
		if int(p) == m.Labels[i] {
			correct++
		}
	}
	return correct, nil
}

// hardWork measures a run's rows of zeros and ones.
type hardWork struct {
	run    *store.Run
	s      *study.Subject
	out    margin.Output
	source *rowSource
	rows   *store.Rows
	todo   []int
	spent  time.Duration
}

func newHardWork(run *store.Run, s *study.Subject, out margin.Output, source *rowSource) (*hardWork, error) {
	rows, err := run.Rows()
	if err != nil {
		return nil, err
	}
	h := &hardWork{run: run, s: s, out: out, source: source, rows: rows, todo: missing(rows.Completed())}
	if len(h.todo) > 0 {
		err = source.ready()
	}
	return h, err
}

// measure measures what is left.
func (h *hardWork) measure(ctx context.Context, cmd *cobra.Command, g *globals) error {
	if len(h.todo) == 0 {
		return nil
	}
	bar := g.newProgress(cmd.ErrOrStderr(), "rows", h.rows.NRows()-len(h.todo), h.rows.NRows())
	defer bar.finish()
	return h.measureFirst(ctx, len(h.todo), bar)
}

// measureFirst measures and commits the first n of the rows that are left.
func (h *hardWork) measureFirst(ctx context.Context, n int, bar *progress) error {
	todo := h.todo[:n]
	h.todo = h.todo[n:]
	start := time.Now()
	defer func() { h.spent += time.Since(start) }()
	return h.s.Engine.Measure(ctx, h.s.Examples(h.run.Manifest().Positions), h.out, todo, h.source.row, func(first int, keep []byte, margins []float32) error {
		if err := h.rows.Commit(first, keep, margins); err != nil {
			return err
		}
		bar.add(len(keep) / h.rows.NComponents())
		return nil
	})
}
