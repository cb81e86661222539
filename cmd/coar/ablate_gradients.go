package main

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"coar/internal/ablate"
	"coar/internal/fault"
	"coar/internal/gradient"
	"coar/internal/margin"
	"coar/internal/store"
	"coar/internal/study"
)

// defaultGradients is the rule for gradient rows where --gradients is not given: a fifth of the hard rows, from 50 to 200.
func defaultGradients(masks int) int { return max(50, min(200, masks/5)) }

// gradientWork measures a run's gradient rows.
type gradientWork struct {
	run  *store.Run
	s    *study.Subject
	out  margin.Output
	soft *softSource
	save *gradientFile // nil: none
	lots []*store.Gradients
}

// openGradients opens the lots of gradient rows that the run is to have.
func (o *ablateOptions) openGradients(run *store.Run, s *study.Subject, out margin.Output, soft *softSource) (*gradientWork, error) {
	g := &gradientWork{run: run, s: s, out: out, soft: soft}
	var err error
	if g.lots, err = run.Gradients(g.describe); err != nil {
		return nil, err
	}
	if o.saveGradients == "" {
		return g, nil
	}
	m := run.Manifest()
	if len(g.lots) != 1 || slices.Contains(g.lots[0].Completed(), true) {
		return nil, fault.Usagef("--save-gradients writes the gradient rows of a new run as they are measured; %s has %d rows, some of them measured before", o.run, m.GradientRows())
	}
	g.save, err = createGradientFile(o.saveGradients, m.GradientRows(), m.NExamples(), m.NComponents())
	return g, err
}

// describe says in how many rows of a lot each component is softened, and its mean keep value.
func (g *gradientWork) describe(lot store.GradientLot) ([]int32, []float32, error) {
	m := g.run.Manifest()
	p := m.NComponents()
	if err := g.soft.ready(); err != nil {
		return nil, nil, err
	}
	counts, sums, keep := make([]int32, p), make([]float64, p), make([]float32, p)
	for r := range lot.Rows {
		if err := g.soft.row(lot.First+r, keep); err != nil {
			return nil, nil, err
		}
		for c, k := range keep {
			sums[c] += float64(k)
			if ablate.Softened(k) {
				counts[c]++
			}
		}
	}
	means := make([]float32, p)
	for c, v := range sums {
		means[c] = float32(v / float64(lot.Rows))
	}
	return counts, means, nil
}

// left is how many pairs of gradient row and example are still to be measured.
func (g *gradientWork) left() int {
	n := 0
	for _, lot := range g.lots {
		n += lot.Lot.Rows * len(missing(lot.Completed()))
	}
	return n
}

// rowsAfter is how many rows there are beyond those of an earlier state.
func (g *gradientWork) rowsAfter(earlier *gradientWork) int {
	n := 0
	for _, lot := range g.lots[len(earlier.lots):] {
		n += lot.Lot.Rows
	}
	return n
}

// files names what is to be sealed.
func (g *gradientWork) files() []string {
	var names []string
	for _, lot := range g.lots {
		names = append(names, lot.Files()...)
	}
	return names
}

// measure measures what is left, lot by lot.
func (g *gradientWork) measure(ctx context.Context, cmd *cobra.Command, globals *globals) error {
	left := g.left()
	if left == 0 {
		return g.save.close()
	}
	if err := g.soft.ready(); err != nil {
		return err
	}
	m := g.run.Manifest()
	all := m.GradientRows() * m.NExamples()
	bar := globals.newProgress(cmd.ErrOrStderr(), "gradient margins", all-left, all)
	defer bar.finish()
	for _, lot := range g.lots {
		if err := g.measureLot(ctx, lot, m.Positions, bar); err != nil {
			return err
		}
	}
	return g.save.close()
}

// measureLot measures the examples of one lot that are missing.
func (g *gradientWork) measureLot(ctx context.Context, lot *store.Gradients, positions []int, bar *progress) error {
	todo := missing(lot.Completed())
	if len(todo) == 0 {
		return nil
	}
	at := make([]int, len(todo))
	for i, e := range todo {
		at[i] = positions[e]
	}
	m := g.run.Manifest()
	p := m.NComponents()
	done := &finished{lot: lot, since: time.Now()}
	tally := gradient.NewTally(lot.Lot.Rows, p, len(todo), func(i int, s gradient.Sums) error { return done.add(todo[i], s) })
	var reading failure
	rows := func(r int, keep []float32, wanted []bool) {
		reading.keep(g.soft.row(lot.Lot.First+r, keep))
		for c, k := range keep {
			wanted[c] = g.save != nil || ablate.Softened(k)
		}
	}
	visit := func(r, i int, margin float32, derivatives []float32) error {
		if err := reading.get(); err != nil {
			return err
		}
		bar.add(1)
		if g.save != nil {
			if err := g.save.put(r, todo[i], derivatives); err != nil {
				return err
			}
			keep := make([]float32, p)
			rows(r, keep, make([]bool, p))
			derivatives = softenedOnly(derivatives, keep)
		}
		return tally.Visit(r, i, margin, derivatives)
	}
	if err := g.s.Engine.EachGradient(ctx, g.s.Examples(at), lot.Lot.Rows, rows, g.out, visit); err != nil {
		return err
	}
	return done.flush()
}

// softenedOnly is the derivatives of softened components, 0 elsewhere.
func softenedOnly(derivatives, keep []float32) []float32 {
	out := make([]float32, len(derivatives))
	for c, k := range keep {
		if ablate.Softened(k) {
			out[c] = derivatives[c]
		}
	}
	return out
}

// commitEvery is how much work of gradient rows may be finished and not yet on the disk.
const commitEvery = time.Second

// finished gathers examples that are measured and commits them together, about once a second.
type finished struct {
	lot *store.Gradients

	mu      sync.Mutex
	pending map[int]gradient.Sums // by example
	since   time.Time
}

func (f *finished) add(example int, s gradient.Sums) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pending == nil {
		f.pending = map[int]gradient.Sums{}
	}
	f.pending[example] = s
	if time.Since(f.since) < commitEvery {
		return nil
	}
	return f.commit()
}

func (f *finished) flush() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.commit()
}

// commit stores what is pending, runs of neighbouring examples at once; f.mu is held.
func (f *finished) commit() error {
	examples := slices.Sorted(maps.Keys(f.pending))
	for len(examples) > 0 {
		n := 1
		for n < len(examples) && examples[n] == examples[0]+n {
			n++
		}
		var sum, sumSq, margins []float32
		for _, e := range examples[:n] {
			s := f.pending[e]
			sum, sumSq, margins = append(sum, s.Sum...), append(sumSq, s.SumSq...), append(margins, s.Margins...)
		}
		if err := f.lot.Commit(examples[0], sum, sumSq, margins); err != nil {
			return err
		}
		examples = examples[n:]
	}
	clear(f.pending)
	f.since = time.Now()
	return nil
}

// failure keeps the first error of concurrent callbacks that cannot return one.
type failure struct {
	mu  sync.Mutex
	err error
}

func (f *failure) keep(err error) {
	if err == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
}

func (f *failure) get() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}
