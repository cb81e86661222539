package main

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"coar/internal/dataset"
	"coar/internal/fault"
	"coar/internal/study"
)

// resourceFlags bound what a command may use.
type resourceFlags struct {
	batch, workers int
	memory         string
}

func (r *resourceFlags) add(cmd *cobra.Command) {
	cmd.Flags().IntVar(&r.batch, "batch", 0, "examples per forward pass; 0 chooses; results do not depend on it")
	cmd.Flags().IntVar(&r.workers, "workers", 0, "parallel workers; 0 takes every processor; results do not depend on it")
	cmd.Flags().StringVar(&r.memory, "memory", "4GB", "memory to stay within")
}

func (r *resourceFlags) parse() (study.Resources, error) {
	memory, err := parseMemory(r.memory)
	if err != nil {
		return study.Resources{}, err
	}
	if r.batch < 0 || r.batch > 1024 {
		return study.Resources{}, fault.Usagef("--batch %d: want 0 to 1024", r.batch)
	}
	if err := checkWorkers(r.workers); err != nil {
		return study.Resources{}, err
	}
	return study.Resources{Workers: r.workers, Batch: r.batch, Memory: memory}, nil
}

// checkWorkers refuses a number of --workers that cannot be meant.
func checkWorkers(n int) error {
	if n < 0 || n > 4096 {
		return fault.Usagef("--workers %d: want 0 to 4096", n)
	}
	return nil
}

// sizePattern is a decimal number and perhaps a unit. What strconv reads beyond that, such as 0x1p30 or Inf, is no size.
var sizePattern = regexp.MustCompile(`^([0-9]*\.?[0-9]+)(?: ?([A-Za-z]+))?$`)

// parseMemory reads the bytes of a --memory such as 4GB, 512MB or 1.5GiB.
func parseMemory(s string) (int64, error) {
	scale := map[string]float64{"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
	if parts := sizePattern.FindStringSubmatch(strings.Trim(s, " ")); parts != nil {
		v, err := strconv.ParseFloat(parts[1], 64)
		v *= scale[strings.ToUpper(parts[2])] // 0 for an unknown unit
		if err == nil && v >= 1 && v <= 1<<62 {
			return int64(v), nil
		}
	}
	return 0, fault.Usagef("--memory %q: want a size from 1B on, such as 4GB", s)
}

// addRelocation adds the flags that say where a run's files are now.
func addRelocation(cmd *cobra.Command, moved *study.Relocation) {
	cmd.Flags().StringVar(&moved.Weights, "weights", "", "where the run's checkpoint is now")
	cmd.Flags().StringVar(&moved.Data, "data", "", "where the run's data is now")
}

// imageFlags override the architecture's preprocessing.
type imageFlags struct {
	resize, crop  int
	interpolation string
	mean, std     string
	layout        string
}

func (i *imageFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.IntVar(&i.resize, "resize", 0, "shorter side in pixels before cropping; 0 keeps the size (default the architecture's)")
	f.IntVar(&i.crop, "crop", 0, "side of the central crop; 0 for none (default the architecture's)")
	f.StringVar(&i.interpolation, "interpolation", "", "bilinear, bicubic or nearest (default the architecture's)")
	f.StringVar(&i.mean, "mean", "", "per channel, of values in [0,1], such as 0.485,0.456,0.406 (default the architecture's)")
	f.StringVar(&i.std, "std", "", "per channel, such as 0.229,0.224,0.225 (default the architecture's)")
	f.StringVar(&i.layout, "layout", "", "nchw or nhwc, where the shape of a uint8 .npy does not tell")
}

// imageFlagNames are the flags that change preprocessing.
var imageFlagNames = []string{"resize", "crop", "interpolation", "mean", "std"}

// adjustment returns what the given flags change, nil where none was given.
func (i *imageFlags) adjustment(given func(string) bool) (func(*dataset.Preprocess), error) {
	any := false
	for _, name := range imageFlagNames {
		any = any || given(name)
	}
	if !any {
		return nil, nil
	}
	mean, err := floatList("--mean", i.mean)
	if err != nil {
		return nil, err
	}
	std, err := floatList("--std", i.std)
	if err != nil {
		return nil, err
	}
	return func(p *dataset.Preprocess) {
		if given("resize") {
			p.Resize = i.resize
		}
		if given("crop") {
			p.Crop = i.crop
		}
		if given("interpolation") {
			p.Interpolation = i.interpolation
		}
		if given("mean") {
			p.Mean = mean
		}
		if given("std") {
			p.Std = std
		}
	}, nil
}

func floatList(flag, s string) ([]float32, error) {
	if s == "" {
		return nil, nil
	}
	var out []float32
	for _, part := range strings.Split(s, ",") {
		v, err := strconv.ParseFloat(strings.TrimSpace(part), 32)
		if err != nil {
			return nil, fault.Usagef("%s %q: want numbers separated by commas", flag, s)
		}
		out = append(out, float32(v))
	}
	return out, nil
}
