package report

import (
	"image"
	"image/color"
	"math"

	xdraw "golang.org/x/image/draw"
	"gonum.org/v1/plot/vg"
)

// picture draws an image within a square, its proportions kept, its pixels shown as squares where it is small.
// Without an image it draws an empty frame.
func (p *pen) picture(square vg.Rectangle, img image.Image) {
	if img == nil || img.Bounds().Empty() {
		p.rectangle(square, faint)
		return
	}
	size := square.Size()
	width, height := img.Bounds().Dx(), img.Bounds().Dy()
	shrink := float64(size.X) / float64(max(width, height))
	w, h := vg.Length(float64(width)*shrink), vg.Length(float64(height)*shrink)
	x, y := square.Min.X+(size.X-w)/2, square.Min.Y+(size.Y-h)/2
	p.DrawImage(box(x, y, x+w, y+h), resampled(img, w, h))
	p.line(rule, 0.5, point(x, y), point(x+w, y), point(x+w, y+h), point(x, y+h), point(x, y))
}

// resampled returns img at about four pixels a point, so that a backend's own interpolation has nothing left to blur.
// Images smaller than that keep square pixels; larger ones are smoothed.
func resampled(img image.Image, w, h vg.Length) image.Image {
	const pixelsPerPoint = 4
	target := image.Rect(0, 0, pixels(w*pixelsPerPoint), pixels(h*pixelsPerPoint))
	out := image.NewNRGBA(target)
	var how xdraw.Interpolator = xdraw.CatmullRom
	if img.Bounds().Dx() < target.Dx() {
		how = xdraw.NearestNeighbor
	}
	xdraw.Draw(out, target, image.NewUniform(color.White), image.Point{}, xdraw.Src)
	how.Scale(out, target, img, img.Bounds(), xdraw.Over, nil)
	return out
}

func pixels(l vg.Length) int { return max(1, int(math.Round(float64(l)))) }
