package regress

import (
	"context"
	"sync"
	"sync/atomic"
)

// parallel calls work for every unit in [0, n), on up to workers goroutines, and done from its own goroutine after each.
//
// Units are handed out in order but finish in any; work must write only what belongs to its unit or its worker.
// The first error, or the context's end, stops units not yet begun.
func parallel(ctx context.Context, workers, n int, work func(worker, unit int) error, done func()) error {
	workers = min(workers, n)
	var next atomic.Int64
	var stop atomic.Bool
	var group sync.WaitGroup
	errs := make([]error, workers)
	finished := make(chan struct{}, workers)
	for worker := range workers {
		group.Add(1)
		go func() {
			defer group.Done()
			for !stop.Load() && ctx.Err() == nil {
				unit := int(next.Add(1)) - 1
				if unit >= n {
					return
				}
				if err := work(worker, unit); err != nil {
					errs[worker] = err
					stop.Store(true)
					return
				}
				finished <- struct{}{}
			}
		}()
	}
	go func() {
		group.Wait()
		close(finished)
	}()
	for range finished {
		if done != nil {
			done()
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
