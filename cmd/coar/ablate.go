package main

import (
	"fmt"

	"github.com/spf13/cobra"

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
	gradients int

	saveGradients string
	until         float64
	most          int // gradient rows that --until may come to

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
		Long: `Creates the run directory RUN, or resumes it: rows that are completed stay, and a larger --masks only adds rows. Of gradient
rows, Ctrl-C loses those in hand, a kill up to half a minute; with --save-gradients, which writes them all to one file, both
lose all.
A row keeps each component with probability 1-fraction; an ablated component is a weight row set to zero.
On an existing run every flag but --masks may be left out; one that differs from the run's is refused.

Gradient rows soften components instead: a weight row is scaled by a number between 0 and 1, and one backward pass yields the
derivative by every keep value at once. coar fit makes attributions of them that take a regression many more rows. Unless
--gradients says how many, there are 200, or 50 for a transformer, which gains little by more; none with -m 0, --masks-file or
a --fraction above 0.5. Beside the rows of a --masks-file they ablate as much as these on average. -m 0 --gradients 200 is a
complete job. More can be added later, like rows. They are computed in float32 in any precision.

--until RHO first measures hard rows (-m, by default 200), then doubles the gradient rows from 25 on until their attributions
predict the hard rows with mean correlation RHO, or a doubling adds less than 0.005, or there are --gradients of them (by
default 3200). The gradient attributions have not seen the hard rows; coar fit then uses these like any others.

Images: cifar10:DIR|FILE.bin, idx:DIR (MNIST, Fashion-MNIST), imagefolder:DIR, npy:IMAGES.npy,LABELS.npy.
Examples: 0-99,120 (dataset positions), class:cat, errors, correct, file:ids.txt, every:10, all.`,
		Annotations: map[string]string{goesOn: ""},
		Args:        oneRun,
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
	f.StringVar(&o.masksFile, "masks-file", "", "take the rows from a bool or uint8 .npy [m, p], 1 = kept; from a float32 .npy with values from 0 to 1, the gradient rows")
	f.IntVar(&o.gradients, "gradients", 0, "gradient rows; 0 for none (default see above)")
	f.Float64Var(&o.until, "until", 0, "double the gradient rows until they predict with this correlation, see above")
	f.StringVar(&o.saveGradients, "save-gradients", "", "also write every derivative of a new run's gradient rows to this .npy: float32 [rows, n, p]")
	f.StringVar(&o.output, "output", "margin", "what is measured: margin, logodds, logit or logit:K")
	f.StringVar(&o.inputs.Split, "split", "test", "which files of cifar10 and idx (test or train); elsewhere only names the margins' file")
	f.StringVar(&o.inputs.Classes, "classes", "", "file of class names: one per line, or folder and output number")
	f.StringVar(&o.dtype, "dtype", "float32", "how margins are stored: float32 or float16")
	f.StringVar(&o.inputs.Precision, "precision", "f32", "f32, or bf16: bfloat16 weights and activations, float32 sums; coarser, and faster on Intel's processors with AMX and AMD's Zen 4 and later")
	f.BoolVar(&o.allowISA, "allow-isa-change", false, "resume on another instruction set: margins then differ in the last bits, and the run says so")
	o.resources.add(cmd)
	o.images.add(cmd)
	return cmd
}

// ablateReport is what coar ablate --json prints.
type ablateReport struct {
	Run          string        `json:"run"`
	Arch         string        `json:"arch"`
	Components   int           `json:"components"`
	Groups       []store.Group `json:"groups"`
	Examples     int           `json:"examples"`
	Correct      int           `json:"correct"` // by the intact model
	Accuracy     float64       `json:"accuracy"`
	Rows         int           `json:"rows"`
	RowsMeasured int           `json:"rows_measured"` // by this call
	Seconds      float64       `json:"seconds"`       // that those rows took
	PerSecond    float64       `json:"margins_per_second"`

	GradientRows    int          `json:"gradient_rows"`
	GradientMargins int          `json:"gradient_margins_measured"` // pairs of gradient row and example, by this call
	GradientSeconds float64      `json:"gradient_seconds"`
	Until           *untilReport `json:"until,omitempty"`
	Estimate        *cost        `json:"estimate,omitempty"` // made before the work, where there was enough of it

	Output         string `json:"output"`
	Precision      string `json:"precision"`
	InstructionSet string `json:"instruction_set"`
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
	if report.GradientRows > 0 {
		fmt.Fprintf(w, "%d gradient rows", report.GradientRows)
		if report.GradientMargins > 0 {
			fmt.Fprintf(w, ", measured in %s", seconds(report.GradientSeconds))
		}
		fmt.Fprintln(w)
	}
	if u := report.Until; u != nil {
		fmt.Fprintf(w, "stopped at correlation %.3f, %.3f was asked for: %s\n", u.Steps[len(u.Steps)-1].Correlation, u.Target, u.Stopped)
	}
	return nil
}
