package dataset

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"testing"
)

// generated is the picture that testdata/make_preprocessed.py generates under the same name.
func generated(h, w, c int) raster {
	r := newRaster(h, w, c)
	x := uint32(h*65536 + w*8 + c)
	for i := range r.pix {
		x = x*1664525 + 1013904223
		r.pix[i] = uint8(x >> 24)
	}
	if w%2 == 1 {
		for i, v := range r.pix {
			r.pix[i] = 0
			if v >= 128 {
				r.pix[i] = 255
			}
		}
	}
	return r
}

func readJSON(t testing.TB, path string, into any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

func floatSum(values []float32) string {
	var data []byte
	for _, v := range values {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
	}
	return sum(data)
}

// Preprocessing is torchvision's, bit for bit: pixels after Resize and CenterCrop, float32 values after Normalize.
func TestPreprocessingEqualsTorchvision(t *testing.T) {
	var cases []struct {
		Height, Width, Channels, Resize, Crop int
		Interpolation                         string
		OutHeight, OutWidth                   int
		Pixels, Tensor                        string
	}
	readJSON(t, "testdata/preprocessed.json", &cases)
	for _, c := range cases {
		p := Preprocess{Resize: c.Resize, Crop: c.Crop, Interpolation: c.Interpolation,
			Mean: []float32{0.485, 0.456, 0.406}, Std: []float32{0.229, 0.224, 0.225}}
		if c.Channels == 1 {
			p.Mean, p.Std = []float32{0.1307}, []float32{0.3081}
		}
		prepare, err := newPreparer(p, c.Channels)
		if err != nil {
			t.Fatal(err)
		}
		h, w, err := prepare.size(c.Height, c.Width)
		if err != nil || h != c.OutHeight || w != c.OutWidth {
			t.Errorf("%+v: size %d x %d, %v", c, h, w, err)
			continue
		}
		plain, err := newPreparer(Preprocess{Resize: c.Resize, Crop: c.Crop, Interpolation: c.Interpolation}, c.Channels)
		if err != nil {
			t.Fatal(err)
		}
		values := make([]float32, c.Channels*h*w)
		plain.prepare(generated(c.Height, c.Width, c.Channels), values)
		pixels := make([]uint8, len(values)) // HWC again
		for i, v := range values {
			pixels[i%(h*w)*c.Channels+i/(h*w)] = uint8(math.Round(float64(v) * 255))
		}
		if sum(pixels) != c.Pixels {
			t.Errorf("%dx%dx%d %s resize %d crop %d: pixels differ", c.Height, c.Width, c.Channels, c.Interpolation, c.Resize, c.Crop)
			continue
		}
		prepare.prepare(generated(c.Height, c.Width, c.Channels), values)
		if floatSum(values) != c.Tensor {
			t.Errorf("%dx%dx%d %s resize %d crop %d: values differ", c.Height, c.Width, c.Channels, c.Interpolation, c.Resize, c.Crop)
		}
	}
	if len(cases) < 100 {
		t.Errorf("only %d cases", len(cases))
	}
}

// A colour picture whose channels are equal resizes to what its grey twin does.
func TestGreyAndRepeatedGreyAgree(t *testing.T) {
	grey := generated(19, 26, 1)
	colour, err := grey.withChannels(3)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{Bilinear, Bicubic, Nearest} {
		want := resize(grey, 11, 40, name)
		have, err := resize(colour, 11, 40, name).withChannels(1)
		if err != nil || sum(have.pix) != sum(want.pix) {
			t.Errorf("%s: differs, %v", name, err)
		}
	}
}

func TestResizingBeyondTheLimitIsRefused(t *testing.T) {
	if _, _, err := (Preprocess{Resize: 224, Crop: 224}).size(60000, 1); err == nil {
		t.Error("224 x 13,440,000 pixels accepted")
	}
}
