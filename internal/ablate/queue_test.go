package ablate

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"coar/internal/fault"
)

// Groups are runs of consecutive rows; together they are the rows to do, each once.
func TestQueueHandsOutEveryRowOnce(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		var todo []int
		for r := range rng.IntN(300) {
			if rng.IntN(10) > 0 {
				todo = append(todo, r)
			}
		}
		q := &queue{todo: slices.Clone(todo), workers: 1 + rng.IntN(4)}
		var got []int
		for {
			first, n := q.next()
			if n == 0 {
				break
			}
			for r := range n {
				got = append(got, first+r)
			}
			q.took(n, time.Duration(rng.Int64N(int64(3*time.Second))))
		}
		if !slices.Equal(got, todo) {
			t.Fatalf("handed out %v of %v", got, todo)
		}
	}
}

func TestQueueSizesGroups(t *testing.T) {
	rows := make([]int, 1000)
	for i := range rows {
		rows[i] = i
	}
	q := &queue{todo: rows, workers: 2}
	if _, n := q.next(); n != 1 {
		t.Errorf("the first group has %d rows; nothing is known yet of what a row costs", n)
	}
	q.took(1, groupTime/50)
	if _, n := q.next(); n != 50 {
		t.Errorf("%d rows in a group that holds 50", n)
	}
	q.took(50, 0) // immeasurably fast
	if _, n := q.next(); n != 949/4 {
		t.Errorf("%d rows in a group, want a quarter of the 949 that are left for two workers", n)
	}
	q.took(1, 10*groupTime)
	if _, n := q.next(); n != 1 {
		t.Errorf("%d rows in a group although one takes longer than a group should", n)
	}
}

func TestCheckRefusesFractions(t *testing.T) {
	zero := 0.0
	for _, c := range []struct {
		fraction float64
		ok       bool
	}{{0.1, true}, {1e-9, true}, {0.999, true}, {0, false}, {1, false}, {-0.1, false}, {1.5, false}, {10, false}, {zero / zero, false}, {1 / zero, false}} {
		err := Sampler{Fraction: c.fraction}.Check()
		if (err == nil) != c.ok || err != nil && fault.KindOf(err) != fault.Usage {
			t.Errorf("fraction %v: %v", c.fraction, err)
		}
	}
}

// A row is a function of seed, purpose, row, component and fraction alone: not of how many components are asked for, and
// a higher fraction ablates what a lower one did and more.
func TestRowsNest(t *testing.T) {
	long, short, more := make([]byte, 103), make([]byte, 50), make([]byte, 103)
	for _, r := range []int{0, 1, 1 << 20, 1 << 33} {
		s := Sampler{Seed: 1 << 60, Purpose: Gradient, Fraction: 0.2}
		s.Row(r, long)
		s.Row(r, short)
		if !slices.Equal(long[:50], short) {
			t.Errorf("row %d depends on the number of components", r)
		}
		s.Fraction = 0.4
		s.Row(r, more)
		for c := range long {
			if more[c] > long[c] {
				t.Errorf("row %d: component %d is ablated at fraction 0.2 and kept at 0.4", r, c)
			}
		}
	}
}
