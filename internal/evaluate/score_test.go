package evaluate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"coar/internal/fault"
)

// randomRows makes rows whose margins follow the attributions with noise.
func randomRows(seed uint64, nRows, nComponents, nExamples int, noise float64) Rows {
	random := rand.New(rand.NewPCG(seed, 0))
	keep := make([][]bool, nRows)
	for r := range keep {
		keep[r] = make([]bool, nComponents)
		for c := range keep[r] {
			keep[r][c] = random.Float64() >= 0.1
		}
	}
	theta := make([][]float32, nExamples)
	for i := range theta {
		theta[i] = make([]float32, nComponents)
		for c := range theta[i] {
			theta[i][c] = float32(random.NormFloat64())
		}
	}
	margins := make([][]float32, nRows)
	for r := range margins {
		margins[r] = make([]float32, nExamples)
		for i := range margins[r] {
			sum := 1.0
			for c, v := range theta[i] {
				if keep[r][c] {
					sum += float64(v)
				}
			}
			margins[r][i] = float32(sum + noise*random.NormFloat64())
		}
	}
	intercepts := make([]float32, nExamples)
	for i := range intercepts {
		intercepts[i] = 1
	}
	return rowsOf(keep, theta, intercepts, margins)
}

func score(t *testing.T, rows Rows, options Options) Fraction {
	t.Helper()
	f, err := Score(context.Background(), rows, options)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestResultDoesNotDependOnWorkers(t *testing.T) {
	rows := randomRows(1, 50, 100, 3*blockExamples+5, 3)
	one := score(t, rows, Options{Seed: 4, Draws: 60, Workers: 1})
	many := score(t, rows, Options{Seed: 4, Draws: 60, Workers: 7})
	if !reflect.DeepEqual(one, many) {
		t.Error("one worker and seven give different results")
	}
}

func TestResultDoesNotDependOnTheOtherExamples(t *testing.T) {
	// Example by example, and so across the edges of lanes and blocks, scores must be those of the example alone.
	rows := randomRows(2, 30, 65, 2*blockExamples+3, 3)
	all := score(t, rows, Options{Draws: 1})
	for example := range rows.NExamples {
		alone := rows
		alone.NExamples = 1
		alone.Attribution = func(_ int, dst []float32) error { return rows.Attribution(example, dst) }
		alone.Margins = func(row, _ int, dst []float32) error { return rows.Margins(row, example, dst) }
		alone.Intercepts, alone.IDs, alone.Labels = rows.Intercepts[example:example+1], rows.IDs[example:example+1], rows.Labels[:1]
		if got := score(t, alone, Options{Draws: 1}).Scores[0]; !reflect.DeepEqual(got, all.Scores[example]) {
			t.Errorf("example %d alone scores %+v, among others %+v", example, got, all.Scores[example])
		}
	}
}

func TestIntervalHoldsTheMeanAndNarrowsWithRows(t *testing.T) {
	few := score(t, randomRows(3, 40, 50, 20, 6), Options{}).Correlation
	many := score(t, randomRows(3, 640, 50, 20, 6), Options{}).Correlation
	for _, c := range []Correlation{few, many} {
		if !(c.Low < c.Mean && c.Mean < c.High) {
			t.Errorf("mean %v outside its interval %v to %v", c.Mean, c.Low, c.High)
		}
		if c.Draws != 1000 {
			t.Errorf("%d draws, want 1000", c.Draws)
		}
	}
	// Sixteen times the rows: a quarter of the width.
	if ratio := (few.High - few.Low) / (many.High - many.Low); ratio < 2.5 || ratio > 6.5 {
		t.Errorf("16 times the rows narrow the interval by %v, want about 4", ratio)
	}
}

func TestExactAttributionsScorePerfectly(t *testing.T) {
	f := score(t, randomRows(4, 60, 40, 5, 0), Options{})
	for _, c := range []struct {
		name      string
		got, want Number
	}{
		{"mean", f.Correlation.Mean, 1}, {"low", f.Correlation.Low, 1}, {"high", f.Correlation.High, 1},
		{"MSE", f.MSE, 0}, {"R2", f.R2.Pooled, 1}, {"slope", f.CalibrationSlope.Pooled, 1},
	} {
		if math.Abs(float64(c.got-c.want)) > 1e-6 {
			t.Errorf("%s = %v, want %v", c.name, c.got, c.want)
		}
	}
}

func TestLargeOffsetsDoNotCancel(t *testing.T) {
	// Margins near 4096 in steps of 1/1024, exact in float32: a one-pass variance in float32 would be noise.
	rows := randomRows(5, 50, 30, 3, 0)
	plain := rows.Margins
	rows.Margins = func(row, first int, dst []float32) error {
		err := plain(row, first, dst)
		for i := range dst {
			dst[i] = float32(math.Round(float64(dst[i])*64) / 1024)
		}
		return err
	}
	shifted := rows
	shifted.Margins = func(row, first int, dst []float32) error {
		err := rows.Margins(row, first, dst)
		for i := range dst {
			dst[i] += 4096
		}
		return err
	}
	a, b := score(t, rows, Options{}).Correlation, score(t, shifted, Options{}).Correlation
	for _, pair := range [][2]Number{{a.Mean, b.Mean}, {a.Low, b.Low}, {a.High, b.High}} {
		near(t, "shifted", float64(pair[1]), float64(pair[0]))
	}
}

// θ on components that no row ablates is a constant prediction, exactly, whatever the sums' rounding.
func TestConstantPredictionsCountAsZero(t *testing.T) {
	random := rand.New(rand.NewPCG(6, 6))
	keep := make([][]bool, 25)
	margins := make([][]float32, 25)
	for r := range keep {
		keep[r] = make([]bool, 80)
		for c := range keep[r] {
			keep[r][c] = c < 40 || random.Float64() < 0.5
		}
		margins[r] = []float32{float32(random.NormFloat64()), 2}
	}
	theta := make([][]float32, 2)
	for i := range theta {
		theta[i] = make([]float32, 80)
		for c := range 40 {
			theta[i][c] = float32(random.NormFloat64())
		}
	}
	theta[1][60] = 1 // varies, but the margins of example 1 do not
	f := score(t, rowsOf(keep, theta, []float32{0.1, 0.2}, margins), Options{})
	c := f.Correlation
	if c.Undefined != 2 || c.Mean != 0 || c.Low != 0 || c.High != 0 {
		t.Errorf("got %+v, want two undefined examples that count as 0", c)
	}
	if !math.IsNaN(f.Scores[0].Slope) || f.Scores[1].Slope != 0 || !math.IsNaN(f.Scores[1].R2) {
		t.Errorf("slopes %v, %v and R2 %v, want NaN, 0 and NaN", f.Scores[0].Slope, f.Scores[1].Slope, f.Scores[1].R2)
	}
}

func TestOneRowIsUndefinedAndNoRowIsAnError(t *testing.T) {
	rows := randomRows(7, 1, 10, 3, 1)
	if got := score(t, rows, Options{}).Correlation.Undefined; got != 3 {
		t.Errorf("with one row %d examples are undefined, want 3", got)
	}
	rows.NRows = 0
	if _, err := Score(context.Background(), rows, Options{}); fault.KindOf(err) != fault.Missing {
		t.Errorf("without rows: %v, want fault.Missing", err)
	}
}

func TestErrors(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		name string
		mend func(*Rows)
		want func(error) bool
	}{
		{"keep", func(r *Rows) { r.Keep = func(int, []bool) error { return broken } }, func(err error) bool { return errors.Is(err, broken) }},
		{"margins", func(r *Rows) { r.Margins = func(int, int, []float32) error { return broken } }, func(err error) bool { return errors.Is(err, broken) }},
		{"attributions", func(r *Rows) { r.Attribution = func(int, []float32) error { return broken } }, func(err error) bool { return errors.Is(err, broken) }},
		{"NaN margin", func(r *Rows) {
			r.Margins = func(_, _ int, dst []float32) error { dst[len(dst)-1] = float32(math.NaN()); return nil }
		}, func(err error) bool { return fault.KindOf(err) == fault.Malformed }},
		{"infinite attribution", func(r *Rows) {
			r.Attribution = func(_ int, dst []float32) error { dst[0] = float32(math.Inf(1)); return nil }
		}, func(err error) bool { return fault.KindOf(err) == fault.Malformed }},
		{"NaN intercept", func(r *Rows) { r.Intercepts = []float32{float32(math.NaN()), 0} }, func(err error) bool { return fault.KindOf(err) == fault.Malformed }},
		{"too few intercepts", func(r *Rows) { r.Intercepts = nil }, func(err error) bool { return fault.KindOf(err) == fault.Conflict }},
	} {
		rows := randomRows(8, 5, 6, 2, 1)
		c.mend(&rows)
		if _, err := Score(context.Background(), rows, Options{}); err == nil || !c.want(err) {
			t.Errorf("%s: unexpected error %v", c.name, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Score(ctx, randomRows(8, 5, 6, 2, 1), Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestWorstAreTheLowestInOrder(t *testing.T) {
	f := score(t, randomRows(9, 30, 20, 25, 5), Options{Draws: 1})
	if len(f.Worst) != worstListed {
		t.Fatalf("%d listed, want %d", len(f.Worst), worstListed)
	}
	below := 0
	for _, e := range f.Scores {
		if Number(e.Correlation) < f.Worst[worstListed-1].Correlation {
			below++
		}
	}
	if below != worstListed-1 {
		t.Errorf("%d examples are below the last one listed, want %d", below, worstListed-1)
	}
}

func TestWrittenFormats(t *testing.T) {
	results := Results{Fractions: []Fraction{{
		Fraction: 0.1, Trained: true, Rows: 500, Examples: 2,
		Correlation: Correlation{Mean: 0.5, Low: 0.4, High: 0.6, Q1: 0.1, Median: 0.5, Q3: 0.9, Undefined: 1, Draws: 1000, Seed: 1},
		MSE:         2, R2: Pooled{Pooled: Number(math.NaN()), Mean: 0, Median: -1}, CalibrationSlope: Pooled{1, 1, 1},
		Worst: []Worst{{"a/b, c.png", "cat", 0}},
		Scores: []Example{
			{ID: "a/b, c.png", Label: "cat", Undefined: true, MSE: 3, R2: math.NaN(), Slope: math.NaN(), Intercept: math.NaN()},
			{ID: "7", Label: "dog", Correlation: 1. / 3, MSE: 1, R2: 0.5, Slope: 1, Intercept: -0.25},
		},
	}}}
	var text bytes.Buffer
	if err := results.WriteCSV(&text); err != nil {
		t.Fatal(err)
	}
	want := "fraction,id,label,correlation,undefined,mse,r2,calibration_slope,calibration_intercept\n" +
		"0.1,\"a/b, c.png\",cat,0,true,3,,,\n" +
		"0.1,7,dog,0.3333333333333333,false,1,0.5,1,-0.25\n"
	if text.String() != want {
		t.Errorf("CSV\n%s\nwant\n%s", text.String(), want)
	}

	text.Reset()
	if err := results.WriteJSON(&text); err != nil {
		t.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, text.Bytes()); err != nil {
		t.Fatal(err)
	}
	want = `{"fractions":[{"fraction":0.1,"trained":true,"rows":500,"examples":2,` +
		`"correlation":{"mean":0.5,"low":0.4,"high":0.6,"q1":0.1,"median":0.5,"q3":0.9,"undefined":1,"draws":1000,"seed":1},` +
		`"mse":2,"r2":{"pooled":null,"mean":0,"median":-1},"calibration_slope":{"pooled":1,"mean":1,"median":1},` +
		`"worst":[{"id":"a/b, c.png","label":"cat","correlation":0}]}]}`
	if got := strings.TrimSpace(compact.String()); got != want {
		t.Errorf("JSON\n%s\nwant\n%s", got, want)
	}
	var back Results
	if err := json.Unmarshal(text.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if !math.IsNaN(float64(back.Fractions[0].R2.Pooled)) || back.Fractions[0].Correlation.Mean != 0.5 {
		t.Errorf("read back %+v", back)
	}
}
