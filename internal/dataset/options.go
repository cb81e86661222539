package dataset

import (
	"math"

	"coar/internal/fault"
)

// The interpolations that Preprocess knows, as Pillow computes them: antialiased when shrinking, but for nearest.
const (
	Bilinear = "bilinear"
	Bicubic  = "bicubic"
	Nearest  = "nearest"
)

// Preprocess says how a stored picture becomes a model's input: torchvision's Resize, CenterCrop, ToTensor, Normalize.
type Preprocess struct {
	Resize        int       `json:"resize"`        // shorter side in pixels; 0: keep
	Crop          int       `json:"crop"`          // centre crop side, padded with black where the picture is smaller; 0: none
	Interpolation string    `json:"interpolation"` // bilinear (also for ""), bicubic, nearest
	Mean          []float32 `json:"mean"`          // per channel, of values scaled to [0,1]; 1 or 3 entries, none for 0
	Std           []float32 `json:"std"`           // likewise, none for 1
}

// Options say what a source is opened for.
type Options struct {
	Split           string   // "test" (also for "") or "train": which files of cifar10 and idx; elsewhere it selects nothing
	Layout          string   // "", "nchw", "nhwc": the order of uint8 .npy pictures where their shape does not tell
	ClassesFile     string   // a file of class names; see readClasses
	ClassNames      []string // by output, "" where none has that output: instead of such a file
	Preprocess      Preprocess
	PreprocessGiven bool // the user asked for preprocessing, which preprocessed arrays refuse
	Channels        int  // the model's input channels, 1 or 3; 0: the source's own
	Classes         int  // the model's outputs; 0: any number
	Height, Width   int  // the model's input size; 0: any
}

// maxSide bounds --resize and --crop, in pixels.
const maxSide = 8192

func (o Options) check() error {
	switch o.Layout {
	case "", "nchw", "nhwc":
	default:
		return fault.Usagef("--layout %q: expected nchw or nhwc", o.Layout)
	}
	if o.Channels != 0 && o.Channels != 1 && o.Channels != 3 {
		return fault.Conflictf("the model takes %d input channels; pictures have 1 or 3", o.Channels)
	}
	return o.Preprocess.check()
}

func (p Preprocess) check() error {
	if p.Resize < 0 || p.Resize > maxSide {
		return fault.Usagef("--resize %d: expected 0 to %d pixels", p.Resize, maxSide)
	}
	if p.Crop < 0 || p.Crop > maxSide {
		return fault.Usagef("--crop %d: expected 0 to %d pixels", p.Crop, maxSide)
	}
	if _, ok := filters[p.interpolation()]; !ok && p.interpolation() != Nearest {
		return fault.Usagef("--interpolation %q: expected bilinear, bicubic or nearest", p.Interpolation)
	}
	for _, list := range []struct {
		flag   string
		values []float32
	}{{"--mean", p.Mean}, {"--std", p.Std}} {
		if n := len(list.values); n != 0 && n != 1 && n != 3 {
			return fault.Usagef("%s has %d values; expected 1 or 3, one per channel", list.flag, n)
		}
		for _, v := range list.values {
			if v64 := float64(v); math.IsNaN(v64) || math.IsInf(v64, 0) {
				return fault.Usagef("%s %v is not a finite number", list.flag, v)
			}
		}
	}
	for _, v := range p.Std {
		if v <= 0 {
			return fault.Usagef("--std %v: a standard deviation must be positive", v)
		}
	}
	return nil
}

func (p Preprocess) interpolation() string {
	if p.Interpolation == "" {
		return Bilinear
	}
	return p.Interpolation
}

// checkSize fails unless pictures of h x w pixels are what the model takes, and says how to mend it.
func (o Options) checkSize(path string, h, w int, preprocessed bool) error {
	if (o.Height == 0 || o.Height == h) && (o.Width == 0 || o.Width == w) {
		return nil
	}
	remedy := "bring them to that size first"
	switch side := o.Height; {
	case preprocessed:
		remedy = "make the array again with that size"
	case side == o.Width && side > 0 && side <= maxSide:
		return fault.Conflictf("pictures of %s are %d wide and %d high after preprocessing, the model takes %d x %d; "+
			"give --resize %d --crop %d", path, w, h, o.Width, o.Height, side, side)
	}
	return fault.Conflictf("pictures of %s are %d wide and %d high after preprocessing, the model takes %s wide and %s high; %s",
		path, w, h, anyOr(o.Width), anyOr(o.Height), remedy)
}
