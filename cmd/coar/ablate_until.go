package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"coar/internal/fault"
	"coar/internal/store"
	"coar/internal/study"
)

const (
	untilHardRows = 200   // that the correlation is measured on, where --masks does not say
	untilFirst    = 25    // gradient rows before the first look
	untilMost     = 3200  // gradient rows, where --gradients does not say
	untilGrowth   = 0.005 // correlation that a doubling of the gradient rows must add
)

// untilReport says how --until went.
type untilReport struct {
	Target  float64     `json:"target"`
	Stopped string      `json:"stopped"` // reached, levelled off or limit
	Steps   []untilStep `json:"steps"`
}

// untilStep is one look at the gradient attributions.
type untilStep struct {
	GradientRows int     `json:"gradient_rows"`
	Correlation  float64 `json:"correlation"` // mean over examples, on the hard rows, which the attributions have not seen
}

// checkUntil refuses what cannot go together with --until, and settles the rows that it starts with.
func (o *ablateOptions) checkUntil() error {
	if !o.given("until") {
		return nil
	}
	switch {
	case !(o.until > 0 && o.until < 1):
		return fault.Usagef("--until %v: want a correlation between 0 and 1", o.until)
	case o.masksFile != "":
		return fault.Usagef("--until and --masks-file exclude each other: a file's rows do not grow")
	case o.given("gradients") && o.gradients < 1:
		return fault.Usagef("--until adds gradient rows; --gradients %d allows none", o.gradients)
	}
	if !o.given("masks") && (!o.resumed() || o.masks == 0) {
		o.masks = untilHardRows
	}
	if o.masks < 20 {
		return fault.Usagef("--until measures the correlation on the run's hard rows; --masks %d are too few, want 20 or more", o.masks)
	}
	o.most = untilMost
	if o.given("gradients") {
		o.most = o.gradients
	}
	return nil
}

// firstGradients is the number of gradient rows that --until begins with.
func (o *ablateOptions) firstGradients() int { return min(untilFirst, o.most) }

// grow adds gradient rows, doubling them, until they predict the hard rows with the correlation asked for, a doubling adds
// too little, or there are as many as allowed.
func (o *ablateOptions) grow(ctx context.Context, cmd *cobra.Command, run *store.Run, gradients *gradientWork) (*gradientWork, *untilReport, error) {
	report := &untilReport{Target: o.until}
	for {
		if err := gradients.measure(ctx, cmd, o.globals); err != nil {
			return nil, nil, err
		}
		m := run.Manifest()
		if err := report.look(ctx, o.run, &m); err != nil {
			return nil, nil, err
		}
		step := report.Steps[len(report.Steps)-1]
		if !o.json {
			fmt.Fprintf(o.out(cmd), "%d gradient rows: correlation %.3f on %d rows that they have not seen\n", step.GradientRows, step.Correlation, m.Masks)
		}
		if report.Stopped = report.stop(o.most); report.Stopped != "" {
			return gradients, report, nil
		}
		if err := run.AddGradients(min(2*step.GradientRows, o.most)); err != nil {
			return nil, nil, err
		}
		var err error
		if gradients, err = o.openGradients(run, gradients.s, gradients.out, gradients.soft); err != nil {
			return nil, nil, err
		}
	}
}

// look adds a step for each lot of gradient rows that has none yet. The first look at a run that goes on so repeats its
// earlier ones, and stops where they would have.
func (r *untilReport) look(ctx context.Context, run string, m *store.Manifest) error {
	for _, lot := range m.GradientLots()[len(r.Steps):] {
		rows := lot.First + lot.Rows
		rho, err := priorCorrelation(ctx, run, m, rows)
		if err != nil {
			return err
		}
		r.Steps = append(r.Steps, untilStep{rows, rho})
	}
	return nil
}

// stop says why to stop after the last step, nothing to go on.
func (r *untilReport) stop(most int) string {
	n := len(r.Steps)
	last := r.Steps[n-1]
	switch {
	case last.Correlation >= r.Target:
		return "reached"
	case n > 1 && last.GradientRows >= 2*r.Steps[n-2].GradientRows && last.Correlation-r.Steps[n-2].Correlation < untilGrowth:
		return "levelled off"
	case last.GradientRows >= most:
		return "limit"
	}
	return ""
}

// priorCorrelation is the mean over examples of the correlation, over the run's hard rows, of measured margins and those
// that the attributions of the first gradient rows predict.
func priorCorrelation(ctx context.Context, dir string, m *store.Manifest, rows int) (float64, error) {
	arrays, err := store.OpenArrays(dir, m.Split)
	if err != nil {
		return 0, err
	}
	defer arrays.Close()
	prior, err := study.OpenFirstPrior(ctx, dir, m, rows)
	if err != nil {
		return 0, err
	}
	if prior == nil {
		return 0, fmt.Errorf("ablate: %s has no complete gradient rows", dir)
	}
	defer prior.Close()
	dataset := &study.PriorDataset{ComponentDataset: study.NewComponentDataset(arrays, nil), Prior: prior}
	sum := 0.0
	err = dataset.Alone(ctx, func(_ int, s study.PriorScore) error { sum += s.Correlation; return nil })
	return sum / float64(m.NExamples()), err
}
