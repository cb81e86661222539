package study

import (
	"context"
	"errors"
	"math"
	"runtime"
	"slices"
	"sync"

	"coar/internal/ablate"
	"coar/internal/gradient"
	"coar/internal/store"
)

// Prior are the attributions that a run's gradient rows give.
type Prior struct {
	sums      *store.GradientSums
	estimator *gradient.Estimator
	groups    []int     // sizes of the component groups
	factors   []float64 // by which their attributions are multiplied; nil: 1

	Workers int // that estimate examples; 0: one per processor

	nExamples int
	weights   []float64 // nil: not asked for yet
}

// OpenPrior opens the gradient sums of the run in dir; nil where it has none that are complete.
//
// Cost: reads the sums of all examples, for what these have in common.
func OpenPrior(ctx context.Context, dir string, m *store.Manifest) (*Prior, error) {
	return OpenFirstPrior(ctx, dir, m, store.MaxRows)
}

// OpenFirstPrior is OpenPrior for the lots among the run's first gradient rows.
func OpenFirstPrior(ctx context.Context, dir string, m *store.Manifest, rows int) (*Prior, error) {
	sums, err := store.OpenGradients(dir, rows)
	if err != nil {
		return nil, err
	}
	if sums.Rows == 0 {
		return nil, sums.Close()
	}
	described := gradient.Rows{Softened: sums.Softened, Kept: sums.Kept, MeanKeep: sums.MeanKeep}
	for _, g := range m.Groups {
		described.Groups = append(described.Groups, g.Rows)
	}
	if m.SoftSHA == "" { // of rows from a file the keep values are not at hand
		described.Softening = softening(m, sums.Numbers())
	}
	p, pool := &Prior{sums: sums, groups: described.Groups, nExamples: m.NExamples()}, gradient.NewPool(described)
	for i := range m.NExamples() {
		e, err := p.read(i)
		if err = errors.Join(err, ctx.Err()); err != nil {
			return nil, errors.Join(err, sums.Close())
		}
		pool.Add(e)
	}
	p.estimator = pool.Fit()
	return p, nil
}

// softening draws the first rows again.
func softening(m *store.Manifest, numbers []int) *gradient.Softening {
	s := gradient.NewSoftening(m.NComponents())
	sampler, keep := ablate.SoftSampler{Seed: m.Seed, Fraction: m.Fraction}, make([]float32, m.NComponents())
	for _, row := range numbers[:min(len(numbers), gradient.MarginRows)] {
		sampler.Row(row, keep)
		s.Add(keep)
	}
	return s
}

// leastWeight is what a component has that no example attributes anything to.
const leastWeight = 0.1

// Weights [nComponents] say how far from the attributions a regression may move each: with their mean square over the
// examples, before any factors, relative to that over all components, and a tenth for all. They are computed once.
//
// Cost: estimates all examples.
func (p *Prior) Weights(ctx context.Context) ([]float64, error) {
	if p.weights != nil {
		return p.weights, nil
	}
	weights := make([]float64, len(p.sums.Softened))
	total := 0.0
	err := p.each(ctx, p.nExamples, func(i int) int { return i }, p.estimator.Estimate, func(_ int, a gradient.Attributions) error {
		for c, v := range a.Theta {
			weights[c] += v * v
			total += v * v
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	mean := total / float64(len(weights))
	for c, v := range weights {
		weights[c] = leastWeight
		if mean > 0 {
			weights[c] += v / mean
		}
	}
	p.weights = weights
	return weights, nil
}

// Untold counts the components of which no gradient row says anything: none softens one of their group. They are attributed 0,
// with an error of 0.
func (p *Prior) Untold() int {
	n, first := 0, 0
	for _, size := range p.groups {
		if !slices.ContainsFunc(p.sums.Softened[first:first+size], func(rows int) bool { return rows > 0 }) {
			n += size
		}
		first += size
	}
	return n
}

// Rows is the number of gradient rows that the attributions rest on, Missing that of others that are not complete.
func (p *Prior) Rows() int    { return p.sums.Rows }
func (p *Prior) Missing() int { return p.sums.Missing }

// read returns what the rows say of one of the run's examples.
func (p *Prior) read(example int) (gradient.Example, error) {
	n := len(p.sums.Softened)
	e := gradient.Example{Sum: make([]float64, n), SumSq: make([]float64, n), KeptSum: make([]float64, n)}
	var err error
	e.Margins, err = p.sums.Read(example, e.Sum, e.SumSq, e.KeptSum)
	return e, err
}

// Estimate returns the attributions of one of the run's examples.
func (p *Prior) Estimate(example int) (gradient.Attributions, error) {
	e, err := p.read(example)
	if err != nil {
		return gradient.Attributions{}, err
	}
	return p.estimate(e), nil
}

func (p *Prior) estimate(e gradient.Example) gradient.Attributions {
	a := p.estimator.Estimate(e)
	first := 0
	for l, f := range p.factors {
		for c := first; c < first+p.groups[l]; c++ {
			a.Intercept += (1 - f) * a.Theta[c] * p.sums.MeanKeep[c]
			a.Theta[c] *= f
			a.SE[c] *= math.Abs(f)
		}
		first += p.groups[l]
	}
	return a
}

// Each estimates n examples, of which example(i) is the i-th, and visits them in order.
func (p *Prior) Each(ctx context.Context, n int, example func(i int) int, visit func(i int, a gradient.Attributions) error) error {
	return p.each(ctx, n, example, p.estimate, visit)
}

func (p *Prior) each(ctx context.Context, n int, example func(i int) int, estimate func(gradient.Example) gradient.Attributions, visit func(i int, a gradient.Attributions) error) error {
	workers := p.Workers
	if workers == 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	for first := 0; first < n; first += workers {
		if err := ctx.Err(); err != nil {
			return err
		}
		block := make([]gradient.Attributions, min(workers, n-first))
		var running sync.WaitGroup
		var failed error
		for i := range block {
			e, err := p.read(example(first + i))
			if err != nil {
				failed = err
				break
			}
			running.Go(func() { block[i] = estimate(e) })
		}
		running.Wait()
		if failed != nil {
			return failed
		}
		for i, a := range block {
			if err := visit(first+i, a); err != nil {
				return err
			}
		}
	}
	return nil
}

// Close closes the files.
func (p *Prior) Close() error { return p.sums.Close() }
