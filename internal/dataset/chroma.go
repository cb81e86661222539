package dataset

import "image"

// chroma is one chroma plane, stored at a fraction of the picture's resolution.
type chroma struct {
	pix    []uint8
	stride int
	h, w   int // of the plane; cells beyond, which fill up blocks, are not looked at
	dx, dy int // how many pixels of the picture one cell covers
}

func newChroma(img *image.YCbCr, pix []uint8) chroma {
	c := chroma{pix: pix, stride: img.CStride, dx: 1, dy: 1}
	switch img.SubsampleRatio {
	case image.YCbCrSubsampleRatio422:
		c.dx = 2
	case image.YCbCrSubsampleRatio420:
		c.dx, c.dy = 2, 2
	case image.YCbCrSubsampleRatio440:
		c.dy = 2
	case image.YCbCrSubsampleRatio411:
		c.dx = 4
	case image.YCbCrSubsampleRatio410:
		c.dx, c.dy = 4, 2
	}
	c.h = (img.Rect.Dy() + c.dy - 1) / c.dy
	c.w = (img.Rect.Dx() + c.dx - 1) / c.dx
	return c
}

// row is the plane's row y, the nearest one where there is none.
func (c chroma) row(y int) []uint8 {
	y = min(max(y, 0), c.h-1)
	return c.pix[y*c.stride:][:c.w]
}

// nearAndFar are the plane's row that covers picture row y, and the next nearest one, of planes at half height.
func (c chroma) nearAndFar(y int) (near, far []uint8) {
	return c.row(y / 2), c.row(y/2 - 1 + y%2*2)
}

// jpegRow interpolates picture row y into dst as libjpeg does: by a triangle filter along halved directions; quartered
// planes and those at most 2 cells wide are repeated.
//
// Source: libjpeg-turbo jdsample.c: h2v1_fancy_upsample, h1v2_fancy_upsample, h2v2_fancy_upsample, int_upsample.
func (c chroma) jpegRow(y int, dst []uint8) {
	wide := c.w > 2
	switch {
	case c.dx == 1 && c.dy == 1:
		copy(dst, c.row(y))
	case c.dx == 1 && c.dy == 2:
		near, far := c.nearAndFar(y)
		for x := range dst {
			dst[x] = uint8((3*int(near[x]) + int(far[x]) + 1 + y%2) >> 2)
		}
	case c.dx == 2 && c.dy == 1 && wide:
		row := c.row(y)
		interpolateRow(dst, len(row), 2, 1, 2, func(x int) int { return int(row[x]) })
	case c.dx == 2 && c.dy == 2 && wide:
		near, far := c.nearAndFar(y)
		interpolateRow(dst, len(near), 4, 8, 7, func(x int) int { return 3*int(near[x]) + int(far[x]) })
	default:
		row := c.row(y / c.dy)
		for x := range dst {
			dst[x] = row[x/c.dx]
		}
	}
}

// interpolateRow doubles n samples: a pixel is 3/4 of its own sample and 1/4 of its other neighbour, shifted right by
// shift after adding left (for a sample's left pixel) or right; the outermost pixels take their sample alone.
func interpolateRow(dst []uint8, n, shift, left, right int, sample func(x int) int) {
	for i := range dst {
		x := i / 2
		other, bias := x-1, left
		if i%2 == 1 {
			other, bias = x+1, right
		}
		if other < 0 || other >= n {
			other = x
		}
		dst[i] = uint8((3*sample(x) + sample(other) + bias) >> shift)
	}
}

// webpRow interpolates picture row y into dst as libwebp does; c is at half resolution both ways.
//
// Source: libwebp src/dsp/upsampling.c.
func (c chroma) webpRow(y int, dst []uint8) {
	near, far := c.nearAndFar(y)
	for i := range dst {
		x := i / 2
		other := x - 1 + i%2*2
		n, below := int(near[x]), int(far[x])
		if other < 0 || other >= c.w {
			dst[i] = uint8((3*n + below + 2) >> 2)
			continue
		}
		beside, across := int(near[other]), int(far[other])
		sum := n + beside + below + across + 8
		dst[i] = uint8(((sum+2*(beside+below))>>3 + n) >> 1)
	}
}
