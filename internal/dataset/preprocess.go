package dataset

import (
	"fmt"
	"math"

	"coar/internal/fault"
)

// preparer applies one Preprocess to pictures for a model of c input channels.
type preparer struct {
	Preprocess
	values [][256]float32 // what each sample value becomes, by channel
}

func newPreparer(p Preprocess, c int) (*preparer, error) {
	if len(p.Mean) > c {
		return nil, fault.Conflictf("--mean has %d values, the model takes %d channel", len(p.Mean), c)
	}
	if len(p.Std) > c {
		return nil, fault.Conflictf("--std has %d values, the model takes %d channel", len(p.Std), c)
	}
	out := &preparer{Preprocess: p, values: make([][256]float32, c)}
	for ch := range out.values {
		for v := range out.values[ch] {
			// ToTensor divides in float32, Normalize subtracts and divides in float32.
			x := float32(v) / 255
			x -= perChannel(p.Mean, ch, 0)
			out.values[ch][v] = x / perChannel(p.Std, ch, 1)
		}
		for _, end := range []float32{out.values[ch][0], out.values[ch][255]} {
			if math.IsInf(float64(end), 0) {
				return nil, fault.Usagef("--std %v is so small that values overflow", perChannel(p.Std, ch, 1))
			}
		}
	}
	return out, nil
}

// perChannel is channel c's entry of list, which may hold one for all or none.
func perChannel(list []float32, c int, none float32) float32 {
	switch len(list) {
	case 0:
		return none
	case 1:
		return list[0]
	}
	return list[c]
}

// resized is the size of an h x w picture after Resize: the shorter side is p.Resize, the longer one rounded down.
func (p Preprocess) resized(h, w int) (int, int) {
	switch {
	case p.Resize == 0:
		return h, w
	case w <= h:
		return p.Resize * h / w, p.Resize
	default:
		return p.Resize, p.Resize * w / h
	}
}

// size is the size of an h x w picture after preprocessing. It fails where resizing would make the picture too large.
func (p Preprocess) size(h, w int) (int, int, error) {
	rh, rw := p.resized(h, w)
	if rh > maxPixels/rw {
		return 0, 0, fmt.Errorf("a picture %d wide and %d high would be %d wide and %d high after --resize %d; "+
			"at most %d million pixels are supported, crop it first", w, h, rw, rh, p.Resize, maxPixels>>20)
	}
	if p.Crop > 0 {
		return p.Crop, p.Crop, nil
	}
	return rh, rw, nil
}

// prepare writes the preprocessed picture to dst [c, h, w]; r has the model's channels and size has accepted its size.
func (p *preparer) prepare(r raster, dst []float32) {
	if h, w := p.resized(r.h, r.w); h != r.h || w != r.w {
		r = resize(r, h, w, p.interpolation())
	}
	if p.Crop > 0 {
		r = centreCrop(r, p.Crop)
	}
	for ch := range r.c {
		values, plane := &p.values[ch], dst[ch*r.h*r.w:(ch+1)*r.h*r.w]
		for i := range plane {
			plane[i] = values[r.pix[i*r.c+ch]]
		}
	}
}

// centreCrop cuts the middle side x side pixels out of r; where r is smaller, black is added around it first.
//
// Source: torchvision.transforms.functional.center_crop, with its rounding of odd differences.
func centreCrop(r raster, side int) raster {
	if r.h == side && r.w == side {
		return r
	}
	out := newRaster(side, side, r.c)
	fromY, toY, rows := cropSpan(r.h, side)
	fromX, toX, columns := cropSpan(r.w, side)
	for y := range rows {
		from := r.pix[((fromY+y)*r.w+fromX)*r.c:]
		copy(out.pix[((toY+y)*side+toX)*r.c:], from[:columns*r.c])
	}
	return out
}

// cropSpan says where the n kept samples of a side of size samples come from and where they go.
func cropSpan(size, crop int) (from, to, n int) {
	if size < crop {
		return 0, (crop - size) / 2, size
	}
	return int(math.RoundToEven(float64(size-crop) / 2)), 0, crop
}
