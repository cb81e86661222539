package main

import (
	"time"

	"coar/internal/gradient"
	"coar/internal/store"
)

// holdEvery is how much work on an example that is not finished may be lost to a kill: a large model's example takes minutes.
const holdEvery = 30 * time.Second

// keeper is where a holder keeps what it holds: a lot of gradient rows.
type keeper interface {
	Held(example int) *store.Held
	Hold(example int, h *store.Held) error
}

// holder keeps on the disk what the rows so far say of the examples being measured.
type holder struct {
	lot   keeper
	todo  []int // the examples' numbers in the run
	tally *gradient.Tally
	every time.Duration
	since []time.Time // [len(todo)] when an example was held, or its measuring began; each is touched by who visits the example
	done  []int       // [len(todo)] rows that were held before
}

// newHolder makes tally go on from what the lot holds.
func newHolder(lot keeper, todo []int, tally *gradient.Tally, every time.Duration) *holder {
	h := &holder{lot: lot, todo: todo, tally: tally, every: every, since: make([]time.Time, len(todo)), done: make([]int, len(todo))}
	for i, e := range todo {
		if held := lot.Held(e); held != nil {
			h.done[i] = len(held.Margins)
			tally.Resume(i, gradient.Partial(*held))
		}
	}
	return h
}

// visited holds an example, one of whose rows was visited, if it is time.
func (h *holder) visited(i int) error {
	switch now := time.Now(); {
	case h.since[i].IsZero():
		h.since[i] = now
	case now.Sub(h.since[i]) >= h.every:
		h.since[i] = now
		return h.hold(i)
	}
	return nil
}

// all holds all examples of which some rows were visited and others were not: no more will be. It gives up at the first error,
// since a disk that is full is full for all.
func (h *holder) all() error {
	for i := range h.todo {
		if err := h.hold(i); err != nil {
			return err
		}
	}
	return nil
}

func (h *holder) hold(i int) error {
	p := h.tally.Partial(i)
	if p == nil || len(p.Margins) == h.done[i] {
		return nil
	}
	return h.lot.Hold(h.todo[i], (*store.Held)(p))
}
