package dataset

import (
	"errors"
	"image"
)

// raster is a picture of 8-bit samples: pix [h, w, c], c 1 (grey) or 3 (red, green, blue).
type raster struct {
	h, w, c int
	pix     []uint8
}

func newRaster(h, w, c int) raster {
	return raster{h: h, w: w, c: c, pix: make([]uint8, h*w*c)}
}

// fromPlanes turns planes [c, h, w] into a raster.
func fromPlanes(planes []uint8, c, h, w int) raster {
	r := newRaster(h, w, c)
	for ch := range c {
		for i, v := range planes[ch*h*w : (ch+1)*h*w] {
			r.pix[i*c+ch] = v
		}
	}
	return r
}

// withChannels gives the picture the model's number of channels: grey is repeated; colour becomes grey only where red,
// green and blue are equal throughout.
func (r raster) withChannels(c int) (raster, error) {
	if r.c == c {
		return r, nil
	}
	out := newRaster(r.h, r.w, c)
	if c == 3 {
		for i, v := range r.pix {
			out.pix[3*i], out.pix[3*i+1], out.pix[3*i+2] = v, v, v
		}
		return out, nil
	}
	for i := range out.pix {
		v := r.pix[3*i]
		if r.pix[3*i+1] != v || r.pix[3*i+2] != v {
			return raster{}, errors.New("the picture has colours, the model takes grey ones")
		}
		out.pix[i] = v
	}
	return out, nil
}

// image is the raster as a standard image.
func (r raster) image() image.Image {
	bounds := image.Rect(0, 0, r.w, r.h)
	if r.c == 1 {
		return &image.Gray{Pix: r.pix, Stride: r.w, Rect: bounds}
	}
	img := image.NewRGBA(bounds)
	for i := range r.h * r.w {
		copy(img.Pix[4*i:4*i+3], r.pix[3*i:3*i+3])
		img.Pix[4*i+3] = 0xff
	}
	return img
}
