package report

import (
	"fmt"
	"math"

	"gonum.org/v1/plot/vg"
)

// EditCurve shows what ablating the first k components of a ranking does: to the targets above, to the choosing set below.
type EditCurve struct {
	Title, Subtitle string
	MarginLabel     string      // what the targets' values are; "target margin (logits)" where empty
	Points          []EditPoint // ascending in K
	Chosen          int         // the k that was settled on; negative where there is none
	Floor           float64     // the least accuracy allowed on the choosing set; NaN for none
}

// EditPoint is the measurement of one k.
type EditPoint struct {
	K        int
	Margins  []float64 // one per target, the same targets at every k
	Accuracy float64   // on the choosing set, as a fraction; NaN where not measured
}

const (
	curveWidth     vg.Length = 460
	marginsHeight  vg.Length = 170
	accuracyHeight vg.Length = 95
	curveLeft      vg.Length = 52
	curveRight     vg.Length = 26
	curveFoot      vg.Length = 46 // tick labels and axis title
	curveTop       vg.Length = 14 // a line of notes above the upper panel
)

// Figure draws both panels over one axis of k, which turns logarithmic where k exceeds 100.
func (c EditCurve) Figure() Figure {
	notes := curveTop
	if len(c.lines()) > 1 {
		notes *= 2
	}
	return Figure{
		Width:  margin + curveLeft + curveWidth + curveRight + margin,
		Height: headingHeight + notes + marginsHeight + 26 + accuracyHeight + curveFoot,
		paint: func(p *pen) {
			p.heading(c.Title, c.Subtitle)
			x0, x1 := margin+curveLeft, margin+curveLeft+curveWidth
			lower := box(x0, curveFoot, x1, curveFoot+accuracyHeight)
			upper := box(x0, lower.Max.Y+26, x1, lower.Max.Y+26+marginsHeight)
			k, list := c.across(x0, x1)
			c.paintMargins(p, upper, k, list)
			c.paintAccuracy(p, lower, k, list)
			p.labelsX(lower.Min.Y-5, k, list)
			p.text(point((x0+x1)/2, margin-5), bottom, subtitleStyle, "components ablated, k")
			c.paintChosen(p, upper, lower, k)
		},
	}
}

// across returns the axis of k and its ticks.
func (c EditCurve) across(from, to vg.Length) (scale, []tick) {
	largest := 1
	for _, point := range c.Points {
		largest = max(largest, point.K)
	}
	k := scale{min: 0, max: float64(largest), from: from, to: to}
	var list []tick
	if largest <= 100 {
		for _, t := range ticks(0, k.max, 8) {
			if t.value == math.Trunc(t.value) {
				list = append(list, tick{t.value, number(t.value, 0)})
			}
		}
		return k, list
	}
	k.warp = math.Log1p
	list = []tick{{0, "0"}}
	for decade := 1; decade <= largest; decade *= 10 {
		for _, v := range []int{decade, 3 * decade} {
			if v <= largest {
				list = append(list, tick{float64(v), fmt.Sprint(v)})
			}
		}
	}
	return k, list
}

func (c EditCurve) paintMargins(p *pen, frame vg.Rectangle, k scale, list []tick) {
	label := c.MarginLabel
	if label == "" {
		label = "target margin (logits)"
	}
	lines := c.lines()
	low, high := bounds(append(lines, []float64{0})...)
	y := scale{min: low, max: high, from: frame.Min.Y, to: frame.Max.Y}
	c.paintGrid(p, frame, k, list)
	p.rulesY(frame, y, ticks(low, high, 5))
	p.axes(frame)
	p.line(muted, 0.9, point(frame.Min.X, y.at(0)), point(frame.Max.X, y.at(0)))
	p.upright(point(margin+4, (frame.Min.Y+frame.Max.Y)/2), subtitleStyle, p.fit(subtitleStyle, label, frame.Size().Y))
	if !anyFinite(lines...) {
		p.nothing(frame)
		return
	}
	// Many targets: thin lines in the background, their mean in front.
	opacity, width := 1.0, vg.Length(1.5)
	if len(lines) > 1 {
		opacity, width = max(0.12, 0.6/math.Sqrt(float64(len(lines)))), 0.8
	}
	for _, values := range lines {
		c.paintLine(p, values, k, y, width, faded(blue, opacity).A, len(lines) == 1)
	}
	if len(lines) > 1 {
		c.paintLine(p, means(lines), k, y, 1.6, 255, true)
		p.text(point(frame.Min.X, frame.Max.Y+22), left, tickStyle, fmt.Sprintf("%d targets, thin; their mean, bold", len(lines)))
	}
}

