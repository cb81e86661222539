// Package margin turns logits into the number that attributions explain.
package margin

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"coar/internal/fault"
)

// Output is a component function's output of one example's logits [classes] and label.
type Output struct {
	kind  kind
	class int // of logit:K
}

type kind int

const (
	margin  kind = iota // logit[y] − max over k ≠ y of logit[k]
	logOdds             // logit[y] − logsumexp over k ≠ y of logit[k]
	ownLogit
	classLogit
)

// Parse reads margin, logodds, logit or logit:K.
func Parse(s string) (Output, error) {
	switch s {
	case "margin", "":
		return Output{kind: margin}, nil
	case "logodds":
		return Output{kind: logOdds}, nil
	case "logit":
		return Output{kind: ownLogit}, nil
	}
	if k, ok := strings.CutPrefix(s, "logit:"); ok {
		class, err := strconv.Atoi(k)
		if err == nil && class >= 0 {
			return Output{kind: classLogit, class: class}, nil
		}
	}
	return Output{}, fault.Usagef("--output %q: want margin, logodds, logit or logit:K with a class number K", s)
}

func (o Output) String() string {
	switch o.kind {
	case logOdds:
		return "logodds"
	case ownLogit:
		return "logit"
	case classLogit:
		return fmt.Sprintf("logit:%d", o.class)
	}
	return "margin"
}

// Class is the K of logit:K; ok is false for the outputs that take the label of each example.
func (o Output) Class() (class int, ok bool) { return o.class, o.kind == classLogit }

// Check refuses an output that classes logits do not have.
func (o Output) Check(classes int) error {
	if o.kind == classLogit && o.class >= classes {
		return fault.Usagef("--output %s: the model has classes 0 to %d", o, classes-1)
	}
	if classes < 2 && (o.kind == margin || o.kind == logOdds) {
		return fault.Usagef("--output %s needs two classes or more, the model has %d; use logit", o, classes)
	}
	return nil
}

// Of computes the output, in logits. The log-odds are taken from the logits directly: log p − log(1−p) would cancel.
func (o Output) Of(logits []float32, label int) float32 {
	switch o.kind {
	case ownLogit:
		return logits[label]
	case classLogit:
		return logits[o.class]
	}
	top := math.Inf(-1)
	for k, v := range logits {
		if k != label {
			top = math.Max(top, float64(v))
		}
	}
	if o.kind == margin {
		return float32(float64(logits[label]) - top)
	}
	var sum float64
	for k, v := range logits {
		if k != label {
			sum += math.Exp(float64(v) - top)
		}
	}
	return float32(float64(logits[label]) - top - math.Log(sum))
}

// Prediction is the class of the largest logit, the first of equals.
func Prediction(logits []float32) int {
	best := 0
	for k, v := range logits {
		if v > logits[best] {
			best = k
		}
	}
	return best
}

// Gradient writes to d [classes] the derivative of the output by every logit. Where several classes share the largest
// logit beside the label's, the first of them counts as the largest.
func (o Output) Gradient(logits []float32, label int, d []float32) {
	clear(d)
	switch o.kind {
	case ownLogit:
		d[label] = 1
		return
	case classLogit:
		d[o.class] = 1
		return
	}
	d[label] = 1
	second := -1 // the largest beside the label's
	for k, v := range logits {
		if k != label && (second < 0 || v > logits[second]) {
			second = k
		}
	}
	if o.kind == margin {
		d[second] = -1
		return
	}
	var sum float64
	for k, v := range logits {
		if k != label {
			sum += math.Exp(float64(v) - float64(logits[second]))
		}
	}
	for k, v := range logits {
		if k != label {
			d[k] = float32(-math.Exp(float64(v)-float64(logits[second])) / sum)
		}
	}
}
