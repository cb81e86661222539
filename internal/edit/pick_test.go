package edit

import (
	"math"
	"slices"
	"testing"
)

func TestReferencesAreRightAndNoTargets(t *testing.T) {
	right := make([]bool, 200)
	for i := range right {
		right[i] = i%3 != 0
	}
	got := References(right, []int{1, 2}, 5)
	if len(got) != DefaultReferences || !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
		t.Fatalf("got %v, want %d distinct examples, ascending", got, DefaultReferences)
	}
	for _, example := range got {
		if !right[example] || example == 1 || example == 2 {
			t.Errorf("example %d is wrong or a target", example)
		}
	}
	if !slices.Equal(got, References(right, []int{1, 2}, 5)) {
		t.Error("the same seed gives other references")
	}
	if slices.Equal(got, References(right, []int{1, 2}, 6)) {
		t.Error("another seed gives the same references")
	}
	if got := References([]bool{true, false, true}, []int{0}, 1); !slices.Equal(got, []int{2}) {
		t.Errorf("got %v, want all there is: [2]", got)
	}
}

// A run of 100 images out of 10,000: the four sets share nothing, and together they are the whole data source.
func TestSetsPartitionTheDataSource(t *testing.T) {
	targets := []int{17}
	references := make([]int, 0, 50)
	for i := range 50 {
		references = append(references, 20+i)
	}
	choosing := Choosing(10000, targets, references, 3)
	holdout := Holdout(10000, targets, references, choosing, 3)
	if len(choosing) != DefaultChoosing || len(holdout) != 10000-1-50-1000 {
		t.Fatalf("%d to choose on and %d held out", len(choosing), len(holdout))
	}
	seen := make(map[int]int)
	for _, set := range [][]int{targets, references, choosing, holdout} {
		if !slices.IsSorted(set) {
			t.Error("a set is not ascending")
		}
		for _, position := range set {
			seen[position]++
		}
	}
	if len(seen) != 10000 {
		t.Errorf("%d positions in all, want 10,000", len(seen))
	}
	for position, n := range seen {
		if n != 1 || position < 0 || position >= 10000 {
			t.Errorf("position %d is in %d sets", position, n)
		}
	}
	outside := Without(slices.Concat(choosing, holdout), positions(100))
	if len(outside) != 9900 {
		t.Errorf("%d of the images measured are outside the run, want 9,900", len(outside))
	}
}

func TestSizesOfTheSets(t *testing.T) {
	for _, c := range []struct{ nDataset, choosing, holdout int }{
		{0, 0, 0}, {1, 0, 0}, {2, 0, 1}, {101, 50, 50}, {1001, 500, 500}, {2001, 1000, 1000}, {11001, 1000, 10000}, {60000, 1000, 10000},
	} {
		choosing := Choosing(c.nDataset, []int{0}, nil, 1)
		holdout := Holdout(c.nDataset, []int{0}, nil, choosing, 1)
		if len(choosing) != c.choosing || len(holdout) != c.holdout {
			t.Errorf("of %d: %d and %d, want %d and %d", c.nDataset, len(choosing), len(holdout), c.choosing, c.holdout)
		}
	}
}

// Every example must be as likely as any other.
func TestDrawIsUniform(t *testing.T) {
	counts := make([]float64, 20)
	const draws, size = 20000, 7
	for seed := range uint64(draws) {
		for _, v := range draw(positions(20), size, seed, streamChoosing) {
			counts[v]++
		}
	}
	expected := float64(draws) * size / 20
	for v, n := range counts {
		// Six standard deviations of a binomial count.
		if math.Abs(n-expected) > 6*math.Sqrt(expected*(1-float64(size)/20)) {
			t.Errorf("example %d was drawn %v times, expected about %v", v, n, expected)
		}
	}
}

func TestStreamsOfOneSeedDiffer(t *testing.T) {
	a := draw(positions(1000), 50, 1, streamReferences)
	b := draw(positions(1000), 50, 1, streamChoosing)
	c := draw(positions(1000), 50, 1, streamHoldout)
	if slices.Equal(a, b) || slices.Equal(b, c) || slices.Equal(a, c) {
		t.Error("two purposes of one seed draw the same examples")
	}
}
