package report

import (
	"fmt"
	"image/color"
	"io"

	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/font/liberation"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// Figure is a drawing of a fixed size.
type Figure struct {
	// Width and Height are in points: a PNG has two pixels a point.
	Width, Height vg.Length
	paint         func(*pen)
}

// pngDPI gives two pixels a point.
const pngDPI = 144

// WritePNG writes the figure at two pixels a point.
func (f Figure) WritePNG(w io.Writer) error {
	canvas := vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(f.Width, f.Height), vgimg.UseDPI(pngDPI), vgimg.UseBackgroundColor(paper))}
	f.draw(canvas)
	if _, err := canvas.WriteTo(w); err != nil {
		return fmt.Errorf("report: write PNG: %w", err)
	}
	return nil
}

func (f Figure) draw(canvas vg.CanvasSizer) {
	p := &pen{Canvas: draw.New(canvas), fonts: font.NewCache(liberation.Collection())}
	p.rectangle(p.Rectangle, paper)
	f.paint(p)
}

// The palette: ink on paper, two hues that differ in lightness too, and a few more for further methods.
var (
	paper = color.NRGBA{0xff, 0xff, 0xff, 0xff}
	ink   = color.NRGBA{0x1f, 0x29, 0x33, 0xff}
	muted = color.NRGBA{0x66, 0x70, 0x7c, 0xff}
	rule  = color.NRGBA{0xb4, 0xbc, 0xc6, 0xff}
	faint = color.NRGBA{0xe8, 0xeb, 0xef, 0xff}
	blue  = color.NRGBA{0x2b, 0x65, 0xa5, 0xff}
	rust  = color.NRGBA{0xc9, 0x5d, 0x38, 0xff}
	teal  = color.NRGBA{0x3d, 0x8f, 0x86, 0xff}
	sand  = color.NRGBA{0xd0, 0xa2, 0x4c, 0xff}
	plum  = color.NRGBA{0x85, 0x62, 0x91, 0xff}
)

// series returns the colour of the i-th of several things drawn side by side.
func series(i int) color.NRGBA {
	return []color.NRGBA{blue, sand, teal, rust, plum}[i%5]
}

// faded returns c at the given opacity.
func faded(c color.NRGBA, opacity float64) color.NRGBA {
	c.A = uint8(opacity*255 + 0.5)
	return c
}
