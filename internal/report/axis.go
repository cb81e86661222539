package report

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot/vg"
)

// scale maps data values onto a stretch of the canvas.
type scale struct {
	min, max float64
	from, to vg.Length
	warp     func(float64) float64 // increasing; nil for a linear scale
}

// at returns where a value stands, kept within the stretch.
func (s scale) at(v float64) vg.Length {
	lo, hi, w := s.min, s.max, v
	if s.warp != nil {
		lo, hi, w = s.warp(lo), s.warp(hi), s.warp(w)
	}
	// Halving first keeps the difference of two huge values finite.
	t := (w/2 - lo/2) / (hi/2 - lo/2)
	return s.from + vg.Length(max(0, min(1, t)))*(s.to-s.from)
}

// bounds returns a range that holds all finite values with some air around them; never empty.
func bounds(values ...[]float64) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, vs := range values {
		for _, v := range vs {
			if finite(v) {
				low, high = min(low, v), max(high, v)
			}
		}
	}
	if low > high {
		return 0, 1
	}
	air := (high/2 - low/2) * 0.12
	if least := max(math.Abs(low), math.Abs(high)) * 1e-6; air <= least {
		air = max(least, 0.5)
	}
	return max(low-air, -math.MaxFloat64/4), min(high+air, math.MaxFloat64/4)
}

func finite(v float64) bool {
	// Beyond this nothing is a margin, and differences might overflow.
	return math.Abs(v) < math.MaxFloat64/8
}

func anyFinite(values ...[]float64) bool {
	return slices.ContainsFunc(values, func(vs []float64) bool { return slices.ContainsFunc(vs, finite) })
}

// tick is a labelled value on an axis.
type tick struct {
	value float64
	label string
}

// ticks returns about n round values within [low, high].
func ticks(low, high float64, n int) []tick {
	span := high - low
	power := math.Pow(10, math.Floor(math.Log10(span/float64(n))))
	step := power
	for _, multiple := range []float64{1, 2, 5, 10} {
		step = multiple * power
		if span/step <= float64(n)+0.5 {
			break
		}
	}
	if !(step > 0) || math.IsInf(step, 0) {
		return nil
	}
	decimals := max(0, -int(math.Floor(math.Log10(step)+1e-9)))
	var list []tick
	first := math.Ceil(low/step - 1e-9)
	for i := 0; i <= 2*n+2; i++ {
		v := (first + float64(i)) * step
		if v > high+step*1e-9 {
			break
		}
		// Where the range is too narrow for its digits, equal labels would stand side by side.
		if label := number(v, decimals); len(list) == 0 || list[len(list)-1].label != label {
			list = append(list, tick{v, label})
		}
	}
	return list
}

// number writes v with a true minus sign, in scientific notation where it would be long.
func number(v float64, decimals int) string {
	s := strconv.FormatFloat(v, 'f', decimals, 64)
	if len(s) > 8 {
		s = strings.Replace(strconv.FormatFloat(v, 'g', 3, 64), "e+", "e", 1)
	}
	if strings.Trim(s, "-0.") == "" {
		s = strings.TrimPrefix(s, "-")
	}
	return strings.ReplaceAll(s, "-", "−")
}

// percent writes a fraction as a percentage, with as many decimals as it needs up to two.
func percent(v float64) string {
	if !finite(v) {
		return "–"
	}
	s := strconv.FormatFloat(v*100, 'f', 2, 64)
	s = strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
	return strings.Replace(s, "-", "−", 1) + " %"
}

// rulesY draws horizontal rules with their labels to the left of frame.
func (p *pen) rulesY(frame vg.Rectangle, y scale, list []tick) {
	for _, t := range list {
		at := y.at(t.value)
		p.line(faint, 0.6, point(frame.Min.X, at), point(frame.Max.X, at))
		p.text(point(frame.Min.X-5, at), right, tickStyle, t.label)
	}
}

// rulesX draws vertical rules with their labels below frame.
func (p *pen) rulesX(frame vg.Rectangle, x scale, list []tick) {
	for _, t := range list {
		at := x.at(t.value)
		p.line(faint, 0.6, point(at, frame.Min.Y), point(at, frame.Max.Y))
	}
	p.labelsX(frame.Min.Y-5, x, list)
}

// labelsX writes ticks below y, leaving out those that would touch the one before.
func (p *pen) labelsX(y vg.Length, x scale, list []tick) {
	free := x.from - 1000
	for _, t := range list {
		at, half := x.at(t.value), p.width(tickStyle, t.label)/2
		if at-half < free {
			continue
		}
		p.text(point(at, y), top, tickStyle, t.label)
		free = at + half + 4
	}
}

// axes draws the left and lower edges of frame.
func (p *pen) axes(frame vg.Rectangle) {
	p.line(rule, 0.8, point(frame.Min.X, frame.Max.Y), frame.Min, point(frame.Max.X, frame.Min.Y))
}

// nothing says that there is nothing to draw in frame.
func (p *pen) nothing(frame vg.Rectangle) {
	p.plate(point((frame.Min.X+frame.Max.X)/2, (frame.Min.Y+frame.Max.Y)/2), centre, tickStyle, "no data")
}
