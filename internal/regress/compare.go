package regress

import (
	"context"
	"fmt"

	"coar/internal/fault"
)

// Comparison is what the held-out rows say of one method.
type Comparison struct {
	Method     Method      `json:"method"`
	Solver     Solver      `json:"solver,omitempty"`
	Validation *Validation `json:"validation,omitempty"`
	Skipped    string      `json:"skipped,omitempty"` // why there is no figure, for instance the memory it would need
}

// CompareMethods fits lasso, ridge and ols to a sample of the examples and reports what the held-out rows say of each.
//
// opts.Method is ignored, and λ is always chosen by validation. The rows are read and packed once.
// Errors: as Fit's, but for a method that needs more memory than allowed, which is skipped.
func CompareMethods(ctx context.Context, src Source, opts Options, sampleExamples []int) ([]Comparison, error) {
	opts.Method, opts.Lambda, opts.scoreOnly = Lasso, -1, true
	opts, err := opts.complete()
	if err != nil {
		return nil, err
	}
	var sample Source = sampled{src, sampleExamples}
	if prior, ok := src.(Prior); ok {
		sample = sampledPrior{sampled{src, sampleExamples}, prior}
	}
	if len(sampleExamples) == 0 {
		return nil, fault.Usagef("no examples to compare methods on")
	}
	_, _, nExamples := src.Shape()
	for _, e := range sampleExamples {
		if e < 0 || e >= nExamples {
			return nil, fault.Usagef("there is no example %d to compare methods on: the run has %d", e, nExamples)
		}
	}
	d, err := prepare(ctx, sample, opts)
	if err != nil {
		return nil, err
	}
	var comparisons []Comparison
	var last engine
	var made plan // what last was made for
	for _, method := range []Method{Lasso, Ridge, OLS} {
		opts := opts
		opts.Method = method
		plan, err := makePlan(d, len(sampleExamples), opts)
		if err != nil {
			comparisons = append(comparisons, Comparison{Method: method, Skipped: err.Error()})
			continue
		}
		opts.Workers = plan.workers
		if normal, ok := last.(*normalEngine); ok && plan == made && normal.serves(opts) {
			last = normal.with(opts)
		} else if last, err = newEngine(ctx, d, opts, plan); err != nil {
			return nil, fmt.Errorf("regress: compare %s: %w", method, err)
		}
		made = plan
		summary, err := fitWith(ctx, last, sample, d, plan, opts, func(Result) error { return nil })
		if err != nil {
			return nil, fmt.Errorf("regress: compare %s: %w", method, err)
		}
		comparisons = append(comparisons, Comparison{Method: method, Solver: summary.Solver, Validation: summary.Validation})
	}
	return comparisons, nil
}

// sampled is a Source restricted to some examples.
type sampled struct {
	Source
	examples []int
}

func (s sampled) Shape() (nRows, nComponents, nExamples int) {
	nRows, nComponents, _ = s.Source.Shape()
	return nRows, nComponents, len(s.examples)
}

func (s sampled) Margins(first, last int, dst []float32) error {
	return s.gather(first, last, dst, s.Source.Margins)
}

// sampledPrior is a Prior restricted to some examples.
type sampledPrior struct {
	sampled
	prior Prior
}

func (s sampledPrior) Predictions(ctx context.Context, first, last int, dst []float32) error {
	return s.gather(first, last, dst, func(first, last int, dst []float32) error { return s.prior.Predictions(ctx, first, last, dst) })
}

// gather reads the sample's examples [first, last) one by one into dst, [nRows][last-first].
func (s sampled) gather(first, last int, dst []float32, read func(first, last int, dst []float32) error) error {
	nRows, _, _ := s.Source.Shape()
	column := make([]float32, nRows)
	for i, e := range s.examples[first:last] {
		if err := read(e, e+1, column); err != nil {
			return err
		}
		for row, v := range column {
			dst[row*(last-first)+i] = v
		}
	}
	return nil
}
