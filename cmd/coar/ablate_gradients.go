package main

import (
	"context"
	"errors"
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

// defaultGradients is the rule for gradient rows where --gradients is not given: convolutional networks gain up to 200,
// transformers hardly any after 50.
func defaultGradients(heads int) int {
	if heads > 0 {
		return 50
	}
	return 200
}

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
	if m.GradientRows() == 0 {
		return nil, fault.Usagef("--save-gradients: there are no gradient rows; --gradients K or a --masks-file of float32 makes some")
	}
	if len(g.lots) != 1 || slices.Contains(g.lots[0].Completed(), true) || g.lots[0].HeldRows() > 0 {
		return nil, fault.Usagef("--save-gradients writes the gradient rows of a new run as they are measured; %s has %d rows, some of them measured before: name another run", o.run, m.GradientRows())
	}
	g.save, err = createGradientFile(o.saveGradients, m.GradientRows(), m.NExamples(), m.NComponents())
	return g, err
}

// describe says what a lot's rows do with each component.
func (g *gradientWork) describe(lot store.GradientLot) (store.LotRows, error) {
	m := g.run.Manifest()
	p := m.NComponents()
	rows := store.LotRows{Softened: make([]int32, p), Kept: make([]int32, p), MeanKeep: make([]float32, p)}
	if err := g.soft.ready(); err != nil {
		return rows, err
	}
	sums, keep := make([]float64, p), make([]float32, p)
	for r := range lot.Rows {
		if err := g.soft.row(lot.First+r, keep); err != nil {
			return rows, err
		}
		for c, role := range gradient.Roles(lot.First+r, keep) {
			sums[c] += float64(keep[c])
			switch role {
			case gradient.Softened:
				rows.Softened[c]++
			case gradient.Kept:
				rows.Kept[c]++
			}
		}
	}
	for c, v := range sums {
		rows.MeanKeep[c] = float32(v / float64(lot.Rows))
	}
	return rows, nil
}

// left is how many pairs of gradient row and example are still to be measured.
func (g *gradientWork) left() int {
	n := 0
	for _, lot := range g.lots {
		n += lot.Lot.Rows*len(missing(lot.Completed())) - lot.HeldRows()
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
		return nil
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
	return nil
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
	roles, err := g.roles(lot.Lot, m.NComponents())
	if err != nil {
		return err
	}
	done := &finished{lot: lot, whole: g.save != nil, since: time.Now()}
	tally := gradient.NewTally(roles, len(todo), func(i int, s gradient.Sums) error { return done.add(todo[i], s) })
	hold := newHolder(lot, todo, tally, holdEvery)
	var reading failure
	visit := func(r, i int, margin float32, derivatives []float32) error {
		if err := reading.get(); err != nil {
			return err
		}
		bar.add(1)
		if g.save != nil {
			if err := g.save.put(r, todo[i], derivatives); err != nil {
				return err
			}
		}
		if err := tally.Visit(r, i, margin, derivatives); err != nil || g.save != nil {
			return err
		}
		return errors.Join(hold.visited(i), done.commitDue())
	}
	err = g.s.Engine.EachGradientAfter(ctx, hold.done, g.s.Examples(at), lot.Lot.Rows, g.rows(lot.Lot.First, roles, &reading), g.out, visit)
	if g.save != nil { // has its name before the run has the rows: stopped between the two, both are begun again
		if err == nil {
			err = g.save.keep()
		}
		if err != nil {
			return err
		}
	}
	if err != nil {
		err = errors.Join(err, hold.all())
	}
	return errors.Join(err, done.flush())
}

// rows are the gradient rows from number first on, with these roles. Derivatives that nobody uses or saves are not wanted.
func (g *gradientWork) rows(first int, roles [][]gradient.Role, reading *failure) ablate.GradientRows {
	return func(r int, keep []float32, wanted []bool) {
		reading.keep(g.soft.row(first+r, keep))
		for c, role := range roles[r] {
			wanted[c] = role != gradient.Unused || g.save != nil
		}
	}
}

// roles says of every row of a lot what it does with each component.
//
// Memory: one byte per row and component.
func (g *gradientWork) roles(lot store.GradientLot, nComponents int) ([][]gradient.Role, error) {
	keep, roles := make([]float32, nComponents), make([][]gradient.Role, lot.Rows)
	for r := range roles {
		if err := g.soft.row(lot.First+r, keep); err != nil {
			return nil, err
		}
		roles[r] = gradient.Roles(lot.First+r, keep)
	}
	return roles, nil
}

// commitEvery is how long finished examples may wait for the disk.
const commitEvery = time.Second

// finished gathers examples that are measured and commits them together, about once a second; where the derivatives are saved
// as well, all at the end, so that what is saved and what the run has are begun again together.
type finished struct {
	lot   *store.Gradients
	whole bool // commit all at the end

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
	return nil
}

// commitDue commits what is pending once it has waited.
func (f *finished) commitDue() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.whole || len(f.pending) == 0 || time.Since(f.since) < commitEvery {
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
		var sum, sumSq, keptSum, margins []float32
		for _, e := range examples[:n] {
			s := f.pending[e]
			sum, sumSq = append(sum, s.Sum...), append(sumSq, s.SumSq...)
			keptSum, margins = append(keptSum, s.KeptSum...), append(margins, s.Margins...)
		}
		if err := f.lot.Commit(examples[0], sum, sumSq, keptSum, margins); err != nil {
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
