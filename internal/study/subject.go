// Package study opens what several commands need together: a checkpoint with the model in it, the data, and the run.
package study

import (
	"context"
	"fmt"
	"slices"
	"time"

	"coar/internal/ablate"
	"coar/internal/checkpoint"
	"coar/internal/dataset"
	"coar/internal/fault"
	"coar/internal/kernel"
	"coar/internal/margin"
	"coar/internal/models"
)

// Inputs name a model and its data, as the command line does.
type Inputs struct {
	Weights string
	Data    string
	Model   models.Options
	Split   string // test, train or any name that the margins' file should carry
	Layout  string
	Classes string // file of class names

	ClassNames []string // by output, instead of that file; nil: none

	Precision string // f32 or bf16; empty: f32

	Adjust          func(*dataset.Preprocess) // changes the architecture's preprocessing; nil: nothing to change
	PreprocessGiven bool                      // the user asked for it, which preprocessed arrays refuse
}

// Resources bound what the work may use.
type Resources struct {
	Workers int   // 0: one per processor
	Batch   int   // examples per forward pass, 0: chosen
	Memory  int64 // bytes; an eighth of it keeps decoded images, three quarters hold the workers' graphs
}

// Subject is an open model with its data.
type Subject struct {
	File   *checkpoint.File
	Model  *models.Model
	Source *dataset.Source
	Engine *ablate.Engine

	memory int64
}

// OpenSubject opens the checkpoint, recognises its architecture and opens the data with that architecture's preprocessing.
func OpenSubject(in Inputs, r Resources) (_ *Subject, err error) {
	set, err := kernel.Detect(in.Precision == bf16)
	if err != nil {
		return nil, err
	}
	if err := checkPrecision(in.Precision, set); err != nil {
		return nil, err
	}
	f, err := checkpoint.Open(in.Weights)
	if err != nil {
		return nil, err
	}
	s := &Subject{File: f, memory: r.Memory}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if s.Model, err = models.Open(f, in.Model); err != nil {
		return nil, err
	}
	o := dataset.Options{Split: in.Split, Layout: in.Layout, ClassesFile: in.Classes, ClassNames: in.ClassNames, Preprocess: dataset.Preprocess(s.Model.Preprocess),
		Channels: s.Model.Channels, Classes: s.Model.Classes, Height: s.Model.Height, Width: s.Model.Width}
	if in.Adjust != nil {
		in.Adjust(&o.Preprocess)
		o.PreprocessGiven = in.PreprocessGiven
	}
	s.Model.Preprocess = models.Preprocess(o.Preprocess)
	if s.Source, err = dataset.Open(in.Data, o); err != nil {
		return nil, err
	}
	s.Engine = &ablate.Engine{Model: s.Model, Set: set, BF16: in.Precision == bf16, Workers: r.Workers, Batch: r.Batch, Memory: r.Memory / 4 * 3}
	return s, nil
}

// bf16 is the name of the precision that multiplies in bfloat16.
const bf16 = "bf16"

// checkPrecision refuses a precision that is unknown or that the kernels do not have.
func checkPrecision(precision string, set *kernel.Set) error {
	switch {
	case precision != "" && precision != "f32" && precision != bf16:
		return fault.Usagef("--precision %q: want f32 or bf16", precision)
	case precision == bf16 && !set.BF16():
		return fault.Usagef("--precision bf16 needs a processor with AVX512_BF16; this one's best kernels are %s", set.Name)
	}
	return nil
}

// Warnings are what a user should know of the data, and of a precision that only costs accuracy here.
func (s *Subject) Warnings() []string {
	list := slices.Clone(s.Source.Warnings())
	if set := s.Engine.Set; s.Engine.BF16 {
		const over = 2 * time.Millisecond
		if gain := set.Peak(true, over) / set.Peak(false, over); gain < 1 {
			list = append(list, fmt.Sprintf("this processor multiplies at %.1f times float32's speed under --precision bf16 (%s without AMX): for a new run f32 is faster and finer", gain, set.Name))
		}
	}
	return list
}

// OutputNames names every output of the model, "" where the data has no name for it; nil where it names none.
func (s *Subject) OutputNames() []string {
	known := s.Source.ClassNames()
	if known == nil {
		return nil
	}
	names := make([]string, s.Model.Classes)
	copy(names, known)
	return names
}

// Close releases graphs and files.
func (s *Subject) Close() error {
	var first error
	keep := func(err error) {
		if first == nil {
			first = err
		}
	}
	if s.Engine != nil {
		s.Engine.Close()
	}
	if s.Source != nil {
		keep(s.Source.Close())
	}
	if s.File != nil {
		keep(s.File.Close())
	}
	return first
}

// Examples are the given dataset positions.
func (s *Subject) Examples(positions []int) *Examples {
	return newExamples(s.Source, positions, s.memory/8)
}

// Intact measures the unablated model on the given dataset positions: outputs and predicted classes.
func (s *Subject) Intact(ctx context.Context, positions []int, out margin.Output, done func(n int)) (outputs []float32, predictions []int32, err error) {
	ex := s.Examples(positions)
	outputs, predictions = make([]float32, ex.Len()), make([]int32, ex.Len())
	err = s.Engine.Each(ctx, ex, 1, ablate.AllKept, func(_, i int, logits []float32) error {
		outputs[i] = out.Of(logits, ex.Label(i))
		predictions[i] = int32(margin.Prediction(logits))
		if done != nil {
			done(1)
		}
		return nil
	})
	return outputs, predictions, err
}

// Select resolves an example selection; `errors` and `correct` run the intact model.
func (s *Subject) Select(ctx context.Context, sel string) ([]int, error) {
	return dataset.Select(sel, s.Source, func(positions []int) ([]bool, error) {
		_, predictions, err := s.Intact(ctx, positions, margin.Output{}, nil)
		if err != nil {
			return nil, err
		}
		right := make([]bool, len(positions))
		for i, p := range positions {
			right[i] = int(predictions[i]) == s.Source.Label(p)
		}
		return right, nil
	})
}

// Locate returns the tensor and the row of component c.
func Locate(groups []models.Group, c int) (key string, row int) {
	for _, g := range groups {
		if c < g.Rows {
			return g.Key, c
		}
		c -= g.Rows
	}
	panic(fmt.Sprintf("study: component %d lies beyond the model", c))
}
