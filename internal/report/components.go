package report

import (
	"fmt"
	"image"
	"math"

	"gonum.org/v1/plot/vg"
)

// TopComponents shows the components that speak most for one prediction, and those that speak most against it.
type TopComponents struct {
	Title, Subtitle string
	Image           image.Image // may be nil
	For, Against    []ComponentBar
}

// ComponentBar is one component and its attribution.
type ComponentBar struct {
	Layer       string  // checkpoint key or layer name
	Index       int     // row of that layer
	Attribution float64 // logits
}

// MaxBars bounds how many components are drawn on either side.
const MaxBars = 40

const (
	componentLine  vg.Length = 17
	componentNames vg.Length = 170
	componentBars  vg.Length = 300
	sectionLine    vg.Length = 24
	sectionGap     vg.Length = 8 // below a section
	pictureSide    vg.Length = 56
	componentsFoot vg.Length = 44 // tick labels and axis title
)

// Figure draws the components in the given order, those for the prediction first.
func (t TopComponents) Figure() Figure {
	t.For, t.Against = t.For[:min(len(t.For), MaxBars)], t.Against[:min(len(t.Against), MaxBars)]
	head := headingHeight
	if t.Image != nil {
		head = pictureSide + margin + 12
	}
	lines := vg.Length(max(1, len(t.For))+max(1, len(t.Against)))*componentLine + 2*(sectionLine+sectionGap)
	return Figure{
		Width:  2*margin + componentNames + 10 + componentBars,
		Height: head + lines + componentsFoot,
		paint: func(p *pen) {
			t.paintHead(p)
			frame := box(margin+componentNames+10, componentsFoot, p.Max.X-margin, p.Max.Y-head)
			x := t.across(frame)
			for _, mark := range ticks(x.min, x.max, 6) {
				at := x.at(mark.value)
				p.line(faint, 0.6, point(at, frame.Min.Y), point(at, frame.Max.Y-sectionLine+4))
			}
			p.labelsX(frame.Min.Y-6, x, ticks(x.min, x.max, 6))
			y := t.paintSide(p, frame, x, frame.Max.Y, "for this prediction", t.For)
			t.paintSide(p, frame, x, y, "against it", t.Against)
			p.line(rule, 0.8, point(x.at(0), frame.Min.Y), point(x.at(0), frame.Max.Y-sectionLine+4))
			p.text(point((frame.Min.X+frame.Max.X)/2, margin-5), bottom, subtitleStyle, "attribution (logits)")
		},
	}
}

func (t TopComponents) paintHead(p *pen) {
	if t.Image == nil {
		p.heading(t.Title, t.Subtitle)
		return
	}
	p.picture(box(margin, p.Max.Y-margin-pictureSide, margin+pictureSide, p.Max.Y-margin), t.Image)
	head := pen{Canvas: p.Canvas, fonts: p.fonts}
	head.Min.X += pictureSide + 14
	head.Max.Y -= margin/2 + 6
	head.heading(t.Title, t.Subtitle)
}

// across returns a scale that holds zero and every bar with room for its value beyond it.
func (t TopComponents) across(frame vg.Rectangle) scale {
	low, high := 0.0, 0.0
	for _, bars := range [][]ComponentBar{t.For, t.Against} {
		for _, b := range bars {
			if finite(b.Attribution) {
				low, high = min(low, b.Attribution), max(high, b.Attribution)
			}
		}
	}
	if low == high {
		low, high = -1, 1
	}
	air := (high/2 - low/2) * 0.3
	if low < 0 {
		low -= air
	}
	if high > 0 {
		high += air
	}
	return scale{min: low, max: high, from: frame.Min.X, to: frame.Max.X}
}

// paintSide draws a section from y downwards and returns where it ends.
func (t TopComponents) paintSide(p *pen, frame vg.Rectangle, x scale, y vg.Length, name string, bars []ComponentBar) vg.Length {
	p.text(point(margin, y-sectionLine/2-1), left, strongStyle, name)
	y -= sectionLine
	if len(bars) == 0 {
		p.text(point(margin, y-componentLine/2), left, tickStyle, "none")
		return y - componentLine - sectionGap
	}
	for _, b := range bars {
		middle := y - componentLine/2
		index := fmt.Sprintf(" · %d", b.Index)
		room := componentNames - p.width(labelStyle, index)
		p.text(point(frame.Min.X-10, middle), right, labelStyle, p.fit(labelStyle, b.Layer, room)+index)
		b.paint(p, x, middle, t.decimals())
		y -= componentLine
	}
	return y - sectionGap
}

// paint draws the bar from zero and its value beyond its end.
func (b ComponentBar) paint(p *pen, x scale, middle vg.Length, decimals int) {
	if !finite(b.Attribution) {
		p.text(point(x.at(0)+5, middle), left, tickStyle, "–")
		return
	}
	hue, end, side, gap := blue, x.at(b.Attribution), left, vg.Length(5)
	if b.Attribution < 0 {
		hue, side, gap = rust, right, -5
	}
	from, to := min(x.at(0), end), max(x.at(0), end)
	p.rectangle(box(from, middle-5, to, middle+5), hue)
	p.plate(point(end+gap, middle), side, tickStyle, signed(b.Attribution, decimals))
}

// decimals returns how many decimals give the largest attribution three significant digits.
func (t TopComponents) decimals() int {
	largest := 0.0
	for _, bars := range [][]ComponentBar{t.For, t.Against} {
		for _, b := range bars {
			if finite(b.Attribution) {
				largest = max(largest, math.Abs(b.Attribution))
			}
		}
	}
	if largest == 0 {
		return 2
	}
	return max(0, min(6, 2-int(math.Floor(math.Log10(largest)))))
}

// signed writes v with its sign.
func signed(v float64, decimals int) string {
	if v > 0 {
		return "+" + number(v, decimals)
	}
	return number(v, decimals)
}
