package dataset

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"strings"

	"coar/internal/fault"
	"coar/internal/npy"
)

// npyArrays is an array of pictures and an array of labels.
type npyArrays struct {
	images, labels *npy.File
	c, h, w        int
	nhwc           bool // channels last; else NCHW
	closers        []io.Closer
}

// openNPY opens IMAGES.npy,LABELS.npy.
//
// Pictures: uint8 [n, c, h, w], [n, h, w, c] or [n, h, w], c 1 or 3, which are preprocessed like any others; or float32
// [n, c, h, w], which are what the model takes. Labels: [n] of any integer type.
func openNPY(path string, opts Options) (loaded, error) {
	imagesPath, labelsPath, err := splitPair(path)
	if err != nil {
		return loaded{}, err
	}
	arrays := &npyArrays{}
	if arrays.images, err = arrays.open(imagesPath); err != nil {
		return loaded{}, closing(arrays, err)
	}
	if arrays.labels, err = arrays.open(labelsPath); err != nil {
		return loaded{}, closing(arrays, err)
	}
	if err := arrays.arrange(opts); err != nil {
		return loaded{}, closing(arrays, err)
	}
	in := loaded{stored: arrays, path: imagesPath + "," + labelsPath, c: arrays.c, h: arrays.h, w: arrays.w}
	if arrays.images.Header().DType == npy.Float32 {
		in.tensor = arrays.tensor
	}
	if in.labels, err = arrays.readLabels(); err != nil {
		return loaded{}, closing(arrays, err)
	}
	if in.classNames, err = opts.classNames(); err != nil {
		return loaded{}, closing(arrays, err)
	}
	return in, nil
}

// splitPair splits IMAGES.npy,LABELS.npy. Where names have commas in them, it splits where two files result.
func splitPair(pair string) (images, labels string, err error) {
	at := strings.IndexByte(pair, ',')
	for next := at; next >= 0 && next < len(pair); next++ {
		if pair[next] == ',' && exists(pair[:next]) && exists(pair[next+1:]) {
			at = next
			break
		}
	}
	if at < 1 || at == len(pair)-1 {
		return "", "", fault.Usagef("--data npy:%s: expected npy:IMAGES.npy,LABELS.npy", pair)
	}
	if images, err = absolute(pair[:at]); err != nil {
		return "", "", err
	}
	labels, err = absolute(pair[at+1:])
	return images, labels, err
}

func (a *npyArrays) open(path string) (*npy.File, error) {
	f, err := npy.Open(path)
	if err != nil {
		var system *fs.PathError
		if errors.As(err, &system) {
			return nil, unreadable(path, err)
		}
		return nil, err
	}
	a.closers = append(a.closers, f)
	return f, nil
}

// arrange finds out which dimension of the pictures' array is which.
func (a *npyArrays) arrange(opts Options) error {
	header, name := a.images.Header(), a.images.Name()
	shape := header.Shape
	if err := a.images.CheckDType(npy.Uint8, npy.Float32); err != nil {
		return err
	}
	for _, d := range shape {
		if d == 0 {
			return fault.InFile(name, "the array has shape %s, so there are no pictures in it", npy.FormatShape(shape))
		}
	}
	isChannels := func(d int) bool { return d == 1 || d == 3 }
	if header.DType == npy.Float32 {
		if opts.PreprocessGiven {
			return fault.Usagef("%s holds float32 values, which are taken as preprocessed; leave out --resize, --crop, "+
				"--interpolation, --mean and --std", name)
		}
		if opts.Layout == "nhwc" {
			return fault.Usagef("%s holds float32 values, which must be NCHW; leave out --layout", name)
		}
		if len(shape) != 4 || !isChannels(shape[1]) {
			return fault.InFile(name, "float32 pictures of shape %s; expected [n, c, h, w] with 1 or 3 channels",
				npy.FormatShape(shape))
		}
		a.c, a.h, a.w = shape[1], shape[2], shape[3]
		return a.checkPixels()
	}
	switch {
	case len(shape) == 3:
		a.c, a.h, a.w = 1, shape[1], shape[2]
		return a.checkPixels()
	case len(shape) != 4 || !isChannels(shape[1]) && !isChannels(shape[3]):
		return fault.InFile(name, "uint8 pictures of shape %s; expected [n, c, h, w] or [n, h, w, c] with 1 or 3 channels",
			npy.FormatShape(shape))
	}
	first, last := isChannels(shape[1]), isChannels(shape[3])
	if first && last && opts.Layout == "" {
		return fault.Usagef("%s has shape %s, which may be NCHW or NHWC; say which with --layout", name, npy.FormatShape(shape))
	}
	if opts.Layout == "nchw" && !first || opts.Layout == "nhwc" && !last {
		return fault.Conflictf("%s has shape %s, which is not --layout %s", name, npy.FormatShape(shape), opts.Layout)
	}
	a.nhwc = opts.Layout == "nhwc" || !first
	if a.nhwc {
		a.h, a.w, a.c = shape[1], shape[2], shape[3]
	} else {
		a.c, a.h, a.w = shape[1], shape[2], shape[3]
	}
	return a.checkPixels()
}

