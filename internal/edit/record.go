package edit

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Accuracy counts correct predictions. In JSON it carries "accuracy" too, null where nothing was measured.
type Accuracy struct {
	Correct int `json:"correct"`
	Total   int `json:"total"`
}

// Value returns the fraction correct; it is 0 where Total is 0.
func (a Accuracy) Value() float64 {
	if a.Total == 0 {
		return 0
	}
	return float64(a.Correct) / float64(a.Total)
}

// MarshalJSON writes {"accuracy": 0.81, "correct": 810, "total": 1000}.
func (a Accuracy) MarshalJSON() ([]byte, error) {
	var value *float64
	if a.Total > 0 {
		v := a.Value()
		value = &v
	}
	return json.Marshal(struct {
		Accuracy *float64 `json:"accuracy"`
		Correct  int      `json:"correct"`
		Total    int      `json:"total"`
	}{value, a.Correct, a.Total})
}

// Record is edit.json: what was asked, what was found, and what it costs elsewhere.
type Record struct {
	Name       string      `json:"name"`
	Goal       string      `json:"goal"`      // in words, such as "fix 17: classified as cat"
	Direction  string      `json:"direction"` // "raise" or "lower" the target margins
	Found      bool        `json:"found"`
	K          int         `json:"k"`
	Components []Component `json:"components"` // the k ablated components, in ranking order
	Epsilon    float64     `json:"epsilon"`    // logits; what keeps the denominator of the scores from vanishing
	MaxDrop    float64     `json:"max_drop"`
	Seed       uint64      `json:"seed"`

	Targets    []Target `json:"targets"`
	References Set      `json:"references"`
	Choosing   Effect   `json:"choosing"`
	Holdout    Effect   `json:"holdout"`
	// OutsideRun counts every choosing and hold-out example that is not in the run.
	OutsideRun Effect `json:"outside_run"`
	// Claims is false where the hold-out set is too small for its accuracies to be evidence.
	Claims bool          `json:"claims"`
	Note   string        `json:"note,omitempty"`
	Curve  []Measurement `json:"curve"`
}

// Component is one ablated weight row.
type Component struct {
	Component int     `json:"component"` // its number in the run
	Key       string  `json:"key"`       // checkpoint key of the tensor that it lives in
	Row       int     `json:"row"`       // which row of that tensor
	Score     float64 `json:"score"`
}

// Target is one example that the edit is about.
type Target struct {
	ID              string  `json:"id"`
	Label           string  `json:"label"`
	MarginBefore    float64 `json:"margin_before"` // logits
	MarginAfter     float64 `json:"margin_after"`
	PredictedBefore string  `json:"predicted_before"`
	PredictedAfter  string  `json:"predicted_after"`
}

// Set says which examples were used, so that anyone can use them again.
type Set struct {
	Definition string `json:"definition"` // how the set came to be, in words
	Selection  string `json:"selection"`  // its dataset positions, in the syntax of --reference, --choose and --holdout
	Size       int    `json:"size"`
}

// NewSet describes dataset positions, which are ascending.
func NewSet(definition string, positions []int) Set {
	return Set{Definition: definition, Selection: Selection(positions), Size: len(positions)}
}

// Effect is the accuracy of the intact and of the edited model on one set.
type Effect struct {
	Set
	Before Accuracy `json:"before"`
	After  Accuracy `json:"after"`
}

// Settle sets Claims, and Note where there is nothing to claim, from the size of the hold-out set.
func (r *Record) Settle() {
	r.Claims = r.Holdout.Size >= FewestToClaim
	r.Note = ""
	if !r.Claims {
		r.Note = fmt.Sprintf("only %d examples were left for the hold-out set, fewer than %d: this edit claims nothing about its side effects",
			r.Holdout.Size, FewestToClaim)
	}
}

// Write writes r as indented JSON.
func (r Record) Write(w io.Writer) error {
	if r.Components == nil {
		r.Components = []Component{} // none found is an empty list, not null
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(r); err != nil {
		return fmt.Errorf("edit: write edit.json: %w", err)
	}
	return nil
}

// Selection writes ascending dataset positions in the syntax of selections: 0-99,120.
func Selection(positions []int) string {
	var b strings.Builder
	for i := 0; i < len(positions); {
		end := i + 1
		for end < len(positions) && positions[end] == positions[end-1]+1 {
			end++
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(positions[i]))
		if end > i+1 {
			b.WriteByte('-')
			b.WriteString(strconv.Itoa(positions[end-1]))
		}
		i = end
	}
	return b.String()
}
