package edit

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"coar/internal/fault"
)

func attributionsOf(theta [][]float32) Attributions {
	return Attributions{
		NExamples: len(theta), NComponents: len(theta[0]),
		Row: func(example int, dst []float32) error { copy(dst, theta[example]); return nil },
	}
}

// The golden rankings were computed with numpy by testdata/golden.py.
func TestRankAgreesWithNumpy(t *testing.T) {
	text, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name                string
		Theta               [][]float32
		Targets, References []int
		Epsilon             float64
		Scores              []float64
		Raise, Lower        []int
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			for direction, want := range map[Direction][]int{Raise: c.Raise, Lower: c.Lower} {
				r, err := Rank(attributionsOf(c.Theta), c.Targets, c.References, direction)
				if err != nil {
					t.Fatal(err)
				}
				if math.Abs(r.Epsilon-c.Epsilon) > 1e-12 {
					t.Errorf("epsilon %v, want %v", r.Epsilon, c.Epsilon)
				}
				if got := r.Prefix(len(r.Candidates)); !slices.Equal(got, want) {
					t.Errorf("%v: ranking %v, want %v", direction, got, want)
				}
				for _, candidate := range r.Candidates {
					if want := c.Scores[candidate.Component]; math.Abs(candidate.Score-want) > 1e-9*max(1, math.Abs(want)) {
						t.Errorf("component %d scores %v, want %v", candidate.Component, candidate.Score, want)
					}
				}
			}
		})
	}
}

// Where one target and sparse references leave no variance at all, scores stay finite and keep the order of the differences.
func TestScoresAreFiniteWithoutAnyVariance(t *testing.T) {
	theta := [][]float32{make([]float32, 100), make([]float32, 100), make([]float32, 100)}
	theta[0][70], theta[0][30], theta[0][50] = -3, -1, -2
	r, err := Rank(attributionsOf(theta), []int{0}, []int{1, 2}, Raise)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Prefix(len(r.Candidates)); !slices.Equal(got, []int{70, 50, 30}) {
		t.Errorf("ranking %v, want 70, 50, 30", got)
	}
	for _, c := range r.Candidates {
		if math.IsInf(c.Score, 0) || math.IsNaN(c.Score) {
			t.Errorf("component %d scores %v", c.Component, c.Score)
		}
	}
	if r.Epsilon != 2 {
		t.Errorf("epsilon %v, want 2, the median of the magnitudes that are not 0", r.Epsilon)
	}
}

func TestTargetsNeverCountAsReferences(t *testing.T) {
	theta := [][]float32{{1, -1}, {2, 5}, {-3, 0}}
	a, err := Rank(attributionsOf(theta), []int{0}, []int{0, 1, 2, 2}, Raise)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Rank(attributionsOf(theta), []int{0}, []int{1, 2}, Raise)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(a.Candidates, b.Candidates) || !slices.Equal(a.References, []int{1, 2}) {
		t.Errorf("got %+v, want %+v", a, b)
	}
}

func TestRankRefuses(t *testing.T) {
	broken := errors.New("broken")
	theta := [][]float32{{1}, {2}}
	for _, c := range []struct {
		name                string
		a                   Attributions
		targets, references []int
		want                func(error) bool
	}{
		{"no target", attributionsOf(theta), nil, []int{1}, isKind(fault.Usage)},
		{"no reference but the target", attributionsOf(theta), []int{0}, []int{0}, isKind(fault.Usage)},
		{"target outside the run", attributionsOf(theta), []int{2}, []int{0}, isKind(fault.Usage)},
		{"reference outside the run", attributionsOf(theta), []int{0}, []int{-1}, isKind(fault.Usage)},
		{"NaN", attributionsOf([][]float32{{1}, {float32(math.NaN())}}), []int{0}, []int{1}, isKind(fault.Malformed)},
		{"unreadable", Attributions{NExamples: 2, NComponents: 1, Row: func(int, []float32) error { return broken }}, []int{0}, []int{1},
			func(err error) bool { return errors.Is(err, broken) }},
	} {
		if _, err := Rank(c.a, c.targets, c.references, Raise); err == nil || !c.want(err) {
			t.Errorf("%s: unexpected error %v", c.name, err)
		}
	}
}

func isKind(kind fault.Kind) func(error) bool {
	return func(err error) bool { return fault.KindOf(err) == kind }
}

// The two-pass median of |θ| must be the sorted one, for any size and however many zeros.
func TestMedianOfMagnitudes(t *testing.T) {
	random := rand.New(rand.NewPCG(11, 0))
	for range 200 {
		theta := make([][]float32, 1+random.IntN(4))
		var all []float64
		width := 1 + random.IntN(9)
		for i := range theta {
			theta[i] = make([]float32, width)
			for c := range theta[i] {
				switch random.IntN(4) {
				case 0: // stays 0
				case 1:
					theta[i][c] = float32(random.NormFloat64())
				case 2:
					theta[i][c] = float32(math.Ldexp(random.NormFloat64(), random.IntN(200)-140))
				case 3:
					theta[i][c] = float32(math.Copysign(0, -1))
				}
				all = append(all, math.Abs(float64(theta[i][c])))
			}
		}
		var examples []int
		for i := range theta {
			examples = append(examples, i)
		}
		m, err := countMagnitudes(attributionsOf(theta), examples)
		if err != nil {
			t.Fatal(err)
		}
		got, err := m.median(0, len(all))
		if err != nil {
			t.Fatal(err)
		}
		if want := median(slices.Clone(all)); got != want {
			t.Fatalf("median of %v = %v, want %v", all, got, want)
		}
		all = slices.DeleteFunc(all, func(v float64) bool { return v == 0 })
		got, err = m.median(m.zeros, len(all))
		if err != nil {
			t.Fatal(err)
		}
		if want := median(all); got != want {
			t.Fatalf("median of %v = %v, want %v", all, got, want)
		}
	}
}
