package main

import (
	"context"
	"os"
	"path/filepath"
	"strconv"

	"coar/internal/ablate"
	"coar/internal/dataset"
	"coar/internal/fault"
	"coar/internal/margin"
	"coar/internal/store"
	"coar/internal/study"
)

// adopt takes from an existing run what the command line leaves out, and parses the output function.
func (o *ablateOptions) adopt() (margin.Output, error) {
	if info, err := os.Stat(o.run); err == nil && !info.IsDir() {
		return margin.Output{}, fault.Usagef("%s is a file; the run needs a directory", o.run)
	}
	if _, err := os.Stat(filepath.Join(o.run, store.ManifestName)); err == nil {
		m, err := store.ReadManifest(o.run)
		if err != nil {
			return margin.Output{}, err
		}
		o.fill(&m)
	}
	o.inputs.Layout = o.images.layout
	if err := o.preprocess(); err != nil {
		return margin.Output{}, err
	}
	return margin.Parse(o.output)
}

// resumed reports whether there is a run already.
func (o *ablateOptions) resumed() bool { return o.adopted != nil }

// fill sets every flag that was not given to the run's value.
func (o *ablateOptions) fill(m *store.Manifest) {
	set := func(flag string, assign func()) {
		if !o.given(flag) {
			assign()
		}
	}
	set("weights", func() { o.inputs.Weights = m.Weights.Path })
	set("data", func() { o.inputs.Data = m.Data.Spec })
	set("layout", func() { o.images.layout = m.Data.Layout })
	set("classes", func() { o.inputs.Classes, o.inputs.ClassNames = study.RunClasses(m) })
	set("heads", func() { o.inputs.Model.Heads = m.Heads })
	set("include", func() { o.inputs.Model.Include = m.Include })
	set("exclude", func() { o.inputs.Model.Exclude = m.Exclude })
	set("seed", func() { o.seed = m.Seed })
	set("masks", func() { o.masks = m.Masks })
	set("output", func() { o.output = m.Output })
	set("split", func() { o.inputs.Split = m.Split })
	set("precision", func() { o.inputs.Precision = m.Precision })
	set("dtype", func() { o.dtype = m.DType })
	set("fraction", func() { o.fraction = m.Fraction })
	set("examples", func() { o.examples = "" })
	o.adopted = &m.Preprocessing
}

// positions resolves --examples; on an existing run and without the flag they are the run's.
func (o *ablateOptions) positions(ctx context.Context, s *study.Subject) ([]int, error) {
	if o.examples != "" {
		return s.Select(ctx, o.examples)
	}
	m, err := store.ReadManifest(o.run)
	if err != nil {
		return nil, err
	}
	for _, p := range m.Positions {
		if p >= s.Source.Len() {
			return nil, fault.Conflictf("%s: the run's example at position %d is not in the data, which has %d", o.run, p, s.Source.Len())
		}
	}
	return m.Positions, nil
}

// preprocess sets what the data is opened with: the run's preprocessing where there is a run, then the flags.
func (o *ablateOptions) preprocess() error {
	flags, err := o.images.adjustment(o.given)
	if err != nil || flags == nil && o.adopted == nil {
		return err
	}
	o.inputs.PreprocessGiven = flags != nil
	o.inputs.Adjust = func(p *dataset.Preprocess) {
		if o.adopted != nil {
			*p = study.Preprocess(*o.adopted)
		}
		if flags != nil {
			flags(p)
		}
	}
	return nil
}

// check refuses flags that cannot be meant, before anything is opened.
func (o *ablateOptions) check() error {
	switch {
	case o.inputs.Weights == "":
		return fault.Usagef("--weights is missing: the checkpoint to explain")
	case o.inputs.Data == "":
		return fault.Usagef("--data is missing: the images, such as cifar10:DIR or imagefolder:DIR")
	case o.masks < 0 || o.masks > store.MaxRows:
		return fault.Usagef("--masks %d: want 0 to %d rows", o.masks, store.MaxRows)
	case o.given("examples") && o.examples == "":
		return fault.Usagef("--examples is empty; all takes every example")
	case o.until > 0 && o.saveGradients != "":
		return fault.Usagef("--until and --save-gradients exclude each other: the number of rows is not known before")
	case o.dtype != "float16" && o.dtype != "float32":
		return fault.Usagef("--dtype %q: want float16 or float32", o.dtype)
	}
	if err := o.checkUntil(); err != nil {
		return err
	}
	if o.gradients < 0 || o.gradients > store.MaxRows {
		return fault.Usagef("--gradients %d: want 0 to %d rows", o.gradients, store.MaxRows)
	}
	if o.softFile() && o.given("masks") && o.masks > 0 {
		return fault.Usagef("--masks %d: a --masks-file of float32 holds gradient rows, and none of zeros and ones", o.masks)
	}
	if o.masksFile == "" {
		return ablate.Sampler{Fraction: o.fraction}.Check()
	}
	if o.given("fraction") {
		return fault.Usagef("--fraction and --masks-file exclude each other: the file's own fraction counts")
	}
	return nil
}

// manifest describes the run that these flags ask for.
func (o *ablateOptions) manifest(ctx context.Context, s *study.Subject, rows *rowSource, soft *softSource) (store.Manifest, error) {
	var m store.Manifest
	positions, err := o.positions(ctx, s)
	if err != nil {
		return m, err
	}
	digest, err := s.Source.Digest()
	if err != nil {
		return m, err
	}
	weights, err := filepath.Abs(o.inputs.Weights)
	if err != nil {
		return m, err
	}
	classes := o.inputs.Classes
	if classes != "" {
		if classes, err = filepath.Abs(classes); err != nil {
			return m, err
		}
	}
	m = store.Manifest{
		Program: "coar " + version, Arch: s.Model.Arch, Heads: s.Model.Heads,
		Weights: store.Weights{SHA256: s.File.SHA256(), Path: weights},
		Data:    store.Data{SHA256: digest, Spec: s.Source.Spec(), Layout: o.inputs.Layout, ClassesFile: classes},
		Classes: s.OutputNames(), Preprocessing: preprocessing(dataset.Preprocess(s.Model.Preprocess)),
		Include: o.inputs.Model.Include, Exclude: o.inputs.Model.Exclude,
		Fraction: rows.fraction, Seed: o.seed, Masks: rows.count, MasksSHA: rows.sha,
		Output: o.output, Split: o.inputs.Split, DType: o.dtype, Precision: o.inputs.Precision, InstructionSet: s.Engine.Set.Name,
	}
	if soft.count > 0 {
		m.Gradients = []int{soft.count}
		m.SoftSHA = soft.sha
	}
	if soft.file != nil {
		m.Fraction = soft.fraction
	}
	for _, p := range positions {
		m.ExampleIDs = append(m.ExampleIDs, s.Source.ID(p))
		m.Positions = append(m.Positions, p)
		m.Labels = append(m.Labels, s.Source.Label(p))
	}
	for _, g := range s.Model.Groups {
		m.Groups = append(m.Groups, store.Group(g))
	}
	return m, nil
}

// preprocessing states float32 constants as the decimals that they were given as.
func preprocessing(p dataset.Preprocess) store.Preprocessing {
	decimal := func(xs []float32) []float64 {
		out := make([]float64, len(xs))
		for i, x := range xs {
			out[i], _ = strconv.ParseFloat(strconv.FormatFloat(float64(x), 'g', -1, 32), 64) // what was just formatted parses
		}
		return out
	}
	return store.Preprocessing{Resize: p.Resize, Crop: p.Crop, Interpolation: p.Interpolation, Mean: decimal(p.Mean), Std: decimal(p.Std)}
}
