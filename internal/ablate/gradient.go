package ablate

import (
	"context"
	"fmt"
	"math"

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
// The rows of one example are visited in ascending order, one after the other; different examples may be visited at the same
// time. Margins and derivatives do not depend on the number of workers nor on the batch, bit for bit. A margin may differ
// from that of Each in its last bits, and with what is wanted.
//
// Cost:   nRows x examples gradient rows, each 2 to 2.5 forward passes; see models.BenchmarkGradientRow.
// Memory: 8 bytes per worker, example of a batch and component, beside the programs.
// Errors: as Each, a derivative that is not finite, or visit's error.
func (e *Engine) EachGradient(ctx context.Context, ex Examples, nRows int, rows GradientRows, out margin.Output, visit GradientVisit) error {
	return e.EachGradientAfter(ctx, nil, ex, nRows, rows, out, visit)
}

// EachGradientAfter is EachGradient without the first done[i] rows of example i, which were visited before.
func (e *Engine) EachGradientAfter(ctx context.Context, done []int, ex Examples, nRows int, rows GradientRows, out margin.Output, visit GradientVisit) error {
	workers, size, last, err := e.startGradients(ex)
	if err != nil {
		return err
	}
	s := newShare(done, ex.Len(), nRows, size, workers, e.Model.Components())
	group, ctx := errgroup.WithContext(ctx)
	for _, w := range e.workers[:workers] {
		group.Go(func() error { return w.runGradients(ctx, s, last, ex, rows, out, visit) })
	}
	return group.Wait()
}

// startGradients makes the workers, and decides how many of them run gradients in batches of which size, and which size the
// program of the last batch has. Where memory is bounded, the programs that run no gradients go first.
func (e *Engine) startGradients(ex Examples) (workers, size, last int, err error) {
	if err := e.start(ex); err != nil {
		return 0, 0, 0, err
	}
	if e.Memory > 0 {
		for _, w := range e.workers {
			w.releaseForward()
		}
	}
	workers, size = len(e.workers), e.gradientBatch(ex)
	var bytes int64 // of a worker's program
	for e.Memory > 0 {
		p, err := e.workers[0].gradientProgram(size, ex)
		if err != nil {
			return 0, 0, 0, err
		}
		if bytes = p.Bytes(); bytes*int64(workers) <= e.Memory {
			break
		}
		if size == 1 || e.Batch > 0 {
			workers = min(workers, int(max(1, e.Memory/bytes)))
			break
		}
		release(e.workers[0].gradients)
		size /= 2
		e.gradientLimit = size
	}
	last, err = e.lastGradients(ex, size, e.Memory/int64(workers)-bytes)
	return workers, size, last, err
}

// gradientBatch is the number of examples per run that the model and memory propose.
func (e *Engine) gradientBatch(ex Examples) int {
	if e.Batch > 0 {
		return e.Batch
	}
	_, h, w := ex.Shape()
	size := e.Model.Batch(ex.Len(), h, w)
	if e.gradientLimit > 0 {
		size = min(size, e.gradientLimit)
	}
	return size
}

// lastGradients is the size of the program for the last of the batches of size: a smaller one where a worker has room for it.
func (e *Engine) lastGradients(ex Examples, size int, room int64) (int, error) {
	n := ex.Len() % size
	if n == 0 {
		return size, nil
	}
	last := e.Model.Remainder(n, size)
	if last == size || e.Memory == 0 {
		return last, nil
	}
	first := e.workers[0]
	p, err := first.gradientProgram(last, ex)
	if err != nil || p.Bytes() <= room {
		return last, err
	}
	delete(first.gradients, last)
	p.Close()
	return size, nil
}

// releaseGradients closes the programs that run gradients.
func (e *Engine) releaseGradients() {
	for _, w := range e.workers {
		release(w.gradients)
	}
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

// runGradients runs the rows that s hands out, until there are no more; the last batch, if it is not full, with a program of
// size last.
func (w *worker) runGradients(ctx context.Context, s *share, last int, ex Examples, rows GradientRows, out margin.Output, visit GradientVisit) error {
	p := w.engine.Model.Components()
	keep, wanted := make([]float32, p), make([]bool, p)
	var loaded *batch
	var prog *models.Program
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		b, r, err := s.take(ctx, loaded)
		if err != nil || b == nil {
			return err
		}
		if b != loaded {
			size := s.size
			if b.n < size {
				size = last
			}
			if prog, err = w.gradientProgram(size, ex); err != nil {
				return err
			}
			if err := fill(prog, ex, b.first, b.n); err != nil {
				return err
			}
			loaded = b
		}
		rows(r.row, keep, wanted)
		prog.SetKeep(keep)
		prog.SetWanted(wanted)
		if err := w.runGradient(prog, b, r, ex, out); err != nil {
			return err
		}
		err = s.deliver(b, r, func(r *result) error {
			for i := range b.n {
				if !s.needs(r.row, b.first+i) {
					continue
				}
				if err := visit(r.row, b.first+i, r.margins[i], r.gradient[i*p:(i+1)*p]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
}

// runGradient runs the row that prog is set to on the examples of b, which it holds.
func (w *worker) runGradient(prog *models.Program, b *batch, r *result, ex Examples, out margin.Output) error {
	p, classes := w.engine.Model.Components(), w.engine.Model.Classes
	_, err := prog.RunGradient(func(logits, dLogits []float32) error {
		clear(dLogits)
		for i := range b.n {
			l, label := logits[i*classes:(i+1)*classes], ex.Label(b.first+i)
			if err := finite(l); err != nil {
				return fmt.Errorf("ablate: row %d, example %d: %w", r.row, b.first+i, err)
			}
			r.margins[i] = out.Of(l, label)
			out.Gradient(l, label, dLogits[i*classes:(i+1)*classes])
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i := range b.n {
		gradient := r.gradient[i*p : (i+1)*p]
		prog.KeepGradients(i, gradient)
		for c, v := range gradient {
			if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
				return fmt.Errorf("ablate: row %d, example %d: the derivative by component %d is %v; the gradient overflows float32", r.row, b.first+i, c, v)
			}
		}
	}
	return nil
}
