package main

import (
	"testing"
	"time"

	"coar/internal/gradient"
	"coar/internal/store"
)

// fakeLot keeps in memory what is held.
type fakeLot map[int]*store.Held

func (f fakeLot) Held(example int) *store.Held { return f[example] }
func (f fakeLot) Hold(example int, h *store.Held) error {
	f[example] = h
	return nil
}

// A kill at any moment loses at most what was visited within the time between two holds.
func TestHolder(t *testing.T) {
	const nRows = 5
	keep := []float32{0.5, 1, 0.25}
	roles := make([][]gradient.Role, nRows)
	for r := range roles {
		roles[r] = gradient.Roles(r, keep)
	}
	todo, lot := []int{4, 7}, fakeLot{}
	begin := func(every time.Duration) (*gradient.Tally, *holder) {
		tally := gradient.NewTally(roles, len(todo), func(int, gradient.Sums) error { return nil })
		return tally, newHolder(lot, todo, tally, every)
	}
	visit := func(tally *gradient.Tally, h *holder, r, i int) {
		t.Helper()
		if err := tally.Visit(r, i, float32(r), []float32{1, 2, 3}); err != nil {
			t.Fatal(err)
		}
		if err := h.visited(i); err != nil {
			t.Fatal(err)
		}
	}
	tally, h := begin(0)
	for r := range 3 {
		visit(tally, h, r, 1)
	}
	visit(tally, h, 0, 0)
	if lot[4] != nil || lot[7] == nil || len(lot[7].Margins) != 3 || lot[7].Sum[0] != 3 || lot[7].KeptSum[1] != 6 {
		t.Fatalf("held: %+v", lot)
	}
	tally, h = begin(time.Hour)
	if h.done[0] != 0 || h.done[1] != 3 {
		t.Fatalf("%v rows need no visit", h.done)
	}
	visit(tally, h, 3, 1)
	if len(lot[7].Margins) != 3 {
		t.Error("held too soon")
	}
	if err := h.all(); err != nil || len(lot[7].Margins) != 4 || lot[4] != nil {
		t.Errorf("after the end of all visits: %+v, %v", lot, err)
	}
	visit(tally, h, 4, 1)
	if err := h.all(); err != nil || len(lot[7].Margins) != 4 {
		t.Errorf("a finished example was held: %+v, %v", lot, err)
	}
}
