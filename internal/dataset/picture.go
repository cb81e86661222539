package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"

	"golang.org/x/image/webp"

	"coar/internal/fault"
)

// Limits on one picture file. Decoders allocate what the header claims, so the claim is judged before they run.
const (
	maxPictureBytes = 256 << 20
	maxPixels       = 64 << 20
	freeMemory      = 64 << 20 // decoding may take this much whatever the file's size
	memoryPerByte   = 100      // and beyond it this many times the file's size
	maxScans        = 1000     // of a progressive JPEG: each passes over all pixels, however short it is
)

// codec is one compressed picture format.
type codec struct {
	name   string
	magic  func(data []byte) bool
	config func(r io.Reader) (image.Config, error)
	decode func(data []byte) (raster, error)
	memory int64 // bytes per pixel that decoding takes at most, the raster included
}

// codecs are told apart by content: files are often misnamed.
var codecs = []codec{
	{"JPEG", hasPrefix("\xff\xd8\xff"), jpeg.DecodeConfig, decodeJPEG, 28},
	{"PNG", hasPrefix("\x89PNG\r\n\x1a\n"), png.DecodeConfig, decodePNG, 20},
	{"WebP", func(data []byte) bool {
		return len(data) >= 12 && string(data[:4]) == "RIFF" && string(data[8:12]) == "WEBP"
	}, webp.DecodeConfig, decodeWebP, 16},
}

func hasPrefix(magic string) func([]byte) bool {
	return func(data []byte) bool { return bytes.HasPrefix(data, []byte(magic)) }
}

// readPicture reads and decodes the picture file at path, as Pillow's convert("RGB") would, but grey stays one channel.
// Orientation tags and colour profiles are ignored, transparency is dropped.
//
// Memory: bounded by 64 MB or 100 times the file's size, whichever is more.
// Errors: fault.Malformed naming the file.
func readPicture(path string) (raster, error) {
	f, size, err := openRegular(path)
	if err != nil {
		return raster{}, err
	}
	defer f.Close()
	if size > maxPictureBytes {
		return raster{}, fault.InFile(path, "a file of %d bytes; pictures of at most %d are read", size, maxPictureBytes)
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(f, data); err != nil {
		return raster{}, unreadable(path, err)
	}
	r, err := decodePicture(data)
	if err != nil {
		return raster{}, fault.InFile(path, "%w", err)
	}
	return r, nil
}

// decodePicture decodes a JPEG, PNG or WebP file's bytes.
func decodePicture(data []byte) (raster, error) {
	for _, format := range codecs {
		if !format.magic(data) {
			continue
		}
		config, err := format.config(bytes.NewReader(data))
		if err != nil {
			return raster{}, format.failed(err)
		}
		if err := format.judge(config, int64(len(data))); err != nil {
			return raster{}, err
		}
		r, err := format.decode(data)
		if err != nil {
			return raster{}, format.failed(err)
		}
		return r, nil
	}
	return raster{}, errors.New("this is no JPEG, PNG or WebP picture")
}

// failed reports a decoder's error. Decoders say io.EOF where they mean that the file is too short.
func (f codec) failed(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the %s picture is cut short", f.name)
	}
	return fmt.Errorf("decode %s: %w", f.name, err)
}

// judge decides whether a picture of the claimed size may be decoded from a file of size bytes.
func (f codec) judge(config image.Config, size int64) error {
	if config.Width < 1 || config.Height < 1 {
		return fmt.Errorf("a picture %d wide and %d high has no pixels", config.Width, config.Height)
	}
	if config.Width > maxPixels/config.Height {
		return fmt.Errorf("a picture %d wide and %d high; at most %d million pixels are read, make it smaller first",
			config.Width, config.Height, maxPixels>>20)
	}
	// Decoders work in blocks of up to 32 x 16 pixels, begun ones whole.
	pixels := int64((config.Width+31)&^31) * int64((config.Height+15)&^15)
	if need := pixels * f.memory; need > freeMemory && need > memoryPerByte*size {
		return fmt.Errorf("a file of %d bytes claims to be a picture %d wide and %d high; so large a picture in so small "+
			"a file is not decoded, make it smaller first", size, config.Width, config.Height)
	}
	return nil
}

