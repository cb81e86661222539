package regress

import (
	"context"
	"math"
)

const (
	pathTol  = 1e-5  // duality gap on the path, where λ is chosen
	finalTol = 1e-10 // duality gap of the fit to all rows; coefficients are then good to about 1e-5 of the largest
)

// lassoEngine fits the lasso, one example per worker at a time.
type lassoEngine struct {
	d       *design
	opts    Options
	cross   *cross
	workers []lassoWorker
}

type lassoWorker struct {
	descent descent
	scorer  *scorer
	best    []float64 // [nComponents] coefficients at the λ chosen, fitted to the rows not held out
}

func newLassoEngine(ctx context.Context, d *design, opts Options, plan plan) (*lassoEngine, error) {
	engine := &lassoEngine{d: d, opts: opts, cross: newCross(d, plan.block, d.parts()...), workers: make([]lassoWorker, opts.Workers)}
	var covariances [2][]float64
	var rows *lists
	if plan.solver == SolverGram {
		var err error
		if covariances[trainRows], covariances[allRows], err = grams(ctx, d, opts.Workers); err != nil {
			return nil, err
		}
		rows = heldLists(d)
	} else {
		rows = allLists(d)
	}
	for w := range engine.workers {
		worker := &engine.workers[w]
		worker.best = make([]float64, d.nComponents)
		worker.scorer = newScorer(d, rows)
		if plan.solver == SolverGram {
			worker.descent = newCovarianceDescent(covariances, d.nComponents)
		} else {
			worker.descent = newResidualDescent(d, rows)
		}
	}
	return engine, nil
}

func (engine *lassoEngine) fitBlock(ctx context.Context, b *block, out *fitted, done func()) error {
	if err := engine.cross.compute(ctx, b, engine.opts.Workers); err != nil {
		return err
	}
	return parallel(ctx, engine.opts.Workers, b.n, func(worker, e int) error {
		return engine.fitExample(ctx, &engine.workers[worker], b, e, out)
	}, done)
}

func (engine *lassoEngine) fitExample(ctx context.Context, w *lassoWorker, b *block, e int, out *fitted) error {
	if b.constant[allRows][e] {
		out.setConstant(b, e)
		return nil
	}
	lambda, sweeps := engine.opts.Lambda, 0
	path := []float64{lambda}
	start := w.best
	if engine.d.nHeld > 0 {
		var err error
		if lambda, sweeps, err = engine.choose(ctx, w, b, e, out); err != nil {
			return err
		}
		if engine.opts.scoreOnly {
			return nil
		}
		path[0] = lambda
	} else {
		start = nil
	}
	w.descent.begin(b, engine.cross, allRows, e, start)
	if start == nil {
		path = down(w.descent.lambdaMax(), lambda, engine.opts)
	}
	var last progress
	previous := math.Inf(1)
	for k, l := range path {
		if err := ctx.Err(); err != nil {
			return err
		}
		tol := pathTol
		if k == len(path)-1 {
			tol = finalTol
		}
		last = w.descent.solve(l, previous, tol)
		sweeps += last.sweeps
		previous = l
	}
	out.Lambda[e], out.Gap[e], out.Sweeps[e], out.Converged[e] = lambda, last.gap, sweeps, last.converged
	out.setTheta(b, e, w.descent.theta())
	return nil
}

// choose solves the path on the rows fitted, leaves the coefficients at the λ chosen in w.best, and scores them.
func (engine *lassoEngine) choose(ctx context.Context, w *lassoWorker, b *block, e int, out *fitted) (lambda float64, sweeps int, err error) {
	w.descent.begin(b, engine.cross, trainRows, e, nil)
	w.scorer.begin(b, e)
	out.atPathEnd[e] = false
	first := w.descent.lambdaMax()
	fixed := engine.opts.Lambda >= 0
	if (first == 0 || b.constant[trainRows][e]) && !fixed {
		// The rows fitted say nothing: no component earns an attribution on all rows either.
		clear(w.best)
		out.Validation[e] = w.scorer.score(w.best)
		return maxAbs(engine.cross.of(allRows, e)), 0, nil
	}
	path := geometric(first, engine.opts.PathRatio, engine.opts.PathLength)
	if fixed {
		path = down(first, engine.opts.Lambda, engine.opts)
	}
	var chosen selection
	previous := math.Inf(1)
	for k, l := range path {
		if err := ctx.Err(); err != nil {
			return 0, 0, err
		}
		sweeps += w.descent.solve(l, previous, pathTol).sweeps
		previous = l
		if fixed && k < len(path)-1 {
			continue
		}
		score := w.scorer.score(w.descent.theta())
		if chosen.offer(score) {
			copy(w.best, w.descent.theta())
			w.scorer.markBest()
			lambda = l
		}
		if chosen.risen(w.scorer.rise()) {
			break
		}
	}
	out.Validation[e] = chosen.best
	out.atPathEnd[e] = !fixed && chosen.at == len(path)-1
	return lambda, sweeps, nil
}
