package ablate

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sync/errgroup"
)

// work takes rows from s on several goroutines and delivers them, after a pause of random length.
func work(ctx context.Context, s *share, workers int, visit func(*batch, *result) error) error {
	group, ctx := errgroup.WithContext(ctx)
	for range workers {
		group.Go(func() error {
			var b *batch
			for {
				next, r, err := s.take(ctx, b)
				if err != nil || next == nil {
					return err
				}
				b = next
				for range rand.IntN(20) {
					runtime.Gosched()
				}
				if err := s.deliver(b, r, func(r *result) error { return visit(b, r) }); err != nil {
					return err
				}
			}
		})
	}
	return group.Wait()
}

func TestShareVisitsEveryRowInOrder(t *testing.T) {
	for range 100 {
		nExamples, nRows, size, workers := 1+rand.IntN(20), rand.IntN(30), 1+rand.IntN(6), 1+rand.IntN(5)
		visited := make([]int, nExamples) // rows, by example; the race detector sees visits that are not one after the other
		err := work(t.Context(), newShare(nil, nExamples, nRows, size, workers, 0), workers, func(b *batch, r *result) error {
			for i := b.first; i < b.first+b.n; i++ {
				if r.row != visited[i] {
					t.Errorf("example %d: row %d was visited, %d is next", i, r.row, visited[i])
				}
				visited[i]++
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if slices.Min(visited) != nRows || slices.Max(visited) != nRows {
			t.Errorf("%d examples, batches of %d, %d workers: %d to %d rows of %d were visited",
				nExamples, size, workers, slices.Min(visited), slices.Max(visited), nRows)
		}
	}
}

// A worker begins a batch of its own while there is one, and then joins the one of which most is left.
func TestShareJoinsTheBatchWithMostRowsLeft(t *testing.T) {
	const nRows = 4
	s := newShare(nil, 8, nRows, 4, 3, 0)
	take := func(b *batch) *batch {
		t.Helper()
		next, r, err := s.take(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		if next == nil {
			return nil
		}
		if err := s.deliver(next, r, func(*result) error { return nil }); err != nil {
			t.Fatal(err)
		}
		return next
	}
	one, two := take(nil), take(nil)
	if one == two || two.first != 4 {
		t.Fatalf("the second worker began at example %d, not with the batch at 4", two.first)
	}
	take(one)
	if got := take(nil); got != two {
		t.Errorf("the third worker joined the batch at %d; the one at 4 has more rows left", got.first)
	}
	for range 2 {
		if got := take(one); got != one {
			t.Errorf("a worker left its batch at row %d of %d", one.next, nRows)
		}
	}
	for range 2 {
		if got := take(one); got != two {
			t.Error("a worker whose batch is done did not join the other")
		}
	}
	if got := take(one); got != nil {
		t.Errorf("row %d of %d was handed out", got.next, nRows)
	}
}

func TestShareEnds(t *testing.T) {
	full := errors.New("disk full")
	err := work(t.Context(), newShare(nil, 7, 50, 3, 4, 0), 4, func(_ *batch, r *result) error {
		if r.row == 20 {
			return full
		}
		return nil
	})
	if !errors.Is(err, full) {
		t.Errorf("a failed visit ended in %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = work(ctx, newShare(nil, 7, 50, 3, 4, 0), 4, func(_ *batch, r *result) error {
		if r.row == 20 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled run ended in %v", err)
	}
}
