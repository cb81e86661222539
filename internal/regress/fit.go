package regress

import (
	"context"
	"fmt"

	"coar/internal/fault"
)

// Fit solves opts.Method for every example and hands the results to emit in blocks, in order.
//
// λ is chosen per example by the mean squared error on held-out rows, then all rows are fitted with it.
// Shape:  Result.Theta [examples of the block][nComponents].
// Units:  theta and intercept in logits.
// Cost:   lasso by the Gram matrix: nComponents²·nRows/128 bit operations once, then per example one addition per ablated
// entry of keep and nComponents for each coefficient that a sweep changes. Memory as Summary.MemoryBytes says.
// Errors: fault.Usage (options, or too little memory), fault.Missing (too few rows), fault.Malformed (a margin that is
// not finite), what src or emit return, ctx.Err(). Running out of sweeps is not an error: Result.Converged is false.
func Fit(ctx context.Context, src Source, opts Options, emit func(Result) error) (Summary, error) {
	opts, err := opts.complete()
	if err != nil {
		return Summary{}, err
	}
	d, err := prepare(ctx, src, opts)
	if err != nil {
		return Summary{}, err
	}
	_, _, nExamples := src.Shape()
	plan, err := makePlan(d, nExamples, opts)
	if err != nil {
		return Summary{}, err
	}
	opts.Workers = plan.workers
	return fit(ctx, src, d, plan, opts, emit)
}

// Validate chooses λ for every example as Fit does, and says how well the rows held out are predicted. It leaves out the fit to all rows.
//
// Cost and errors: as Fit's; opts.ValFraction is above 0.
func Validate(ctx context.Context, src Source, opts Options) (Validation, error) {
	opts.scoreOnly = true
	summary, err := Fit(ctx, src, opts, func(Result) error { return nil })
	if err != nil {
		return Validation{}, err
	}
	return *summary.Validation, nil
}

// prepare checks the source's shape and packs its rows.
func prepare(ctx context.Context, src Source, opts Options) (*design, error) {
	nRows, nComponents, nExamples := src.Shape()
	if nComponents < 1 || nExamples < 1 {
		return nil, fault.Missingf("there is nothing to fit: %d components, %d examples", nComponents, nExamples)
	}
	if err := opts.CheckRows(nRows); err != nil {
		return nil, err
	}
	if opts.Weights != nil && len(opts.Weights) != nComponents {
		return nil, fmt.Errorf("regress: %d weights for %d components", len(opts.Weights), nComponents)
	}
	if need := packedBytes(nRows, nComponents); need > opts.Memory {
		return nil, fault.Usagef("%d rows x %d components take %s packed and --memory allows %s: allow more",
			nRows, nComponents, formatBytes(need), formatBytes(opts.Memory))
	}
	return pack(ctx, src, splitRows(nRows, opts.ValFraction, opts.Seed))
}

// engine fits blocks of examples.
type engine interface {
	// fitBlock fits every example of b into out and calls done, from the caller's goroutine, after each.
	fitBlock(ctx context.Context, b *block, out *fitted, done func()) error
}

// fit works on a design that is packed and options that are complete.
func fit(ctx context.Context, src Source, d *design, plan plan, opts Options, emit func(Result) error) (Summary, error) {
	engine, err := newEngine(ctx, d, opts, plan)
	if err != nil {
		return Summary{}, err
	}
	return fitWith(ctx, engine, src, d, plan, opts, emit)
}

// fitWith fits by an engine of these options.
func fitWith(ctx context.Context, engine engine, src Source, d *design, plan plan, opts Options, emit func(Result) error) (Summary, error) {
	_, _, nExamples := src.Shape()
	tally := newTally(d, opts, plan)
	if normal, ok := engine.(*normalEngine); ok && normal.all != nil {
		tally.summary.MinimumNorm = opts.Method == OLS && normal.all.rank < d.nComponents-tally.summary.ConstantComponents
	}
	b, out := newBlock(d, plan.block), newFitted(d, plan.block)
	finished := 0
	done := func() {
		finished++
		if opts.Progress != nil {
			opts.Progress(finished, nExamples)
		}
	}
	for first := 0; first < nExamples; first += plan.block {
		last := min(first+plan.block, nExamples)
		if err := b.load(ctx, src, first, last, opts.Workers); err != nil {
			return Summary{}, fmt.Errorf("regress: examples %d to %d: %w", first, last-1, err)
		}
		if err := engine.fitBlock(ctx, b, out, done); err != nil {
			return Summary{}, err
		}
		tally.add(out, b.n)
		if err := emit(out.block(first, b.n)); err != nil {
			return Summary{}, err
		}
	}
	return tally.finish(), nil
}

// newEngine computes what all examples share.
func newEngine(ctx context.Context, d *design, opts Options, plan plan) (engine, error) {
	if opts.Method == Lasso {
		return newLassoEngine(ctx, d, opts, plan)
	}
	if plan.solver == SolverKernel {
		return newKernelEngine(ctx, d, opts, plan)
	}
	return newGramEngine(ctx, d, opts, plan)
}
