package ablate

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"coar/internal/margin"
	"coar/internal/models"
)

// GradientRows fills keep [p] of row r with values in [0,1], and wanted [p] with whose derivatives are asked for.
// It is called from several goroutines at once, and for every batch of examples anew.
type GradientRows func(r int, keep []float32, wanted []bool)

// GradientVisit receives the output of one example under one row and its derivatives by the keep values, gradient [p]:
// 0 where they are not wanted. gradient is valid during the call only.
type GradientVisit func(row, example int, margin float32, gradient []float32) error

// EachGradient runs rows 0..nRows-1 over all examples in parallel and differentiates the output of each example by every
// wanted keep value. It computes in float32 even where the engine does not.
//
// All rows of one example are visited in ascending order by one goroutine; different examples may be visited at the same
// time. Margins and derivatives do not depend on the number of workers nor on the batch, bit for bit. A margin may differ
// from that of Each in its last bits, and with what is wanted.
//
// Cost:   nRows x examples gradient rows, each 2 to 2.5 forward passes; see models.BenchmarkGradientRow.
// Errors: as Each, a derivative that is not finite, or visit's error.
func (e *Engine) EachGradient(ctx context.Context, ex Examples, nRows int, rows GradientRows, out margin.Output, visit GradientVisit) error {
	workers, size, err := e.startGradients(ex)
	if err != nil {
		return err
	}
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for _, w := range e.workers[:workers] {
		group.Go(func() error {
			for {
				first := int(next.Add(1)-1) * size
				if first >= ex.Len() {
					return nil
				}
				if err := w.runGradients(ctx, ex, size, first, min(size, ex.Len()-first), nRows, rows, out, visit); err != nil {
					return err
				}
			}
		})
	}
	return group.Wait()
}

// startGradients makes the workers, and decides how many of them run gradients in batches of which size. Where memory is
// bounded, the programs that run no gradients go first.
func (e *Engine) startGradients(ex Examples) (workers, size int, err error) {
	if err := e.start(ex); err != nil {
		return 0, 0, err
	}
	if e.Memory > 0 {
		for _, w := range e.workers {
			if err := w.releaseForward(); err != nil {
				return 0, 0, err
			}
		}
	}
	workers, size = len(e.workers), e.gradientBatch(ex)
	if e.gradientLimit > 0 {
		size = min(size, e.gradientLimit)
	}
	for e.Memory > 0 {
		p, err := e.workers[0].gradientProgram(size, ex)
		if err != nil {
			return 0, 0, err
		}
		if p.Bytes()*int64(workers) <= e.Memory {
			break
		}
		if size == 1 || e.Batch > 0 {
			workers = min(workers, int(max(1, e.Memory/p.Bytes())))
			break
		}
		if err := release(e.workers[0].gradients); err != nil {
			return 0, 0, err
		}
		size /= 2
		e.gradientLimit = size
	}
	return workers, size, nil
}

// gradientBatch is the number of examples per run: batches are what workers share, so there must be enough of them that
// all have work to the end.
func (e *Engine) gradientBatch(ex Examples) int {
	if e.Batch > 0 {
		return e.Batch
	}
	n, workers := ex.Len(), len(e.workers)
	_, h, w := ex.Shape()
	size := e.Model.Batch((n+workers-1)/workers, h, w)
	// done is the examples that a worker computes, those in vain included.
	done := func(size int) int {
		batches := (n + size - 1) / size
		return (batches + workers - 1) / workers * size
	}
	const worth, vectors = 9. / 10, 6. / 10 // below these, a smaller batch saves more than it costs; the second where it fills no vector
	for size > 4 {
		least := worth
		if size/2 < e.Set.Lanes {
			least = vectors
		}
		if float64(done(size/2)) >= least*float64(done(size)) {
			break
		}
		size /= 2
	}
	return size
}

// releaseGradients closes the programs that run gradients.
func (e *Engine) releaseGradients() error {
	var errs []error
	for _, w := range e.workers {
		errs = append(errs, release(w.gradients))
	}
	return errors.Join(errs...)
}

// gradientProgram returns the worker's program for size examples per run.
func (w *worker) gradientProgram(size int, ex Examples) (*models.Program, error) {
	if p := w.gradients[size]; p != nil {
		return p, nil
	}
	_, height, width := ex.Shape()
	p, err := w.engine.Model.NewProgram(models.Build{Set: w.engine.Set, Batch: size, Height: height, Width: width, Gradients: true})
	if err != nil {
		return nil, err
	}
	w.gradients[size] = p
	return p, nil
}

// runGradients runs all rows on n examples from first on, with a program for size of them.
func (w *worker) runGradients(ctx context.Context, ex Examples, size, first, n, nRows int, rows GradientRows, out margin.Output, visit GradientVisit) error {
	prog, err := w.gradientProgram(size, ex)
	if err != nil {
		return err
	}
	if err := fill(prog, ex, first, n); err != nil {
		return err
	}
	p, classes := w.engine.Model.Components(), w.engine.Model.Classes
	keep, gradient, wanted, margins := make([]float32, p), make([]float32, p), make([]bool, p), make([]float32, n)
	for r := range nRows {
		if err := ctx.Err(); err != nil {
			return err
		}
		rows(r, keep, wanted)
		prog.SetKeep(keep)
		prog.SetWanted(wanted)
		_, err := prog.RunGradient(func(logits, dLogits []float32) error {
			clear(dLogits)
			for i := range n {
				l, label := logits[i*classes:(i+1)*classes], ex.Label(first+i)
				if err := finite(l); err != nil {
					return fmt.Errorf("ablate: row %d, example %d: %w", r, first+i, err)
				}
				margins[i] = out.Of(l, label)
				out.Gradient(l, label, dLogits[i*classes:(i+1)*classes])
			}
			return nil
		})
		if err != nil {
			return err
		}
		for i := range n {
			prog.KeepGradients(i, gradient)
			for c, v := range gradient {
				if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
					return fmt.Errorf("ablate: row %d, example %d: the derivative by component %d is %v; the gradient overflows float32", r, first+i, c, v)
				}
			}
			if err := visit(r, first+i, margins[i], gradient); err != nil {
				return err
			}
		}
	}
	return nil
}