func (c EditCurve) paintAccuracy(p *pen, frame vg.Rectangle, k scale, list []tick) {
	accuracy := make([]float64, len(c.Points))
	for i, point := range c.Points {
		accuracy[i] = point.Accuracy
	}
	low, high := bounds(accuracy, []float64{c.Floor})
	if high-low > 1 {
		low, high = 0, 1
	} else if half := 0.01; high-low < 2*half {
		// A smaller range would make noise look like an effect.
		middle := low/2 + high/2
		low, high = middle-half, middle+half
	}
	low, high = max(0, low), min(1, high)
	y := scale{min: low, max: high, from: frame.Min.Y, to: frame.Max.Y}
	c.paintGrid(p, frame, k, list)
	percents := ticks(low*100, high*100, 3)
	for i := range percents {
		percents[i].value /= 100
		percents[i].label += " %"
	}
	p.rulesY(frame, y, percents)
	p.axes(frame)
	if finite(c.Floor) {
		p.dashes(rust, 0.9, point(frame.Min.X, y.at(c.Floor)), point(frame.Max.X, y.at(c.Floor)))
		p.text(point(frame.Max.X, frame.Max.Y+8), right, style{size: 8, color: rust}, "dashed: the least allowed, "+percent(c.Floor))
	}
	p.upright(point(margin+4, (frame.Min.Y+frame.Max.Y)/2), subtitleStyle, "accuracy")
	p.text(point(frame.Min.X, frame.Max.Y+8), left, tickStyle, "on the choosing set")
	c.paintLine(p, accuracy, k, y, 1.5, 255, true)
	if !anyFinite(accuracy) {
		p.nothing(frame)
	}
}

// paintGrid draws the vertical rules; their labels stand under the lower panel only.
func (c EditCurve) paintGrid(p *pen, frame vg.Rectangle, k scale, list []tick) {
	for _, t := range list {
		p.line(faint, 0.6, point(k.at(t.value), frame.Min.Y), point(k.at(t.value), frame.Max.Y))
	}
}

// paintLine joins the finite values at the measured k, and dots them where asked to.
func (c EditCurve) paintLine(p *pen, values []float64, k, y scale, width vg.Length, opacity uint8, dots bool) {
	hue := blue
	hue.A = opacity
	var path []vg.Point
	for i, v := range values {
		if finite(v) {
			path = append(path, point(k.at(float64(c.Points[i].K)), y.at(v)))
		}
	}
	if len(path) > 1 {
		p.line(hue, width, path...)
	}
	if dots || len(path) == 1 {
		radius := vg.Length(1.9)
		if len(path) > 30 {
			radius = 1.2
		}
		for _, at := range path {
			p.dot(at, radius, hue)
		}
	}
}

// paintChosen marks the chosen k through both panels.
func (c EditCurve) paintChosen(p *pen, upper, lower vg.Rectangle, k scale) {
	if c.Chosen < 0 {
		p.text(point(upper.Min.X, upper.Max.Y+8), left, style{size: 9, color: rust, bold: true}, "no k reaches the goal")
		return
	}
	at := k.at(float64(c.Chosen))
	for _, frame := range []vg.Rectangle{upper, lower} {
		p.dashes(rust, 1, point(at, frame.Min.Y), point(at, frame.Max.Y))
	}
	label := fmt.Sprintf("k = %d", c.Chosen)
	s := style{size: 9, color: rust, bold: true}
	half := p.width(s, label) / 2
	p.text(point(min(max(at, upper.Min.X+half), upper.Max.X-half), upper.Max.Y+8), centre, s, label)
}

// lines returns the targets' margins, one line per target over all points; what a point lacks is NaN.
func (c EditCurve) lines() [][]float64 {
	nTargets := 0
	for _, point := range c.Points {
		nTargets = max(nTargets, len(point.Margins))
	}
	lines := make([][]float64, nTargets)
	for target := range lines {
		lines[target] = make([]float64, len(c.Points))
		for i, point := range c.Points {
			lines[target][i] = math.NaN()
			if target < len(point.Margins) {
				lines[target][i] = point.Margins[target]
			}
		}
	}
	return lines
}

// means averages the finite values of all lines at each point; NaN where there are none.
func means(lines [][]float64) []float64 {
	average := make([]float64, len(lines[0]))
	for i := range average {
		n := 0.0
		for _, values := range lines {
			if finite(values[i]) {
				n++
				average[i] += (values[i] - average[i]) / n
			}
		}
		if n == 0 {
			average[i] = math.NaN()
		}
	}
	return average
}
