package dataset

import (
	"image"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"coar/internal/fault"
	"coar/internal/npy"
)

// arraysOf writes a pictures' array of zeros and labels 0, 1, 2…, and returns the specification.
func arraysOf(t testing.TB, dtype npy.DType, shape ...int) string {
	t.Helper()
	n := dtype.Size()
	for _, d := range shape {
		n *= d
	}
	labels := make([]byte, shape[0])
	for i := range labels {
		labels[i] = byte(i)
	}
	folder := t.TempDir()
	return "npy:" + writeNPY(t, dtype, make([]byte, n), filepath.Join(folder, "images.npy"), shape...) + "," +
		writeNPY(t, npy.Uint8, labels, filepath.Join(folder, "labels.npy"), shape[0])
}

func TestNPYShapes(t *testing.T) {
	for _, c := range []struct {
		dtype   npy.DType
		shape   []int
		opts    Options
		c, h, w int
		kind    fault.Kind
	}{
		{npy.Uint8, []int{2, 3, 5, 7}, Options{}, 3, 5, 7, 0},
		{npy.Uint8, []int{2, 5, 7, 3}, Options{}, 3, 5, 7, 0},
		{npy.Uint8, []int{2, 5, 7, 1}, Options{Channels: 3}, 3, 5, 7, 0},
		{npy.Uint8, []int{2, 5, 7}, Options{}, 1, 5, 7, 0},
		{npy.Uint8, []int{2, 3, 5, 3}, Options{}, 0, 0, 0, fault.Usage},
		{npy.Uint8, []int{2, 3, 5, 3}, Options{Layout: "nchw"}, 3, 5, 3, 0},
		{npy.Uint8, []int{2, 3, 5, 3}, Options{Layout: "nhwc"}, 3, 3, 5, 0},
		{npy.Uint8, []int{2, 3, 5, 7}, Options{Layout: "nhwc"}, 0, 0, 0, fault.Conflict},
		{npy.Uint8, []int{2, 5, 7, 3}, Options{Layout: "nchw"}, 0, 0, 0, fault.Conflict},
		{npy.Uint8, []int{2, 4, 5, 6}, Options{}, 0, 0, 0, fault.Malformed},
		{npy.Uint8, []int{2, 3}, Options{}, 0, 0, 0, fault.Malformed},
		{npy.Uint8, []int{2, 3, 0, 4}, Options{}, 0, 0, 0, fault.Malformed},
		{npy.Uint8, []int{0, 3, 4, 4}, Options{}, 0, 0, 0, fault.Malformed},
		{npy.Uint8, []int{2, 3, 5, 7}, Options{Channels: 1}, 0, 0, 0, fault.Conflict},
		{npy.Uint8, []int{2, 3, 5, 7}, Options{Classes: 1}, 0, 0, 0, fault.Conflict},
		{npy.Float32, []int{2, 3, 5, 7}, Options{}, 3, 5, 7, 0},
		{npy.Float32, []int{2, 3, 5, 3}, Options{}, 3, 5, 3, 0},
		{npy.Float32, []int{2, 1, 5, 7}, Options{Channels: 3}, 3, 5, 7, 0},
		{npy.Float32, []int{2, 5, 7, 3}, Options{}, 0, 0, 0, fault.Malformed},
		{npy.Float32, []int{2, 3, 5, 7}, Options{Layout: "nhwc"}, 0, 0, 0, fault.Usage},
		{npy.Float32, []int{2, 3, 5, 7}, Options{PreprocessGiven: true}, 0, 0, 0, fault.Usage},
		{npy.Float32, []int{2, 3, 5, 7}, Options{Height: 7, Width: 7}, 0, 0, 0, fault.Conflict},
		{npy.Float64, []int{2, 3, 5, 7}, Options{}, 0, 0, 0, fault.Malformed},
		{npy.Int64, []int{2, 3, 5, 7}, Options{}, 0, 0, 0, fault.Malformed},
	} {
		spec := arraysOf(t, c.dtype, c.shape...)
		if c.kind != 0 {
			wantFault(t, npy.FormatShape(c.shape), spec, c.opts, c.kind, "images.npy")
			continue
		}
		s := mustOpen(t, spec, c.opts)
		if ch, h, w := s.Shape(); ch != c.c || h != c.h || w != c.w || s.Len() != 2 || s.Spec() != spec {
			t.Errorf("%v %+v: %d x %d x %d", c.shape, c.opts, ch, h, w)
		}
	}
}

