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

// capHeight is how high capitals and digits stand above the baseline, as a share of the size.
const capHeight = 0.72

// text writes one line; characters that cannot be printed are replaced.
func (p *pen) text(at vg.Point, a anchor, s style, line string) {
	ts := p.textStyle(s)
	line = printable(line)
	at.X -= vg.Length(a.x) * ts.Width(line)
	at.Y -= vg.Length(a.y) * capHeight * s.size
	p.baseline(ts, at, line)
}

// upright writes one line turned by a quarter to the left, centred at the given point.
func (p *pen) upright(at vg.Point, s style, line string) {
	ts := p.textStyle(s)
	p.Push()
	p.Translate(at)
	p.Rotate(math.Pi / 2)
	line = printable(line)
	p.baseline(ts, vg.Point{X: -ts.Width(line) / 2, Y: -capHeight / 2 * s.size}, line)
	p.Pop()
}

func (p *pen) baseline(ts text.Style, at vg.Point, line string) {
	if line == "" {
		return
	}
	p.SetColor(ts.Color)
	p.FillString(p.fonts.Lookup(ts.Font, ts.Font.Size), at, line)
}

// plate writes one line on a patch of paper, so that rules do not cross it.
func (p *pen) plate(at vg.Point, a anchor, s style, line string) {
	x, w := at.X-vg.Length(a.x)*p.width(s, line), p.width(s, line)
	p.rectangle(box(x-2, at.Y-s.size/2, x+w+2, at.Y+s.size/2), paper)
	p.text(at, a, s, line)
}

func (p *pen) width(s style, line string) vg.Length { return p.textStyle(s).Width(printable(line)) }

// fit shortens line in its middle until it is no wider than limit: the ends of a path tell most.
func (p *pen) fit(s style, line string, limit vg.Length) string {
	return p.shorten(s, line, limit, func(n int) int { return (n + 1) / 2 })
}

// cut shortens line at its end until it is no wider than limit: the beginning of a name or sentence tells most.
func (p *pen) cut(s style, line string, limit vg.Length) string {
	return p.shorten(s, line, limit, func(n int) int { return n })
}

// shorten keeps as many characters of line as fit into limit beside an ellipsis; head says how many of n stand before it.
func (p *pen) shorten(s style, line string, limit vg.Length, head func(n int) int) string {
	line = printable(line)
	if p.width(s, line) <= limit {
		return line
	}
	runes := []rune(line)
	keep := func(n int) string {
		before := head(n)
		return string(runes[:before]) + "…" + string(runes[len(runes)-(n-before):])
	}
	// Bisection over the number of characters kept; the ellipsis alone is drawn whatever the limit.
	kept, tooMany := 0, len(runes)
	for tooMany-kept > 1 {
		middle := kept + (tooMany-kept)/2
		if p.width(s, keep(middle)) <= limit {
			kept = middle
		} else {
			tooMany = middle
		}
	}
	return keep(kept)
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
	p.text(vg.Point{X: p.Min.X + margin, Y: p.Max.Y - 24}, left, titleStyle, p.cut(titleStyle, title, room))
	p.text(vg.Point{X: p.Min.X + margin, Y: p.Max.Y - 41}, left, subtitleStyle, p.cut(subtitleStyle, subtitle, room))
}

const (
	margin        vg.Length = 20 // around every figure
	headingHeight vg.Length = 62 // upper edge to the first thing below the heading
)

func point(x, y vg.Length) vg.Point { return vg.Point{X: x, Y: y} }

func box(x0, y0, x1, y1 vg.Length) vg.Rectangle {
	return vg.Rectangle{Min: point(x0, y0), Max: point(x1, y1)}
}
