package edit

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestRecordSurvivesWritingAndReading(t *testing.T) {
	r := Record{
		Name: "fix-17", Goal: "fix 17: classified as cat", Direction: "raise", Found: true, K: 2,
		Components: []Component{{Component: 40, Key: "layer1.0.conv2.weight", Row: 8, Score: -3.5}, {Component: 7, Key: "conv1.weight", Row: 7, Score: -2}},
		Epsilon:    0.01, MaxDrop: 0.005, Seed: 3,
		Targets:    []Target{{ID: "17", Label: "cat", MarginBefore: -1.5, MarginAfter: 0.25, PredictedBefore: "dog", PredictedAfter: "cat"}},
		References: NewSet("50 run examples that are right, by seed", []int{1, 2, 3, 9}),
		Choosing:   Effect{Set: NewSet("by seed", []int{4, 6}), Before: Accuracy{2, 2}, After: Accuracy{1, 2}},
		Holdout:    Effect{Set: Set{Definition: "all others", Size: FewestToClaim}, Before: Accuracy{162, 200}, After: Accuracy{161, 200}},
		OutsideRun: Effect{Set: Set{Size: 202}},
		Curve:      []Measurement{{K: 0, Margins: []float64{-1.5}, Choosing: Accuracy{2, 2}}, {K: 2, Margins: []float64{0.25}, TargetsRight: 1, Choosing: Accuracy{1, 2}}},
	}
	r.Settle()
	var text bytes.Buffer
	if err := r.Write(&text); err != nil {
		t.Fatal(err)
	}
	var back Record
	if err := json.Unmarshal(text.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(r, back) {
		t.Errorf("read back\n%+v\nwant\n%+v", back, r)
	}
	for _, part := range []string{
		`"before": {
      "accuracy": 0.81,
      "correct": 162,
      "total": 200
    }`, `"claims": true`, `"selection": "1-3,9"`, `"accuracy": null`,
	} {
		if !strings.Contains(text.String(), part) {
			t.Errorf("edit.json lacks %s:\n%s", part, text.String())
		}
	}
}

func TestSmallHoldoutClaimsNothing(t *testing.T) {
	r := Record{Holdout: Effect{Set: Set{Size: FewestToClaim - 1}}}
	r.Settle()
	if r.Claims || !strings.Contains(r.Note, "199") {
		t.Errorf("claims %v, note %q", r.Claims, r.Note)
	}
}

func TestSelection(t *testing.T) {
	for _, c := range []struct {
		positions []int
		want      string
	}{
		{nil, ""}, {[]int{5}, "5"}, {[]int{0, 1}, "0-1"}, {[]int{0, 2, 3, 4, 9, 11, 12}, "0,2-4,9,11-12"},
	} {
		if got := Selection(c.positions); got != c.want {
			t.Errorf("Selection(%v) = %q, want %q", c.positions, got, c.want)
		}
	}
}
