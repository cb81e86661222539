package edit

import (
	"context"
	"errors"
	"slices"
	"testing"

	"coar/internal/fault"
)

// bench is a made-up model: right and correct tell what each k does.
type bench struct {
	right    func(k int) bool
	correct  func(k int) int // of 1,000
	measured []int
}

func (b *bench) measure(_ context.Context, k int) (Measurement, error) {
	b.measured = append(b.measured, k)
	m := Measurement{Margins: []float64{-1}, Choosing: Accuracy{Correct: b.correct(k), Total: 1000}}
	if b.right(k) {
		m.Margins[0], m.TargetsRight = 1, 1
	}
	return m, nil
}

func fixed(m Measurement) bool { return m.TargetsRight == 1 }

func from(least int) func(int) bool { return func(k int) bool { return k >= least } }
func steady(int) int                { return 810 }

func (b *bench) search(t *testing.T, candidates int) Outcome {
	t.Helper()
	o, err := Search(context.Background(), Limits{Candidates: candidates, MaxDrop: 0.005}, b.measure, fixed)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSortedFunc(o.Curve, func(a, b Measurement) int { return a.K - b.K }) || len(o.Curve) != len(b.measured) {
		t.Errorf("the curve is not everything measured, ascending: %v", o.Curve)
	}
	return o
}

func TestSearchFindsTheSmallestPrefix(t *testing.T) {
	for _, least := range []int{0, 1, 3, 63, 64, 65, 66, 79, 80, 81, 210, 999, 1000} {
		b := &bench{right: from(least), correct: steady}
		o := b.search(t, 1000)
		if !o.Found || o.Chosen.K != least {
			t.Errorf("goal reached from %d on: found %v, k %d", least, o.Found, o.Chosen.K)
		}
		repeats := slices.Clone(b.measured)
		slices.Sort(repeats)
		if len(slices.Compact(repeats)) != len(b.measured) {
			t.Errorf("goal reached from %d on: some k was measured twice: %v", least, b.measured)
		}
		if len(b.measured) > 90 {
			t.Errorf("goal reached from %d on: %d measurements", least, len(b.measured))
		}
	}
}

func TestSearchWithoutAnAcceptablePrefix(t *testing.T) {
	for _, candidates := range []int{0, 1, 64, 65, 500} {
		b := &bench{right: from(1 << 20), correct: steady}
		o := b.search(t, candidates)
		if o.Found {
			t.Errorf("%d candidates: found k %d", candidates, o.Chosen.K)
		}
		if last := b.measured[len(b.measured)-1]; last != candidates {
			t.Errorf("%d candidates: the last k measured is %d", candidates, last)
		}
	}
}

// A k that fixes the target at too high a price is passed over, though a later one is dearer to reach.
func TestSearchHonoursMaxDrop(t *testing.T) {
	price := func(k int) int {
		if k >= 4 && k < 9 {
			return 804 // 6 of 1,000 lost
		}
		return 805 + 5*min(1, max(0, 1-k)) // exactly the 5 allowed
	}
	b := &bench{right: from(4), correct: price}
	if o := b.search(t, 100); !o.Found || o.Chosen.K != 9 {
		t.Errorf("found %v, k %d, want 9", o.Found, o.Chosen.K)
	}
	b = &bench{right: from(4), correct: func(k int) int { return 810 - 2*k }}
	if o := b.search(t, 100); o.Found {
		t.Errorf("found k %d, though every fix costs too much", o.Chosen.K)
	}
}

// The effect may come and go with k. What is promised: measured and acceptable, and no smaller measured k is.
func TestSearchOnEffectsThatComeAndGo(t *testing.T) {
	for seed := range 200 {
		right := func(k int) bool { return k > 40+seed && (k*2654435761>>7+seed)%11 == 0 }
		b := &bench{right: right, correct: steady}
		o := b.search(t, 2000)
		if !o.Found {
			continue
		}
		if !right(o.Chosen.K) {
			t.Fatalf("seed %d: k %d is not acceptable", seed, o.Chosen.K)
		}
		for _, k := range b.measured {
			if k < o.Chosen.K && right(k) {
				t.Fatalf("seed %d: chose %d, but %d was measured and is acceptable", seed, o.Chosen.K, k)
			}
		}
		if k := o.Chosen.K; k > 0 && !slices.Contains(b.measured, k-1) {
			t.Fatalf("seed %d: chose %d without measuring %d", seed, k, k-1)
		}
	}
}

func TestSearchMayLeaveTheChoosingSetUnmeasuredWhereTheGoalIsMissed(t *testing.T) {
	lazy := func(_ context.Context, k int) (Measurement, error) {
		m := Measurement{TargetsRight: k / 5}
		if k == 0 || k >= 5 {
			m.Choosing = Accuracy{Correct: 810, Total: 1000}
		}
		return m, nil
	}
	o, err := Search(context.Background(), Limits{Candidates: 10}, lazy, fixed)
	if err != nil || !o.Found || o.Chosen.K != 5 {
		t.Errorf("found %v, k %d, error %v, want 5", o.Found, o.Chosen.K, err)
	}
	forgetful := func(_ context.Context, k int) (Measurement, error) {
		return Measurement{TargetsRight: k, Choosing: Accuracy{Total: max(0, 1000-1000*k)}}, nil
	}
	if _, err := Search(context.Background(), Limits{Candidates: 10}, forgetful, fixed); err == nil {
		t.Error("a goal reached with the choosing set unmeasured must be an error")
	}
}

func TestSearchErrors(t *testing.T) {
	broken := errors.New("broken")
	measured := 0
	o, err := Search(context.Background(), Limits{Candidates: 10}, func(_ context.Context, k int) (Measurement, error) {
		if k == 3 {
			return Measurement{}, broken
		}
		measured++
		return Measurement{}, nil
	}, fixed)
	if !errors.Is(err, broken) || len(o.Curve) != 3 || measured != 3 {
		t.Errorf("error %v with a curve of %d, want the three measured before it", err, len(o.Curve))
	}
	ctx, cancel := context.WithCancel(context.Background())
	_, err = Search(ctx, Limits{Candidates: 10}, func(context.Context, int) (Measurement, error) { cancel(); return Measurement{}, nil }, fixed)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	for _, drop := range []float64{-0.1, 1.5} {
		_, err := Search(context.Background(), Limits{MaxDrop: drop}, nil, nil)
		if fault.KindOf(err) != fault.Usage {
			t.Errorf("--max-drop %v: %v, want fault.Usage", drop, err)
		}
	}
}

// In floating point 4/5 - 0.2 is more than 3/5; of five examples, a drop of 0.2 is one all the same.
func TestAffordableCounts(t *testing.T) {
	for _, c := range []struct {
		before, after, total int
		maxDrop              float64
		want                 bool
	}{
		{4, 3, 5, 0.2, true}, {4, 3, 5, 0.19, false}, {4, 2, 5, 0.2, false}, {10, 3, 10, 0.7, true}, {3, 4, 5, 0, true}, {0, 0, 0, 0, true},
	} {
		before, after := Accuracy{c.before, c.total}, Accuracy{c.after, c.total}
		if got := (Limits{MaxDrop: c.maxDrop}).Affordable(before, after); got != c.want {
			t.Errorf("from %d to %d of %d, max drop %g: %v, want %v", c.before, c.after, c.total, c.maxDrop, got, c.want)
		}
	}
}