// decodePNG decodes as Pillow does: of 16-bit colour the high byte counts, 16-bit grey is clipped at 255.
func decodePNG(data []byte) (raster, error) {
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return raster{}, err
	}
	w, h := img.Bounds().Dx(), img.Bounds().Dy()
	switch img := img.(type) {
	case *image.Gray:
		return greyRaster(img), nil
	case *image.Gray16:
		return clippedGrey(img.Pix, img.Stride, 2, h, w), nil
	case *image.RGBA: // fully opaque, as PNG pictures without alpha are
		return colourRaster(img.Pix, img.Stride, 4, 1, h, w), nil
	case *image.NRGBA:
		return colourRaster(img.Pix, img.Stride, 4, 1, h, w), nil
	case *image.RGBA64:
		return colourRaster(img.Pix, img.Stride, 8, 2, h, w), nil
	case *image.NRGBA64:
		if grey, depth := data[25] == 0, data[24]; grey && depth == 16 { // with a transparent level
			return clippedGrey(img.Pix, img.Stride, 8, h, w), nil
		}
		return colourRaster(img.Pix, img.Stride, 8, 2, h, w), nil
	case *image.Paletted:
		return palettedRaster(img)
	}
	return raster{}, fmt.Errorf("unexpected pixels of type %T", img)
}

func greyRaster(img *image.Gray) raster {
	r := newRaster(img.Rect.Dy(), img.Rect.Dx(), 1)
	for y := range r.h {
		copy(r.pix[y*r.w:(y+1)*r.w], img.Pix[y*img.Stride:])
	}
	return r
}

// clippedGrey reads big-endian 16-bit samples, step bytes apart, clipping them at 255.
func clippedGrey(pix []uint8, stride, step, h, w int) raster {
	r := newRaster(h, w, 1)
	for y := range h {
		for x := range w {
			at := y*stride + x*step
			r.pix[y*w+x] = pix[at+1]
			if pix[at] != 0 {
				r.pix[y*w+x] = 255
			}
		}
	}
	return r
}

// colourRaster reads the first byte of each of three samples, pixels being step bytes apart and samples sample bytes.
func colourRaster(pix []uint8, stride, step, sample, h, w int) raster {
	r := newRaster(h, w, 3)
	for y := range h {
		row, out := pix[y*stride:], r.pix[y*w*3:]
		for x := range w {
			out[3*x], out[3*x+1], out[3*x+2] = row[x*step], row[x*step+sample], row[x*step+2*sample]
		}
	}
	return r
}

// palettedRaster looks every pixel up in the palette.
func palettedRaster(img *image.Paletted) (raster, error) {
	var colours [256][3]uint8
	for i, c := range img.Palette {
		red, green, blue := opaque(c)
		colours[i&0xff] = [3]uint8{red, green, blue}
	}
	r := newRaster(img.Rect.Dy(), img.Rect.Dx(), 3)
	for y := range r.h {
		for x, index := range img.Pix[y*img.Stride:][:r.w] {
			if int(index) >= len(img.Palette) {
				return raster{}, fmt.Errorf("pixel %d of row %d has colour %d, the palette ends at %d",
					x, y, index, len(img.Palette)-1)
			}
			copy(r.pix[(y*r.w+x)*3:], colours[index][:])
		}
	}
	return r, nil
}

// opaque is a palette colour's red, green and blue with the transparency left out, not blended.
func opaque(c color.Color) (red, green, blue uint8) {
	n, ok := c.(color.NRGBA)
	if !ok {
		n = color.NRGBAModel.Convert(c).(color.NRGBA)
	}
	return n.R, n.G, n.B
}
