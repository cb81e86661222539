package ablate

import (
	"context"
	"slices"
	"sync"
)

// share hands out gradient rows to workers, so that all have work to the end and few load examples twice. A worker that has
// nothing to do takes a batch of examples of its own; where there is none left, it joins the others on the batch of which most
// rows are still to do.
type share struct {
	nExamples, nRows, size int
	done                   []int        // [nExamples] rows that need no visit, the first ones; nil: none
	free                   chan *result // bounds how far rows run ahead of a slow one

	mu    sync.Mutex
	begun int // examples in batches that were taken
	open  []*batch
}

// batch is a run of examples whose rows are handed out in ascending order, perhaps to several workers, and visited in that
// order, one at a time.
type batch struct {
	first, n int
	next     int // the row to hand out; guarded by share.mu

	mu       sync.Mutex
	visited  int             // rows that are visited, or being visited
	visiting bool            // by some worker
	waiting  map[int]*result // computed before a row below them
}

// result is what one row says of a batch.
type result struct {
	row      int
	margins  []float32 // [size]
	gradient []float32 // [size][nComponents]
}

// ahead is how many results a worker may have besides the one that it computes: with one, it need not wait for a worker that is
// now and then slower.
const ahead = 1

func newShare(done []int, nExamples, nRows, size, workers, nComponents int) *share {
	s := &share{nExamples: nExamples, nRows: nRows, size: size, done: done, free: make(chan *result, (1+ahead)*workers)}
	for range cap(s.free) {
		s.free <- &result{margins: make([]float32, size), gradient: make([]float32, size*nComponents)}
	}
	return s
}

// take returns the next row for a worker that has b loaded, or nil: the batch that it belongs to and room for what it says. A
// nil batch means that there is none left. The room comes first: the row that others wait for has it.
func (s *share) take(ctx context.Context, b *batch) (*batch, *result, error) {
	var r *result
	select {
	case r = <-s.free:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if b == nil || b.next == s.nRows {
		b = s.another()
	}
	if b == nil {
		s.free <- r
		return nil, nil, nil
	}
	r.row = b.next
	b.next++
	return b, r, nil
}

// another returns a batch that has rows to hand out, or nil.
func (s *share) another() *batch {
	for s.begun < s.nExamples {
		b := &batch{first: s.begun, n: min(s.size, s.nExamples-s.begun), waiting: map[int]*result{}}
		s.begun += b.n
		if s.done != nil {
			b.next = slices.Min(s.done[b.first : b.first+b.n])
			b.visited = b.next
		}
		if b.next < s.nRows {
			s.open = append(s.open, b)
			return b
		}
	}
	var most *batch
	for _, b := range s.open {
		if b.next < s.nRows && (most == nil || b.next < most.next) {
			most = b
		}
	}
	return most
}

// needs says whether an example is to be visited under a row.
func (s *share) needs(row, example int) bool { return s.done == nil || row >= s.done[example] }

// deliver visits the row and those that have waited for it; where a row before it is still to come, it waits itself.
func (s *share) deliver(b *batch, r *result, visit func(*result) error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting[r.row] = r
	if b.visiting {
		return nil
	}
	b.visiting = true
	for {
		r := b.waiting[b.visited]
		if r == nil {
			b.visiting = false
			return nil
		}
		delete(b.waiting, r.row)
		b.visited++
		b.mu.Unlock()
		err := visit(r)
		s.free <- r
		b.mu.Lock()
		if err != nil { // nothing after it is visited
			return err
		}
	}
}