// The two layouts of the same pictures read alike, and their digest is that of the files.
func TestNPYPixels(t *testing.T) {
	folder := t.TempDir()
	labels := writeNPY(t, npy.Int16, []byte{7, 0, 1, 2}, filepath.Join(folder, "labels.npy"), 2)
	last := generated(10, 6, 3) // two pictures of 5 x 6
	var first []byte
	for i := range 2 {
		for ch := range 3 {
			for k := range 30 {
				first = append(first, last.pix[(i*30+k)*3+ch])
			}
		}
	}
	a := mustOpen(t, "npy:"+writeNPY(t, npy.Uint8, last.pix, filepath.Join(folder, "a,b.npy"), 2, 5, 6, 3)+","+labels, Options{})
	b := mustOpen(t, "npy:"+writeNPY(t, npy.Uint8, first, filepath.Join(folder, "b.npy"), 2, 3, 5, 6)+","+labels, Options{})
	for i := range 2 {
		if x, y := prepared(t, a, i), prepared(t, b, i); !slices.Equal(x, y) || x[7] != float32(first[i*90+7])/255 {
			t.Errorf("picture %d differs", i)
		}
	}
	if a.Label(0) != 7 || a.Label(1) != 513 || digest(t, a) == digest(t, b) {
		t.Errorf("labels %d %d", a.Label(0), a.Label(1))
	}
}

func TestNPYPreprocessed(t *testing.T) {
	folder := t.TempDir()
	labels := writeNPY(t, npy.Uint8, []byte{0, 1}, filepath.Join(folder, "labels.npy"), 2)
	values := []float32{-1, 0, 0.5, 3, 2, 2, float32(math.Inf(1)), 2}
	spec := "npy:" + writeNPY(t, npy.Float32, npy.AppendFloat32(nil, values), filepath.Join(folder, "images.npy"), 2, 1, 2, 2) + "," + labels
	s := mustOpen(t, spec, Options{Channels: 3, Preprocess: Preprocess{Resize: 224, Crop: 224}}) // the model's own, which does not apply
	if have := prepared(t, s, 0); !slices.Equal(have, slices.Concat(values[:4], values[:4], values[:4])) {
		t.Errorf("values %v", have)
	}
	picture, err := s.Picture(0)
	if err != nil {
		t.Fatal(err)
	}
	if grey := picture.(*image.Gray); !slices.Equal(grey.Pix, []uint8{0, 64, 96, 255}) {
		t.Errorf("picture %v", grey.Pix)
	}
	checkFault(t, "infinite", s.Image(1, make([]float32, 12)), fault.Malformed, "picture 1", "channel 0, row 1, column 0", "+Inf")
	_, err = s.Picture(1)
	checkFault(t, "infinite", err, fault.Malformed, "picture 1")
}

func TestNPYLabels(t *testing.T) {
	folder := t.TempDir()
	images := writeNPY(t, npy.Uint8, make([]byte, 2*3*4*4), filepath.Join(folder, "images.npy"), 2, 3, 4, 4)
	for name, c := range map[string]struct {
		dtype npy.DType
		raw   []byte
		shape []int
		kind  fault.Kind
	}{
		"negative": {npy.Int8, []byte{0, 0xff}, []int{2}, fault.Malformed},
		"float":    {npy.Float32, make([]byte, 8), []int{2}, fault.Malformed},
		"bool":     {npy.Bool, make([]byte, 2), []int{2}, fault.Malformed},
		"columns":  {npy.Uint8, make([]byte, 2), []int{2, 1}, fault.Malformed},
		"fewer":    {npy.Uint8, make([]byte, 1), []int{1}, fault.Conflict},
		"huge":     {npy.Uint64, append(make([]byte, 15), 0xff), []int{2}, fault.Malformed},
		"short":    {npy.Int64, make([]byte, 15), []int{2}, fault.Malformed},
	} {
		labels := writeNPY(t, c.dtype, c.raw, filepath.Join(folder, name+".npy"), c.shape...)
		wantFault(t, name, "npy:"+images+","+labels, Options{}, c.kind, name+".npy")
	}
}