func (a *npyArrays) checkPixels() error {
	if a.h > maxPixels/a.w {
		return fault.InFile(a.images.Name(), "pictures of %d x %d pixels; at most %d million pixels are read",
			a.w, a.h, maxPixels>>20)
	}
	return nil
}

// readLabels reads and checks all labels.
func (a *npyArrays) readLabels() ([]int, error) {
	header, name := a.labels.Header(), a.labels.Name()
	if !header.DType.IsInteger() {
		return nil, fault.InFile(name, "labels of type %s; expected integers", header.DType)
	}
	if len(header.Shape) != 1 {
		return nil, fault.InFile(name, "labels of shape %s; expected one dimension", npy.FormatShape(header.Shape))
	}
	n := a.images.Header().Rows()
	if header.Rows() != n {
		return nil, fault.Conflictf("%s holds %d pictures, %s %d labels", a.images.Name(), n, name, header.Rows())
	}
	values := make([]int64, n)
	if err := a.labels.ReadInt64(0, values); err != nil {
		return nil, err
	}
	labels := make([]int, n)
	for i, v := range values {
		if v < 0 || v > math.MaxInt32 {
			return nil, fault.InFile(name, "label %d is %d; expected the number of a class, from 0 on", i, v)
		}
		labels[i] = int(v)
	}
	return labels, nil
}

func (a *npyArrays) place(i int) string { return fmt.Sprintf("%s: picture %d", a.images.Name(), i) }

// raster reads stored pixels; of preprocessed values it makes a picture from the least (black) to the largest (white).
func (a *npyArrays) raster(i int) (raster, error) {
	n := a.c * a.h * a.w
	if a.images.Header().DType == npy.Float32 {
		values := make([]float32, n)
		if err := a.tensor(i, values); err != nil {
			return raster{}, err
		}
		return fromPlanes(scaleToBytes(values), a.c, a.h, a.w), nil
	}
	pix := make([]uint8, n)
	if err := a.images.ReadRows(i, 1, pix); err != nil {
		return raster{}, err
	}
	if a.nhwc || a.c == 1 {
		return raster{h: a.h, w: a.w, c: a.c, pix: pix}, nil
	}
	return fromPlanes(pix, a.c, a.h, a.w), nil
}

// tensor reads preprocessed picture i into dst [c, h, w].
func (a *npyArrays) tensor(i int, dst []float32) error {
	if err := a.images.ReadRowsFloat32(i, 1, dst); err != nil {
		return err
	}
	if at := npy.FirstNotFinite(dst); at >= 0 {
		return fault.InFile(a.images.Name(), "picture %d: the value of channel %d, row %d, column %d is %v",
			i, at/(a.h*a.w), at/a.w%a.h, at%a.w, dst[at])
	}
	return nil
}

// scaleToBytes maps finite values linearly to 0 for the least and 255 for the largest.
func scaleToBytes(values []float32) []uint8 {
	least, largest := float64(values[0]), float64(values[0])
	for _, v := range values {
		least, largest = min(least, float64(v)), max(largest, float64(v))
	}
	out := make([]uint8, len(values))
	if largest > least {
		for i, v := range values {
			out[i] = uint8((float64(v)-least)/(largest-least)*255 + 0.5)
		}
	}
	return out
}

func (a *npyArrays) writeContent(w io.Writer) error {
	for _, file := range []*npy.File{a.images, a.labels} {
		f, _, err := openRegular(file.Name())
		if err != nil {
			return err
		}
		_, err = io.Copy(w, f)
		if err != nil {
			return closing(f, unreadable(file.Name(), err))
		}
		if err := f.Close(); err != nil {
			return unreadable(file.Name(), err)
		}
	}
	return nil
}

func (a *npyArrays) Close() error {
	var errs []error
	for _, c := range a.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}
