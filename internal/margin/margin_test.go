package margin

import (
	"math"
	"math/big"
	"testing"

	"coar/internal/fault"
)

func parse(t *testing.T, s string) Output {
	t.Helper()
	o, err := Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestOf(t *testing.T) {
	for _, c := range []struct {
		output string
		logits []float32
		label  int
		want   float64
	}{
		{"margin", []float32{1, 2, 4}, 2, 2},
		{"margin", []float32{1, 2, 4}, 0, -3},
		{"margin", []float32{5, 5}, 1, 0},
		{"", []float32{-7, -3}, 0, -4},
		{"margin", []float32{1e30, -1e30}, 0, 2e30},
		{"logit", []float32{1, 2, 4}, 1, 2},
		{"logit:2", []float32{1, 2, 4}, 0, 4},
		{"logit:0", []float32{1, 2, 4}, 2, 1},
		{"logodds", []float32{1.5, 0.25}, 0, 1.25}, // with two classes, the margin
		{"logodds", []float32{0, 0, 0, 0, 0}, 3, -math.Log(4)},
		{"logodds", []float32{1000, 0, 0}, 0, 1000 - math.Log(2)},
		{"logodds", []float32{-3e38, 3e38, 3e38}, 1, -math.Log(1)},
	} {
		got := float64(parse(t, c.output).Of(c.logits, c.label))
		if math.Abs(got-c.want) > 1e-6*(1+math.Abs(c.want)) {
			t.Errorf("%q of %v for class %d is %g, want %g", c.output, c.logits, c.label, got, c.want)
		}
	}
}

// logOddsReference is log p − log(1−p) of a softmax in 4,000-bit arithmetic: the powers of e by Taylor's series.
func logOddsReference(logits []float32, label int) float64 {
	exp := func(x float64) *big.Float {
		const halvings = 12
		y := new(big.Float).SetPrec(4000).SetFloat64(x)
		y.SetMantExp(y, -halvings)
		sum, term := new(big.Float).SetPrec(4000).SetInt64(1), new(big.Float).SetPrec(4000).SetInt64(1)
		for n := int64(1); n < 300; n++ {
			term.Quo(term.Mul(term, y), big.NewFloat(float64(n)))
			sum.Add(sum, term)
		}
		for range halvings {
			sum.Mul(sum, sum)
		}
		return sum
	}
	others := new(big.Float).SetPrec(4000)
	for k, v := range logits {
		if k != label {
			others.Add(others, exp(float64(v)))
		}
	}
	ratio := others.Quo(exp(float64(logits[label])), others)
	mantissa := new(big.Float)
	exponent := ratio.MantExp(mantissa)
	m, _ := mantissa.Float64()
	return math.Log(m) + float64(exponent)*math.Ln2
}

// Confident predictions are where log p − log(1−p) in floating point would be infinite or lose its digits.
func TestLogOddsDoNotCancel(t *testing.T) {
	for _, logits := range [][]float32{
		{0.5, -0.25, 1.75}, {20, 0, 1, 2}, {60, 3, -4, 3.5}, {120, 0, 0.5}, {700, -700, 5}, {-300, 10, 11}, {900, 899.5, 899, 20},
	} {
		for label := range logits {
			want := logOddsReference(logits, label)
			got := float64(parse(t, "logodds").Of(logits, label))
			if math.Abs(got-want) > 1e-7*(1+math.Abs(want)) {
				t.Errorf("log-odds of %v for class %d are %g, want %g", logits, label, got, want)
			}
		}
	}
}

// Adding a constant to all logits changes neither margin nor log-odds.
func TestOutputsDependOnDifferences(t *testing.T) {
	logits, moved := []float32{3, -1, 0.5, 2}, make([]float32, 4)
	for i, v := range logits {
		moved[i] = v + 1024
	}
	for _, name := range []string{"margin", "logodds"} {
		for label := range logits {
			a, b := parse(t, name).Of(logits, label), parse(t, name).Of(moved, label)
			if math.Abs(float64(a-b)) > 1e-6 {
				t.Errorf("%s of class %d is %g, and %g with 1024 added to all logits", name, label, a, b)
			}
		}
	}
}

func TestParseRoundTrip(t *testing.T) {
	for _, s := range []string{"margin", "logodds", "logit", "logit:0", "logit:999"} {
		if got := parse(t, s).String(); got != s {
			t.Errorf("%q reads as %q", s, got)
		}
	}
	if got := parse(t, "").String(); got != "margin" {
		t.Errorf("the default output is %q", got)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, s := range []string{"Margin", "log-odds", "logit:", "logit:-1", "logit:x", "logit:1.5", "logit:99999999999999999999", "logit: 1", "margin ", "softmax"} {
		if o, err := Parse(s); fault.KindOf(err) != fault.Usage || err == nil {
			t.Errorf("%q reads as %v, error %v", s, o, err)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		output  string
		classes int
		ok      bool
	}{
		{"margin", 2, true}, {"margin", 1, false}, {"logodds", 1, false}, {"logodds", 10, true}, {"logit", 1, true},
		{"logit:9", 10, true}, {"logit:10", 10, false}, {"logit:0", 1, true},
	} {
		err := parse(t, c.output).Check(c.classes)
		if (err == nil) != c.ok || err != nil && fault.KindOf(err) != fault.Usage {
			t.Errorf("%s for %d classes: %v", c.output, c.classes, err)
		}
	}
}

func TestPrediction(t *testing.T) {
	for want, logits := range [][]float32{{4, 1, 4}, {-2, -1, -3}, {0, 0, 1}} {
		if got := Prediction(logits); got != want {
			t.Errorf("the prediction of %v is %d, want %d", logits, got, want)
		}
	}
}

func TestGradientIsDifferenceQuotient(t *testing.T) {
	for _, output := range []string{"margin", "logodds", "logit", "logit:0", "logit:3"} {
		o := parse(t, output)
		for _, logits := range [][]float32{{1, 2, 4, -3}, {-2, 0.5, 0.25, 3}, {100, -100, 60, 59}} {
			for label := range logits {
				d := make([]float32, len(logits))
				for i := range d {
					d[i] = 7 // what was there does not matter
				}
				o.Gradient(logits, label, d)
				for k := range logits {
					const step = 1. / 64
					at := logits[k]
					logits[k] = at + step
					above := o.Of(logits, label)
					logits[k] = at - step
					below := o.Of(logits, label)
					logits[k] = at
					if want := float64(above-below) / (2 * step); math.Abs(float64(d[k])-want) > 1e-3 {
						t.Errorf("%s of %v for class %d: derivative %g by logit %d, difference quotient %g", output, logits, label, d[k], k, want)
					}
				}
			}
		}
	}
}

func TestGradientTakesTheFirstOfEqualLogits(t *testing.T) {
	d := make([]float32, 4)
	parse(t, "margin").Gradient([]float32{5, 1, 5, 5}, 0, d)
	if want := [4]float32{1, 0, -1, 0}; [4]float32(d) != want {
		t.Errorf("the margin's derivatives are %v, want %v", d, want)
	}
	parse(t, "logodds").Gradient([]float32{5, 1, 1, 1}, 0, d)
	for k, v := range d[1:] {
		if math.Abs(float64(v)+1./3) > 1e-6 {
			t.Errorf("the log-odds' derivative by logit %d of three equal ones is %g", k+1, v)
		}
	}
}

func TestClass(t *testing.T) {
	if class, ok := parse(t, "logit:3").Class(); class != 3 || !ok {
		t.Errorf("logit:3: %d %v", class, ok)
	}
	for _, output := range []string{"", "margin", "logodds", "logit"} {
		if _, ok := parse(t, output).Class(); ok {
			t.Errorf("%q has a class of its own", output)
		}
	}
}
