package report

import (
	"math"

	"gonum.org/v1/plot/vg"
)

// CostCurve shows how well attributions predict against what they cost: a regression of more and more rows, its
// continuation where that is only extrapolated, and the run itself.
type CostCurve struct {
	Title, Subtitle string
	Measured        []CostPoint // of the regression, ascending in Passes
	Extrapolated    []CostPoint // its continuation; empty for none
	Run             CostPoint
	RunLabel        string
}

// CostPoint is one correlation and its cost.
type CostPoint struct {
	Passes      float64 // forward passes per example; positive
	Correlation float64
}

const costHeight vg.Length = 210

// Figure draws correlation over the logarithm of the cost.
func (c CostCurve) Figure() Figure {
	return Figure{
		Width:  margin + curveLeft + curveWidth + curveRight + margin,
		Height: headingHeight + costHeight + curveFoot,
		paint: func(p *pen) {
			p.heading(c.Title, c.Subtitle)
			frame := box(margin+curveLeft, curveFoot, margin+curveLeft+curveWidth, curveFoot+costHeight)
			x, list := c.across(frame)
			low, high := c.heights()
			y := scale{min: low, max: high, from: frame.Min.Y, to: frame.Max.Y}
			p.rulesX(frame, x, list)
			p.rulesY(frame, y, ticks(low, high, 5))
			p.axes(frame)
			p.labelsX(frame.Min.Y-5, x, list)
			p.text(point((frame.Min.X+frame.Max.X)/2, margin-5), bottom, subtitleStyle, "forward passes per example")
			p.upright(point(margin+4, (frame.Min.Y+frame.Max.Y)/2), subtitleStyle, "correlation on fresh rows")
			c.paintCurves(p, frame, x, y)
		},
	}
}

// points lists everything that is drawn.
func (c CostCurve) points() []CostPoint {
	return append(append(append([]CostPoint{}, c.Measured...), c.Extrapolated...), c.Run)
}

// across returns the logarithmic axis of the cost and its ticks.
func (c CostCurve) across(frame vg.Rectangle) (scale, []tick) {
	low, high := math.Inf(1), 1.0
	for _, at := range c.points() {
		if at.Passes > 0 && finite(at.Passes) {
			low, high = min(low, at.Passes), max(high, at.Passes)
		}
	}
	low, high = min(low, high)/1.3, high*1.3
	x := scale{min: low, max: high, from: frame.Min.X, to: frame.Max.X, warp: math.Log}
	var list []tick
	for power := int(math.Floor(math.Log10(low))); math.Pow10(power) <= high; power++ {
		for _, v := range []float64{math.Pow10(power), 3 * math.Pow10(power)} {
			if v >= low && v <= high {
				list = append(list, tick{v, number(v, max(0, -power))})
			}
		}
	}
	return x, list
}

// heights is the range of correlations, from 0 or below.
func (c CostCurve) heights() (low, high float64) {
	values := []float64{0}
	for _, at := range c.points() {
		values = append(values, at.Correlation)
	}
	low, high = bounds(values)
	return min(0, low+0.12*(high-low)), high
}

func (c CostCurve) paintCurves(p *pen, frame vg.Rectangle, x, y scale) {
	at := func(q CostPoint) vg.Point { return point(x.at(q.Passes), y.at(q.Correlation)) }
	line := func(points []CostPoint) (out []vg.Point) {
		for _, q := range points {
			if finite(q.Correlation) {
				out = append(out, at(q))
			}
		}
		return out
	}
	if rest := line(c.Extrapolated); len(rest) > 1 {
		p.dashes(series(0), 1, rest...)
	}
	if solid := line(c.Measured); len(solid) > 0 {
		p.line(series(0), 1.5, solid...)
		for _, q := range solid {
			p.dot(q, 2.5, series(0))
		}
		// Beside a rising curve there is room below to the right and above to the left.
		end, side, shift := solid[len(solid)-1], left, vg.Length(8)
		if end.X > (frame.Min.X+frame.Max.X)/2 {
			side, shift = right, -shift
		}
		p.text(point(end.X+shift, end.Y-shift), side, labelStyle, "regression alone")
	}
	run := at(c.Run)
	p.dashes(muted, 0.6, point(frame.Min.X, run.Y), point(frame.Max.X, run.Y))
	p.dot(run, 4, series(3))
	p.plate(point(run.X, run.Y+11), centre, strongStyle, p.fit(strongStyle, c.RunLabel, frame.Size().X/2))
}
