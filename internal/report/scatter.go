package report

import (
	"fmt"
	"image"
	"math"

	"gonum.org/v1/plot/vg"
)

// Scatter shows, for some examples, the margins predicted for fresh rows against those measured, one panel an example.
type Scatter struct {
	Title, Subtitle string
	Panels          []ScatterPanel // at most MaxPanels are drawn; the heading says how many are not
}

// ScatterPanel is one example.
type ScatterPanel struct {
	ID, Class           string
	Correlation         float64 // NaN where undefined
	Image               image.Image
	Predicted, Measured []float64 // logits, one value per row
}

// MaxPanels bounds the size of a figure.
const MaxPanels = 48

const (
	panelColumns           = 4
	panelWidth   vg.Length = 164 // with the gap to the next
	plotSide     vg.Length = 128
	panelHeader  vg.Length = 48
	panelHeight            = panelHeader + plotSide + panelFoot
	panelFoot    vg.Length = 34 // tick labels, and the gap to the next row
	thumbnail    vg.Length = 38
	tickRoom     vg.Length = 26 // tick labels on the left of a plot
	axisTitles   vg.Length = 16 // room for the axis title on the left and below
)

// Figure lays the panels out in rows of up to four.
func (s Scatter) Figure() Figure {
	panels := s.Panels[:min(len(s.Panels), MaxPanels)]
	columns := max(1, min(panelColumns, len(panels)))
	rows := max(1, (len(panels)+columns-1)/columns)
	return Figure{
		// A heading needs the width of two panels even where there is one.
		Width:  2*margin + axisTitles + vg.Length(max(columns, 2))*panelWidth,
		Height: headingHeight + vg.Length(rows)*panelHeight + axisTitles,
		paint: func(p *pen) {
			subtitle := s.Subtitle
			if hidden := len(s.Panels) - len(panels); hidden > 0 {
				subtitle = fmt.Sprintf("first %d of %d examples · %s", len(panels), len(s.Panels), subtitle)
			}
			p.heading(s.Title, subtitle)
			grid := box(margin+axisTitles, axisTitles, margin+axisTitles+vg.Length(columns)*panelWidth, p.Max.Y-headingHeight)
			if len(panels) == 0 {
				p.nothing(grid)
				return
			}
			for i, panel := range panels {
				x := grid.Min.X + vg.Length(i%columns)*panelWidth
				y := grid.Max.Y - vg.Length(i/columns)*panelHeight
				panel.paint(p, point(x, y))
			}
			p.text(point((grid.Min.X+tickRoom+grid.Max.X-(panelWidth-tickRoom-plotSide))/2, margin-5), bottom, subtitleStyle, "predicted margin (logits)")
			p.upright(point(margin, (grid.Min.Y+grid.Max.Y)/2), subtitleStyle, "measured margin (logits)")
		},
	}
}

// paint draws the panel below and to the right of its upper left corner.
func (s ScatterPanel) paint(p *pen, corner vg.Point) {
	frame := box(corner.X+tickRoom, corner.Y-panelHeader-plotSide, corner.X+tickRoom+plotSide, corner.Y-panelHeader)
	p.picture(box(frame.Min.X, frame.Max.Y+6, frame.Min.X+thumbnail, frame.Max.Y+6+thumbnail), s.Image)
	x, room := frame.Min.X+thumbnail+7, plotSide-thumbnail-7
	p.text(point(x, corner.Y-9), left, strongStyle, p.fit(strongStyle, s.ID, room))
	p.text(point(x, corner.Y-23), left, labelStyle, p.cut(labelStyle, s.Class, room))
	p.text(point(x, corner.Y-37), left, style{size: 9, color: blue}, correlationLabel(s.Correlation))

	low, high := bounds(s.Predicted, s.Measured)
	across := scale{min: low, max: high, from: frame.Min.X, to: frame.Max.X}
	up := scale{min: low, max: high, from: frame.Min.Y, to: frame.Max.Y}
	list := ticks(low, high, 4)
	p.rulesX(frame, across, list)
	p.rulesY(frame, up, list)
	p.axes(frame)
	p.dashes(rule, 0.9, frame.Min, frame.Max)
	drawn := 0
	for i := range min(len(s.Predicted), len(s.Measured)) {
		if finite(s.Predicted[i]) && finite(s.Measured[i]) {
			p.dot(point(across.at(s.Predicted[i]), up.at(s.Measured[i])), 1.5, faded(blue, 0.38))
			drawn++
		}
	}
	if drawn == 0 {
		p.nothing(frame)
	}
}

func correlationLabel(r float64) string {
	if math.IsNaN(r) {
		return "r undefined"
	}
	return "r = " + number(r, 2)
}
