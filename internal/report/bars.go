package report

import (
	"image/color"
	"slices"

	"gonum.org/v1/plot/vg"
)

// CorrelationBars shows the mean correlation per test fraction, with its interval, for one or several methods.
type CorrelationBars struct {
	Title, Subtitle string
	Groups          []BarGroup
}

// BarGroup is one test fraction.
type BarGroup struct {
	Fraction float64
	Trained  bool // starred: the attributions were fitted on rows of this fraction
	Bars     []Bar
}

// Bar is one method's mean correlation and the interval around it.
type Bar struct {
	Method          string
	Mean, Low, High float64
}

const (
	barWidth    vg.Length = 34
	barGap      vg.Length = 6
	groupGap    vg.Length = 30
	barsHeight  vg.Length = 200
	legendLine  vg.Length = 18
	legendEntry vg.Length = 110
)

// Figure draws one group of bars per fraction, in the given order.
func (c CorrelationBars) Figure() Figure {
	methods := c.methods()
	inner := groupGap
	for _, g := range c.Groups {
		inner += vg.Length(len(g.Bars))*(barWidth+barGap) + groupGap
	}
	width := max(inner, 340)
	perLine := max(1, int(width/legendEntry))
	legend := vg.Length(0)
	if len(methods) > 1 {
		legend = vg.Length((len(methods)+perLine-1)/perLine)*legendLine + 10
	}
	foot := vg.Length(36)
	if c.starred() {
		foot += 16
	}
	return Figure{
		Width:  2*margin + 40 + width,
		Height: headingHeight + legend + barsHeight + foot + margin,
		paint: func(p *pen) {
			p.heading(c.Title, c.Subtitle)
			bottomEdge := margin + foot
			frame := box(margin+40, bottomEdge, margin+40+width, bottomEdge+barsHeight)
			if legend > 0 {
				c.paintLegend(p, methods, point(frame.Min.X, p.Max.Y-headingHeight-4), perLine)
			}
			c.paintBars(p, frame, inner, methods)
			p.text(point((frame.Min.X+frame.Max.X)/2, frame.Min.Y-24), top, subtitleStyle, "components ablated in the test rows")
			p.upright(point(margin+2, (frame.Min.Y+frame.Max.Y)/2), subtitleStyle, "mean correlation")
			if c.starred() {
				p.text(point(frame.Min.X, margin), left, tickStyle, "* the fraction that the attributions were fitted on")
			}
		},
	}
}

func (c CorrelationBars) paintBars(p *pen, frame vg.Rectangle, inner vg.Length, methods []string) {
	low := 0.0
	for _, g := range c.Groups {
		for _, b := range g.Bars {
			for _, v := range []float64{b.Mean, b.Low} {
				if finite(v) {
					low = min(low, v)
				}
			}
		}
	}
	if low < 0 {
		low = max(-1, low-0.1)
	}
	y := scale{min: low, max: 1, from: frame.Min.Y, to: frame.Max.Y}
	p.rulesY(frame, y, ticks(low, 1, 5))
	x := frame.Min.X + groupGap + (frame.Size().X-inner)/2
	if len(c.Groups) == 0 {
		p.nothing(frame)
	}
	for _, g := range c.Groups {
		start := x
		for _, b := range g.Bars {
			b.paint(p, x, y, series(slices.Index(methods, b.Method)))
			x += barWidth + barGap
		}
		label := percent(g.Fraction)
		if g.Trained {
			label += " *"
		}
		p.text(point((start+x-barGap)/2, frame.Min.Y-7), top, labelStyle, label)
		x += groupGap
	}
	p.line(rule, 0.8, point(frame.Min.X, y.at(0)), point(frame.Max.X, y.at(0)))
}

// paint draws a bar with its left edge at x, its interval, and its value beyond both.
func (b Bar) paint(p *pen, x vg.Length, y scale, c color.NRGBA) {
	if !finite(b.Mean) {
		p.text(point(x+barWidth/2, y.at(0)+5), bottom, tickStyle, "–")
		return
	}
	p.rectangle(box(x, y.at(min(0, b.Mean)), x+barWidth, y.at(max(0, b.Mean))), c)
	high := b.Mean
	if finite(b.Low) && finite(b.High) {
		high = max(high, b.High)
		middle := x + barWidth/2
		p.line(ink, 1, point(middle, y.at(b.Low)), point(middle, y.at(b.High)))
		for _, end := range []float64{b.Low, b.High} {
			p.line(ink, 1, point(middle-4, y.at(end)), point(middle+4, y.at(end)))
		}
	}
	p.text(point(x+barWidth/2, y.at(max(0, high))+5), bottom, strongStyle, number(b.Mean, 2))
}

func (c CorrelationBars) paintLegend(p *pen, methods []string, corner vg.Point, perLine int) {
	for i, method := range methods {
		x := corner.X + vg.Length(i%perLine)*legendEntry
		y := corner.Y - vg.Length(i/perLine)*legendLine
		p.rectangle(box(x, y-4, x+8, y+4), series(i))
		p.text(point(x+13, y), left, labelStyle, p.cut(labelStyle, method, legendEntry-20))
	}
}

// methods returns the methods in order of first appearance.
func (c CorrelationBars) methods() []string {
	var methods []string
	for _, g := range c.Groups {
		for _, b := range g.Bars {
			if !slices.Contains(methods, b.Method) {
				methods = append(methods, b.Method)
			}
		}
	}
	return methods
}

func (c CorrelationBars) starred() bool {
	for _, g := range c.Groups {
		if g.Trained {
			return true
		}
	}
	return false
}
