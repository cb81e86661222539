package report

import (
	"image/color"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// pen draws on a canvas whose origin is its lower left corner; lengths are in points.
type pen struct {
	draw.Canvas
	fonts *font.Cache
}

// style says how a piece of text looks.
type style struct {
	size  vg.Length
	color color.NRGBA
	bold  bool
}

var (
	titleStyle    = style{size: 13, color: ink, bold: true}
	subtitleStyle = style{size: 9.5, color: muted}
	labelStyle    = style{size: 9, color: ink}
	strongStyle   = style{size: 9, color: ink, bold: true}
	tickStyle     = style{size: 8, color: muted}
)

// anchor says which point of a text stands at the given position.
type anchor struct{ x, y float64 } // 0 left or bottom, 0.5 centre, 1 right or top

var (
	left   = anchor{0, 0.5}
	centre = anchor{0.5, 0.5}
	right  = anchor{1, 0.5}
	top    = anchor{0.5, 1}
	bottom = anchor{0.5, 0}
)

func (p *pen) textStyle(s style) text.Style {
	weight := xfont.WeightNormal
	if s.bold {
		weight = xfont.WeightBold
	}
	return text.Style{
		Color:   s.color,
		Font:    font.Font{Typeface: "Liberation", Variant: "Sans", Weight: weight, Size: s.size},
		Handler: text.Plain{Fonts: p.fonts},
	}
}

// text writes one line; characters that cannot be printed are replaced.
func (p *pen) text(at vg.Point, a anchor, s style, line string) {
	ts := p.textStyle(s)
	line = printable(line)
	extents := ts.FontExtents()
	at.X -= vg.Length(a.x) * ts.Width(line)
	// The box is that of capitals and digits, from baseline to about 0.72 of the size: centring looks right for both.
	at.Y -= vg.Length(a.y) * 0.72 * extents.Ascent / 0.905
	p.baseline(ts, at, line)
}

// upright writes one line turned by a quarter to the left, centred at the given point.
func (p *pen) upright(at vg.Point, s style, line string) {
	ts := p.textStyle(s)
	p.Push()
	p.Translate(at)
	p.Rotate(math.Pi / 2)
	line = printable(line)
	p.baseline(ts, vg.Point{X: -ts.Width(line) / 2, Y: -0.36 * s.size}, line)
	p.Pop()
}

func (p *pen) baseline(ts text.Style, at vg.Point, line string) {
	if line == "" {
		return
	}
	p.SetColor(ts.Color)
	p.FillString(p.fonts.Lookup(ts.Font, ts.Font.Size), at, line)
}

func (p *pen) width(s style, line string) vg.Length { return p.textStyle(s).Width(printable(line)) }

// fit shortens line in its middle until it is no wider than limit: the ends of a path tell most.
func (p *pen) fit(s style, line string, limit vg.Length) string {
	line = printable(line)
	if p.width(s, line) <= limit {
		return line
	}
	runes := []rune(line)
	// The widest cut that fits, by bisection over the number of characters kept.
	kept, tooMany := 0, len(runes)
	for tooMany-kept > 1 {
		middle := kept + (tooMany-kept)/2
		if p.width(s, shortened(runes, middle)) <= limit {
			kept = middle
		} else {
			tooMany = middle
		}
	}
	return shortened(runes, kept)
}

// shortened keeps n of the runes around an ellipsis.
func shortened(runes []rune, n int) string {
	head := (n + 1) / 2
	return string(runes[:head]) + "…" + string(runes[len(runes)-(n-head):])
}

// printable replaces what a font cannot draw or XML cannot hold.
func printable(line string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, line)
}

func (p *pen) line(c color.Color, width vg.Length, points ...vg.Point) {
	p.StrokeLines(draw.LineStyle{Color: c, Width: width}, points)
}

func (p *pen) dashes(c color.Color, width vg.Length, points ...vg.Point) {
	p.StrokeLines(draw.LineStyle{Color: c, Width: width, Dashes: []vg.Length{3, 2.5}}, points)
	p.SetLineDash(nil, 0)
}

func (p *pen) rectangle(r vg.Rectangle, c color.Color) {
	p.SetColor(c)
	p.Fill(r.Path())
}

func (p *pen) dot(at vg.Point, radius vg.Length, c color.Color) {
	p.SetColor(c)
	var path vg.Path
	path.Move(vg.Point{X: at.X + radius, Y: at.Y})
	path.Arc(at, radius, 0, 2*math.Pi)
	path.Close()
	p.Fill(path)
}

// heading writes title and subtitle below the upper edge, shortened to the width of the canvas.
func (p *pen) heading(title, subtitle string) {
	room := p.Max.X - p.Min.X - 2*margin
	p.text(vg.Point{X: p.Min.X + margin, Y: p.Max.Y - 24}, left, titleStyle, p.fit(titleStyle, title, room))
	p.text(vg.Point{X: p.Min.X + margin, Y: p.Max.Y - 41}, left, subtitleStyle, p.fit(subtitleStyle, subtitle, room))
}

const (
	margin        vg.Length = 20 // around every figure
	headingHeight vg.Length = 58 // upper edge to the first thing below the heading
)

func point(x, y vg.Length) vg.Point { return vg.Point{X: x, Y: y} }

func box(x0, y0, x1, y1 vg.Length) vg.Rectangle {
	return vg.Rectangle{Min: point(x0, y0), Max: point(x1, y1)}
}
