package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"image"

	"golang.org/x/image/webp"
)

// decodeWebP decodes a still WebP picture and converts it to RGB as libwebp does.
func decodeWebP(data []byte) (raster, error) {
	const animated = 1 << 1
	if len(data) > 20 && string(data[12:16]) == "VP8X" && data[20]&animated != 0 {
		return raster{}, errors.New("the picture is animated; save one frame of it")
	}
	img, err := webp.Decode(bytes.NewReader(data))
	if err != nil {
		return raster{}, err
	}
	switch img := img.(type) {
	case *image.YCbCr:
		return webpColours(img), nil
	case *image.NYCbCrA:
		return webpColours(&img.YCbCr), nil
	case *image.NRGBA:
		return colourRaster(img.Pix, img.Stride, 4, 1, img.Rect.Dy(), img.Rect.Dx()), nil
	}
	return raster{}, fmt.Errorf("unexpected pixels of type %T", img)
}

// webpColours converts limited-range YCbCr at 4:2:0, which lossy WebP always is, to RGB.
//
// Source: libwebp src/dsp/yuv.h.
func webpColours(img *image.YCbCr) raster {
	r := newRaster(img.Rect.Dy(), img.Rect.Dx(), 3)
	blue, red := newChroma(img, img.Cb), newChroma(img, img.Cr)
	cb, cr := make([]uint8, r.w), make([]uint8, r.w)
	for y := range r.h {
		blue.webpRow(y, cb)
		red.webpRow(y, cr)
		luma, out := img.Y[y*img.YStride:], r.pix[y*r.w*3:]
		for x := range r.w {
			l, u, v := int32(luma[x])*19077>>8, int32(cb[x]), int32(cr[x])
			out[3*x] = clamp((l + v*26149>>8 - 14234) >> 6)
			out[3*x+1] = clamp((l - u*6419>>8 - v*13320>>8 + 8708) >> 6)
			out[3*x+2] = clamp((l + u*33050>>8 - 17685) >> 6)
		}
	}
	return r
}
