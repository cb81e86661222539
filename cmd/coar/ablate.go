package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"coar/internal/ablate"
	"coar/internal/dataset"
	"coar/internal/fault"
	"coar/internal/margin"
	"coar/internal/store"
	"coar/internal/study"
)

// ablateOptions are the flags of coar ablate.
type ablateOptions struct {
	*globals
	run       string
	inputs    study.Inputs
	examples  string
	fraction  float64
	masks     int
	seed      uint64
	masksFile string
	output    string
	dtype     string
	allowISA  bool
	resources resourceFlags
	images    imageFlags
	adopted   *store.Preprocessing // of the run that is resumed
	given     func(flag string) bool
}

func newAblate(g *globals) *cobra.Command {
	o := &ablateOptions{globals: g}
	cmd := &cobra.Command{
		Use:   "ablate RUN",
		Short: "Ablate random subsets of components and record every example's margin",
		Long: `Creates the run directory RUN, or resumes it: rows that are completed stay, and a larger --masks only adds rows.
A row keeps each component with probability 1-fraction; an ablated component is a weight row set to zero.
On an existing run every flag but --masks may be left out; one that differs from the run's is refused.

Images: cifar10:DIR|FILE.bin, idx:DIR (MNIST, Fashion-MNIST), imagefolder:DIR, npy:IMAGES.npy,LABELS.npy.
Examples: 0-99,120 (dataset positions), class:cat, errors, correct, file:ids.txt, every:10, all.`,
		Args: oneRun,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.run, o.given = args[0], cmd.Flags().Changed
			return runAblate(cmd, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.inputs.Weights, "weights", "", "checkpoint: .safetensors, or PyTorch's .pth, .pt, .th")
	f.StringVar(&o.inputs.Data, "data", "", "images and labels, see above")
	f.StringVar(&o.inputs.Model.Arch, "arch", "auto", "architecture; auto recognises it from the tensors")
	f.IntVar(&o.inputs.Model.Heads, "heads", 0, "attention heads of a transformer (default width/64)")
	f.StringArrayVar(&o.inputs.Model.Include, "include", nil, "glob over weight keys: use these component groups instead of the architecture's own; repeatable")
	f.StringArrayVar(&o.inputs.Model.Exclude, "exclude", nil, "glob over weight keys: leave these component groups out; repeatable")
	f.StringVar(&o.examples, "examples", "all", "which examples, see above")
	f.Float64Var(&o.fraction, "fraction", 0.1, "probability that a component is ablated")
	f.IntVarP(&o.masks, "masks", "m", 1000, "rows; 0 only measures the intact model")
	f.Uint64Var(&o.seed, "seed", 0, "seed of the rows")
	f.StringVar(&o.masksFile, "masks-file", "", "take the rows from a bool or uint8 .npy [m, p], 1 = kept")
	f.StringVar(&o.output, "output", "margin", "what is measured: margin, logodds, logit or logit:K")
	f.StringVar(&o.inputs.Split, "split", "test", "which files of cifar10 and idx (test or train); elsewhere only names the margins' file")
	f.StringVar(&o.inputs.Classes, "classes", "", "file of class names: one per line, or folder and output number")
	f.StringVar(&o.dtype, "dtype", "float32", "how margins are stored: float32 or float16")
	f.StringVar(&o.inputs.Precision, "precision", "f32", "f32, or bf16: bfloat16 weights and activations, float32 sums; faster and coarser")
	f.BoolVar(&o.allowISA, "allow-isa-change", false, "resume on another instruction set: margins then differ in the last bits, and the run says so")
	o.resources.add(cmd)
	o.images.add(cmd)
	return cmd
}

// ablateReport is what coar ablate --json prints.
type ablateReport struct {
	Run            string        `json:"run"`
	Arch           string        `json:"arch"`
	Components     int           `json:"components"`
	Groups         []store.Group `json:"groups"`
	Examples       int           `json:"examples"`
	Correct        int           `json:"correct"` // by the intact model
	Accuracy       float64       `json:"accuracy"`
	Rows           int           `json:"rows"`
	RowsMeasured   int           `json:"rows_measured"` // by this call
	Seconds        float64       `json:"seconds"`       // that those rows took
	PerSecond      float64       `json:"margins_per_second"`
	Output         string        `json:"output"`
	Precision      string        `json:"precision"`
	InstructionSet string        `json:"instruction_set"`
}

func runAblate(cmd *cobra.Command, o *ablateOptions) error {
	report, err := doAblate(cmd.Context(), cmd, o)
	if err != nil {
		return err
	}
	w := o.out(cmd)
	if o.json {
		return printJSON(w, report)
	}
	fmt.Fprintf(w, "%s: %d components in %d groups, %d examples\n", report.Arch, report.Components, len(report.Groups), report.Examples)
	fmt.Fprintf(w, "unablated accuracy %s\n", percent(report.Correct, report.Examples))
	if report.Rows > 0 {
		fmt.Fprintf(w, "%d rows in %s, %d of them measured now", report.Rows, o.run, report.RowsMeasured)
		if report.RowsMeasured > 0 {
			fmt.Fprintf(w, " at %.0f margins/s", report.PerSecond)
		}
		fmt.Fprintln(w)
	}
	return nil
}

// doAblate creates or resumes the run and measures what is missing.
func doAblate(ctx context.Context, cmd *cobra.Command, o *ablateOptions) (*ablateReport, error) {
	out, err := o.adopt()
	if err != nil {
		return nil, err
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	resources, err := o.resources.parse()
	if err != nil {
		return nil, err
	}
	s, err := study.OpenSubject(o.inputs, resources)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if err := out.Check(s.Model.Classes); err != nil {
		return nil, err
	}
	for _, warning := range s.Source.Warnings() {
		slog.Warn(warning)
	}
	rows, err := o.rowSource(s.Model.Components())
	if err != nil {
		return nil, err
	}
	defer rows.close()
	manifest, err := o.manifest(ctx, s, rows)
	if err != nil {
		return nil, err
	}
	run, err := store.Prepare(o.run, manifest, o.allowISA)
	if err != nil {
		return nil, err
	}
	defer run.Close()
	correct, err := measureIntact(ctx, cmd, o.globals, run, s, out)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	measured, err := o.measureRows(ctx, cmd, run, s, out, rows)
	if err != nil {
		return nil, err
	}
	seconds := time.Since(start).Seconds()
	m := run.Manifest()
	if err := run.Seal(append(run.Files(), store.BaseMarginsName, store.BasePredictionsName)...); err != nil {
		return nil, err
	}
	return &ablateReport{Run: o.run, Arch: m.Arch, Components: m.NComponents(), Groups: m.Groups, Examples: m.NExamples(), Correct: correct,
		Accuracy: float64(correct) / float64(m.NExamples()), Rows: m.Masks, RowsMeasured: measured, Seconds: seconds, PerSecond: float64(measured*m.NExamples()) / seconds, Output: m.Output, Precision: m.Precision, InstructionSet: s.Engine.Set.Name}, nil
}

// maxRows is far beyond any study; it keeps file sizes within 63 bits.
const maxRows = 1 << 30

// check refuses flags that cannot be meant, before anything is opened.
func (o *ablateOptions) check() error {
	switch {
	case o.inputs.Weights == "":
		return fault.Usagef("--weights is missing: the checkpoint to explain")
	case o.inputs.Data == "":
		return fault.Usagef("--data is missing: the images, such as cifar10:DIR or imagefolder:DIR")
	case o.masks < 0 || o.masks > maxRows:
		return fault.Usagef("--masks %d: want 0 to %d rows", o.masks, maxRows)
	case o.given("examples") && o.examples == "":
		return fault.Usagef("--examples is empty; all takes every example")
	case o.dtype != "float16" && o.dtype != "float32":
		return fault.Usagef("--dtype %q: want float16 or float32", o.dtype)
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
func (o *ablateOptions) manifest(ctx context.Context, s *study.Subject, rows *rowSource) (store.Manifest, error) {
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
	m = store.Manifest{
		Program: "coar " + version, Arch: s.Model.Arch, Heads: s.Model.Heads,
		Weights: store.Weights{SHA256: s.File.SHA256(), Path: weights},
		Data:    store.Data{SHA256: digest, Spec: s.Source.Spec(), Layout: o.inputs.Layout, ClassesFile: o.inputs.Classes},
		Classes: outputNames(s), Preprocessing: preprocessing(dataset.Preprocess(s.Model.Preprocess)),
		Include: o.inputs.Model.Include, Exclude: o.inputs.Model.Exclude,
		Fraction: rows.fraction, Seed: o.seed, Masks: rows.count, MasksSHA: rows.sha,
		Output: o.output, Split: o.inputs.Split, DType: o.dtype, Precision: o.inputs.Precision, InstructionSet: s.Engine.Set.Name,
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

// outputNames names every output of the model, "" where the data has no name for it; nil where it names none.
func outputNames(s *study.Subject) []string {
	known := s.Source.ClassNames()
	if known == nil {
		return nil
	}
	names := make([]string, s.Model.Classes)
	copy(names, known)
	return names
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

// measureIntact writes the unablated outputs and predictions if they are not there, and counts the right predictions.
func measureIntact(ctx context.Context, cmd *cobra.Command, g *globals, run *store.Run, s *study.Subject, out margin.Output) (correct int, err error) {
	m := run.Manifest()
	n := m.NExamples()
	predictions, err := store.ReadInt32(run.Path(), store.BasePredictionsName, n)
	if fault.KindOf(err) == fault.Missing {
		bar := g.newProgress(cmd.ErrOrStderr(), "intact model", 0, n)
		var outputs []float32
		outputs, predictions, err = s.Intact(ctx, m.Positions, out, bar.add)
		bar.finish()
		if err != nil {
			return 0, err
		}
		if err := run.WriteFloat32(store.BaseMarginsName, outputs, n); err != nil {
			return 0, err
		}
		// Predictions last: they being there says that both are.
		err = run.WriteInt32(store.BasePredictionsName, predictions, n)
	}
	if err != nil {
		return 0, err
	}
	for i, p := range predictions {
		if int(p) == m.Labels[i] {
			correct++
		}
	}
	return correct, nil
}

// measureRows measures the rows that are not completed and returns how many they were.
func (o *ablateOptions) measureRows(ctx context.Context, cmd *cobra.Command, run *store.Run, s *study.Subject, out margin.Output, source *rowSource) (int, error) {
	rows, err := run.Rows()
	if err != nil {
		return 0, err
	}
	todo := missing(rows.Completed())
	if len(todo) == 0 {
		return 0, nil
	}
	if err := source.ready(); err != nil {
		return 0, err
	}
	bar := o.newProgress(cmd.ErrOrStderr(), "rows", rows.NRows()-len(todo), rows.NRows())
	defer bar.finish()
	err = s.Engine.Measure(ctx, s.Examples(run.Manifest().Positions), out, todo, source.row, func(first int, keep []byte, margins []float32) error {
		if err := rows.Commit(first, keep, margins); err != nil {
			return err
		}
		bar.add(len(keep) / rows.NComponents())
		return nil
	})
	return len(todo), err
}

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
	set("classes", func() { o.inputs.Classes = m.Data.ClassesFile })
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
