package study

import (
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"gonum.org/v1/gonum/stat"

	"coar/internal/ablate"
	"coar/internal/fault"
	"coar/internal/regress"
	"coar/internal/store"
)

const (
	testRows, testExamples = 120, 6
	testGradientRows       = 40
)

// testGroups are the component groups of the test's run.
var testGroups = []store.Group{{Key: "a", Rows: 7}, {Key: "b", Rows: 5}}

// linearRun is a run whose margins are linear in the keep values, with coefficients theta [testExamples][12], and whose
// gradient rows say for group b that its coefficients are half of what they are.
func linearRun(t *testing.T) (dir string, m store.Manifest, theta [][]float64) {
	t.Helper()
	random := rand.New(rand.NewPCG(8, 0))
	m = store.Manifest{Program: "test", Arch: "test", Weights: store.Weights{SHA256: strings.Repeat("0", 64)}, Data: store.Data{SHA256: strings.Repeat("1", 64)},
		Groups: testGroups, Fraction: 0.2, Masks: testRows, Gradients: []int{testGradientRows}, Output: "margin", Split: "test", DType: "float32", Precision: "f32", InstructionSet: "test"}
	for i := range testExamples {
		m.ExampleIDs, m.Positions, m.Labels = append(m.ExampleIDs, string(rune('a'+i))), append(m.Positions, i), append(m.Labels, 0)
	}
	p := m.NComponents()
	theta = make([][]float64, testExamples)
	for i := range theta {
		for range p {
			theta[i] = append(theta[i], random.NormFloat64())
		}
	}
	dir = filepath.Join(t.TempDir(), "run")
	run, err := store.Create(dir, m)
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	rows, err := run.Rows()
	if err != nil {
		t.Fatal(err)
	}
	for r := range testRows {
		keep, margins := make([]byte, p), make([]float32, testExamples)
		for c := range keep {
			if random.Float64() >= m.Fraction {
				keep[c] = 1
			}
		}
		for i := range margins {
			margins[i] = float32(i) + float32(0.01*random.NormFloat64())
			for c, k := range keep {
				margins[i] += float32(k) * float32(theta[i][c])
			}
		}
		if err := rows.Commit(r, keep, margins); err != nil {
			t.Fatal(err)
		}
	}
	const softened = 16
	lots, err := run.Gradients(func(store.GradientLot) (store.LotRows, error) {
		d := store.LotRows{Softened: make([]int32, p), Kept: make([]int32, p), MeanKeep: make([]float32, p)}
		for c := range p {
			d.Softened[c], d.Kept[c], d.MeanKeep[c] = softened, testGradientRows-softened, 0.8
		}
		return d, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range testExamples {
		sum, sumSq, keptSum := make([]float32, p), make([]float32, p), make([]float32, p)
		for c, v := range theta[i] {
			if c >= testGroups[0].Rows {
				v /= 2
			}
			sum[c], sumSq[c], keptSum[c] = float32(softened*v), float32(softened*(v*v+1e-6)), float32((testGradientRows-softened)*v)
		}
		margins, keep := make([]float32, testGradientRows), make([]float32, p)
		for r := range margins { // as linear as the sums say
			ablate.SoftSampler{Seed: m.Seed, Fraction: m.Fraction}.Row(r, keep)
			for c, k := range keep {
				margins[r] += k * sum[c] / softened
			}
		}
		if err := lots[0].Commit(i, sum, sumSq, keptSum, margins); err != nil {
			t.Fatal(err)
		}
	}
	return dir, m, theta
}

// priorOf opens the run's hard rows with its gradient attributions, for examples 5, 2 and 0.
func priorOf(t *testing.T, dir string, m *store.Manifest) *PriorDataset {
	t.Helper()
	arrays, err := store.OpenArrays(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	prior, err := OpenPrior(t.Context(), dir, m)
	if err != nil || prior == nil {
		t.Fatalf("%v %v", prior, err)
	}
	t.Cleanup(func() { arrays.Close(); prior.Close() })
	return &PriorDataset{ComponentDataset: NewComponentDataset(arrays, []int{0, 2, 5}), Prior: prior}
}

// Predictions are the sums of the prior's attributions over what a row keeps, of the examples that are selected.
func TestPredictions(t *testing.T) {
	dir, m, _ := linearRun(t)
	d := priorOf(t, dir, &m)
	got, keep := make([]float32, testRows*2), make([]byte, m.NComponents())
	if err := d.Predictions(t.Context(), 1, 3, got); err != nil {
		t.Fatal(err)
	}
	for i, example := range []int{2, 5} {
		a, err := d.Prior.Estimate(example)
		if err != nil {
			t.Fatal(err)
		}
		for r := range testRows {
			if err := d.KeepRow(r, keep); err != nil {
				t.Fatal(err)
			}
			want := 0.0
			for c, k := range keep {
				want += float64(k) * a.Theta[c]
			}
			if math.Abs(float64(got[2*r+i])-want) > 1e-5 {
				t.Fatalf("row %d, example %d: %g, want %g", r, example, got[2*r+i], want)
			}
		}
	}
}

// Calibration finds that the attributions of group b are half of what they should be; with its factors the prior predicts
// the hard rows all but exactly, and what is reported before and after is so.
func TestCalibrate(t *testing.T) {
	dir, m, theta := linearRun(t)
	d := priorOf(t, dir, &m)
	held := regress.HeldRows(testRows, regress.Options{ValFraction: 0.2})
	c, err := d.Calibrate(held)
	if err != nil || c == nil {
		t.Fatalf("%v %v", c, err)
	}
	if math.Abs(c.Factors[0]-1) > 0.02 || math.Abs(c.Factors[1]-2) > 0.04 || c.After > 0.01 || c.Before < 10*c.After {
		t.Errorf("%+v", c)
	}
	d.Prior.UseFactors(c.Factors)
	a, err := d.Prior.Estimate(2)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range a.Theta {
		if math.Abs(v-theta[2][i]) > 0.03*math.Abs(theta[2][i])+0.01 {
			t.Errorf("component %d: %g, want %g", i, v, theta[2][i])
		}
	}
	err = d.Alone(t.Context(), func(i int, s PriorScore) error {
		if s.Correlation < 0.99 || math.Abs(s.Intercept-float64(d.Example(i))) > 0.3 {
			t.Errorf("example %d: %+v", d.Example(i), s)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	many := make([]int, testRows-5)
	for i := range many {
		many[i] = i
	}
	if c, err := d.Calibrate(many); c != nil || err != nil {
		t.Errorf("of five rows: %+v %v", c, err)
	}
}

// A prediction on disk that no model makes is refused by name.
func TestIntactPredictionsAreChecked(t *testing.T) {
	dir, m, _ := linearRun(t)
	run, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	predictions := make([]int32, m.NExamples())
	for _, last := range []int32{0, -1} {
		predictions[len(predictions)-1] = last
		if err := run.WriteInt32(store.BasePredictionsName, predictions, len(predictions)); err != nil {
			t.Fatal(err)
		}
		got, err := IntactPredictions(dir, &m)
		if last < 0 && (fault.KindOf(err) != fault.Malformed || !strings.Contains(err.Error(), store.BasePredictionsName)) || last == 0 && len(got) != len(predictions) {
			t.Errorf("%d: %v %v", last, got, err)
		}
	}
}

// The variance of keep values is that of the completed rows.
func TestKeepVariance(t *testing.T) {
	dir, m, _ := linearRun(t)
	d := priorOf(t, dir, &m)
	got, err := d.KeepVariance()
	if err != nil {
		t.Fatal(err)
	}
	nRows, p, _ := d.Shape()
	keep := make([]byte, p)
	for c := range p {
		var values []float64
		for row := range nRows {
			if err := d.KeepRow(row, keep); err != nil {
				t.Fatal(err)
			}
			values = append(values, float64(keep[c]))
		}
		if want := stat.PopVariance(values, nil); math.Abs(got[c]-want) > 1e-12 {
			t.Errorf("component %d: %v, want %v", c, got[c], want)
		}
	}
}
