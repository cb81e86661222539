package dataset

import "math"

// filter is an interpolation kernel, zero beyond support.
type filter struct {
	support float64
	at      func(x float64) float64
}

// filters are Pillow's kernels, as convolution kernels that widen when a picture shrinks.
var filters = map[string]filter{
	Bilinear: {1, func(x float64) float64 {
		return max(0, 1-math.Abs(x))
	}},
	Bicubic: {2, func(x float64) float64 {
		// Keys' cubic with a = -1/2. The conversions keep products from being fused into sums, which would round differently.
		const a = -0.5
		x = math.Abs(x)
		switch {
		case x < 1:
			return float64(float64(float64((a+2)*x)-(a+3))*x*x) + 1
		case x < 2:
			return (float64((float64((x-5)*x)+8)*x) - 4) * a
		}
		return 0
	}},
}

// resize scales r to h x w pixels, bit for bit as Pillow's Image.resize does for 8-bit pictures.
//
// Cost:   O(h·w·c) times the kernel's width in source pixels, per direction.
// Source: Pillow src/libImaging/Resample.c; ScaleAffine in Geometry.c for nearest.
func resize(r raster, h, w int, interpolation string) raster {
	f, ok := filters[interpolation]
	if !ok {
		return resizeNearest(r, h, w)
	}
	if w != r.w {
		r = resizeRows(r, windows(f, r.w, w))
	}
	if h != r.h {
		r = resizeColumns(r, windows(f, r.h, h))
	}
	return r
}

// precisionBits are the fractional bits of the fixed-point weights.
const precisionBits = 32 - 8 - 2

// window is what one target sample is made of: the source samples from first on, by weights that sum to about
// 1<<precisionBits.
type window struct {
	first   int
	weights []int32
}

// windows computes the window of each of n target samples along a side of size samples.
func windows(f filter, size, n int) []window {
	scale := float64(size) / float64(n)
	widen := max(scale, 1)
	support := f.support * widen
	out := make([]window, n)
	for i := range out {
		centre := (float64(i) + 0.5) * scale
		first := max(int(centre-support+0.5), 0)
		last := min(int(centre+support+0.5), size)
		exact := make([]float64, last-first)
		sum := 0.0
		for k := range exact {
			exact[k] = f.at((float64(k+first) - centre + 0.5) * (1 / widen))
			sum += exact[k]
		}
		out[i] = window{first, make([]int32, len(exact))}
		for k, v := range exact {
			if sum != 0 {
				v /= sum
			}
			out[i].weights[k] = int32(float64(v*(1<<precisionBits)) + math.Copysign(0.5, v))
		}
	}
	return out
}

// resizeRows resamples every row of r; the target is len(columns) wide.
func resizeRows(r raster, columns []window) raster {
	out := newRaster(r.h, len(columns), r.c)
	for y := range r.h {
		row := r.pix[y*r.w*r.c : (y+1)*r.w*r.c]
		target := out.pix[y*out.w*r.c:]
		for x, win := range columns {
			for ch := range r.c {
				sum := int32(1 << (precisionBits - 1))
				at := win.first*r.c + ch
				for _, weight := range win.weights {
					sum += weight * int32(row[at])
					at += r.c
				}
				target[x*r.c+ch] = toByte(sum)
			}
		}
	}
	return out
}

// resizeColumns resamples every column of r; the target is len(rows) high.
func resizeColumns(r raster, rows []window) raster {
	out := newRaster(len(rows), r.w, r.c)
	stride := r.w * r.c
	sums := make([]int32, stride)
	for y, win := range rows {
		for i := range sums {
			sums[i] = 1 << (precisionBits - 1)
		}
		for k, weight := range win.weights {
			from := r.pix[(win.first+k)*stride : (win.first+k+1)*stride]
			for i, v := range from {
				sums[i] += weight * int32(v)
			}
		}
		target := out.pix[y*stride:]
		for i, sum := range sums {
			target[i] = toByte(sum)
		}
	}
	return out
}

// toByte drops the fractional bits and clamps.
func toByte(sum int32) uint8 {
	return uint8(min(max(sum>>precisionBits, 0), 255))
}

// resizeNearest picks the source pixel under each target pixel's centre.
func resizeNearest(r raster, h, w int) raster {
	out := newRaster(h, w, r.c)
	columns, rows := nearestSamples(r.w, w), nearestSamples(r.h, h)
	for y, fromY := range rows {
		for x, fromX := range columns {
			copy(out.pix[(y*w+x)*r.c:(y*w+x+1)*r.c], r.pix[(fromY*r.w+fromX)*r.c:])
		}
	}
	return out
}

// nearestSamples lists which of size samples each of n targets takes. The position is accumulated, as in Pillow, whose
// rounding a product would not share.
func nearestSamples(size, n int) []int {
	step := float64(size) / float64(n)
	at := step * 0.5
	out := make([]int, n)
	for i := range out {
		out[i] = min(int(at), size-1)
		at += step
	}
	return out
}
