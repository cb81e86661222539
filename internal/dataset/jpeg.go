package dataset

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
)

// decodeJPEG decodes and converts to RGB as libjpeg does by default, within 2 or 3 levels: chroma is interpolated
// ("fancy upsampling") where the standard library's own conversion repeats it.
func decodeJPEG(data []byte) (raster, error) {
	if scans := bytes.Count(data, []byte("\xff\xda")); scans > maxScans {
		return raster{}, fmt.Errorf("%d scans; at most %d are decoded", scans, maxScans)
	}
	img, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		return raster{}, err
	}
	switch img := img.(type) {
	case *image.Gray:
		return greyRaster(img), nil
	case *image.YCbCr:
		return jpegColours(img), nil
	case *image.RGBA:
		return colourRaster(img.Pix, img.Stride, 4, 1, img.Rect.Dy(), img.Rect.Dx()), nil
	case *image.CMYK:
		return inkColours(img), nil
	}
	return raster{}, fmt.Errorf("unexpected pixels of type %T", img)
}

// jpegColours converts full-range YCbCr to RGB.
//
// Source: libjpeg jdcolor.c, ycc_rgb_convert.
func jpegColours(img *image.YCbCr) raster {
	r := newRaster(img.Rect.Dy(), img.Rect.Dx(), 3)
	blue, red := newChroma(img, img.Cb), newChroma(img, img.Cr)
	cb, cr := make([]uint8, r.w), make([]uint8, r.w)
	for y := range r.h {
		blue.jpegRow(y, cb)
		red.jpegRow(y, cr)
		luma, out := img.Y[y*img.YStride:], r.pix[y*r.w*3:]
		for x := range r.w {
			l, u, v := int32(luma[x]), int32(cb[x])-128, int32(cr[x])-128
			out[3*x] = clamp(l + (91881*v+1<<15)>>16)
			out[3*x+1] = clamp(l + (-22554*u-46802*v+1<<15)>>16)
			out[3*x+2] = clamp(l + (116130*u+1<<15)>>16)
		}
	}
	return r
}

// inkColours converts cyan, magenta, yellow and black to RGB.
//
// Source: Pillow src/libImaging/Convert.c, cmyk2rgb.
func inkColours(img *image.CMYK) raster {
	r := newRaster(img.Rect.Dy(), img.Rect.Dx(), 3)
	for y := range r.h {
		for x := range r.w {
			ink := img.Pix[y*img.Stride+4*x:][:4]
			light := 255 - uint32(ink[3])
			for ch := range 3 {
				covered := uint32(ink[ch])*light + 128
				r.pix[(y*r.w+x)*3+ch] = clamp(int32(light) - int32((covered>>8+covered)>>8))
			}
		}
	}
	return r
}

func clamp(v int32) uint8 { return uint8(min(max(v, 0), 255)) }
