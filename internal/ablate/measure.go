package ablate

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"coar/internal/margin"
)

// groupTime is the work that a group of rows should hold: what a kill can cost, and how often results are synced.
const groupTime = 2 * time.Second

// KeepRow fills keep [p] of row r with 0 or 1. It is called from several goroutines at once.
type KeepRow func(r int, keep []byte) error

// Commit receives a finished group: rows first, first+1, …, their keep-rows [rows, p] and margins [rows, n].
// It may be called from several goroutines at once.
type Commit func(first int, keep []byte, margins []float32) error

// Measure computes the output of every example under each row of todo (ascending) and hands it on in groups of about
// two seconds of work. Each group is one worker's, so there is nothing to wait for at its end.
//
// Cost:   len(todo) x examples forward passes. Memory: per worker one group's keep-rows and margins.
// Errors: as Each, and those of rows and commit.
func (e *Engine) Measure(ctx context.Context, ex Examples, out margin.Output, todo []int, rows KeepRow, commit Commit) error {
	if err := e.start(ex); err != nil {
		return err
	}
	if len(todo) < len(e.workers) {
		return e.measureTogether(ctx, ex, out, todo, rows, commit)
	}
	q := &queue{todo: todo, workers: len(e.workers)}
	group, ctx := errgroup.WithContext(ctx)
	for _, w := range e.workers {
		group.Go(func() error {
			for {
				first, n := q.next()
				if n == 0 {
					return nil
				}
				start := time.Now()
				if err := w.measure(ctx, ex, out, first, n, rows, commit); err != nil {
					return err
				}
				q.took(n, time.Since(start))
			}
		})
	}
	return group.Wait()
}

// measureTogether computes fewer rows than there are workers: the workers share the examples of each row.
func (e *Engine) measureTogether(ctx context.Context, ex Examples, out margin.Output, todo []int, rows KeepRow, commit Commit) error {
	p, n := e.Model.Components(), ex.Len()
	keep, margins := make([]byte, len(todo)*p), make([]float32, len(todo)*n)
	for i, r := range todo {
		if err := rows(r, keep[i*p:(i+1)*p]); err != nil {
			return fmt.Errorf("ablate: row %d: %w", r, err)
		}
	}
	err := e.Each(ctx, ex, len(todo), func(i int, dst []float32) {
		widen(dst, keep[i*p:(i+1)*p])
	}, func(i, example int, logits []float32) error {
		margins[i*n+example] = out.Of(logits, ex.Label(example))
		return nil
	})
	if err != nil {
		return err
	}
	for i, r := range todo {
		if err := commit(r, keep[i*p:(i+1)*p], margins[i*n:(i+1)*n]); err != nil {
			return err
		}
	}
	return nil
}

// widen writes 0 and 1 as float32.
func widen(dst []float32, keep []byte) {
	for c, k := range keep {
		dst[c] = float32(k)
	}
}

// measure computes and commits one group.
func (w *worker) measure(ctx context.Context, ex Examples, out margin.Output, first, n int, rows KeepRow, commit Commit) error {
	p := w.engine.Model.Components()
	keep := make([]byte, n*p)
	for r := range n {
		if err := rows(first+r, keep[r*p:(r+1)*p]); err != nil {
			return fmt.Errorf("ablate: row %d: %w", first+r, err)
		}
	}
	margins := make([]float32, n*ex.Len())
	t := task{first, n, 0, ex.Len()}
	err := w.run(ctx, t, ex, func(r int, dst []float32) {
		widen(dst, keep[(r-first)*p:(r-first+1)*p])
	}, func(r, i int, logits []float32) error {
		margins[(r-first)*ex.Len()+i] = out.Of(logits, ex.Label(i))
		return nil
	})
	if err != nil {
		return err
	}
	return commit(first, keep, margins)
}

// queue hands out runs of consecutive rows, sized to groupTime and smaller towards the end, so that the workers
// finish together.
type queue struct {
	mu      sync.Mutex
	todo    []int
	workers int
	perRow  time.Duration // of the last finished group; 0 before the first
}

func (q *queue) next() (first, n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.todo) == 0 {
		return 0, 0
	}
	want := 1
	if q.perRow > 0 {
		want = int(groupTime / q.perRow)
	}
	want = max(1, min(want, len(q.todo)/(2*q.workers)))
	first, n = q.todo[0], 1
	for n < want && n < len(q.todo) && q.todo[n] == first+n {
		n++
	}
	q.todo = q.todo[n:]
	return first, n
}

func (q *queue) took(rows int, d time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.perRow = max(1, d/time.Duration(rows))
}
