package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"coar/internal/demo"
	"coar/internal/edit"
	"coar/internal/evaluate"
	"coar/internal/fault"
	"coar/internal/models"
	"coar/internal/store"
	"coar/internal/study"
)

func newDemo(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "demo [DIR]",
		Short: "Do all of it on embedded networks and images",
		Long: `Ablates, fits, evaluates, shows and edits a ResNet-20 and a small vision transformer, both trained on
Fashion-MNIST and embedded with 500 test images, in DIR/resnet and DIR/vit (default DIR: coar-demo).`,
		Annotations: map[string]string{goesOn: ""},
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fault.Usagef("coar demo takes at most one argument: the directory to work in")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "coar-demo"
			if len(args) == 1 {
				dir = args[0]
			}
			return runDemo(cmd, g, dir)
		},
	}
}

// demoReport is what coar demo --json prints, one entry per network.
type demoReport struct {
	Networks []demoNetwork `json:"networks"`
}

type demoNetwork struct {
	Name     string            `json:"name"`
	Run      string            `json:"run"`
	Ablate   *ablateReport     `json:"ablate"`
	Fit      *study.Fit        `json:"fit"`
	Evaluate *evaluate.Results `json:"evaluate"`
	Example  *showReport       `json:"example"`
	Edit     *edit.Record      `json:"edit"`
	Seconds  float64           `json:"seconds"`
}

// demoPlan is what the demo does with one network: enough rows for attributions that can be trusted, few enough for a
// coffee break.
type demoPlan struct {
	name, title string
	heads       int
	fraction    float64
	rows        int
	gradients   int
	examples    string
}

var demoPlans = []demoPlan{
	{"resnet", "a ResNet-20", 0, 0.1, 200, 100, "0-39"},
	{"vit", "a small vision transformer", 3, 0.05, 200, 50, "0-29"},
}

func runDemo(cmd *cobra.Command, g *globals, dir string) error {
	if err := demo.Extract(dir); err != nil {
		return err
	}
	w := g.out(cmd)
	if g.json {
		w = io.Discard
	}
	fmt.Fprintf(w, "Which parts of a network made a prediction? Two networks trained on Fashion-MNIST, %d of its test images.\n", demo.Images)
	r := demoReport{}
	for _, p := range demoPlans {
		n, err := p.run(cmd, g, w, dir)
		if err != nil {
			return fmt.Errorf("demo: %s: %w", p.name, err)
		}
		r.Networks = append(r.Networks, *n)
	}
	if g.json {
		return printJSON(g.out(cmd), r)
	}
	fmt.Fprintf(w, "\nLook at the figures in %s; every file there opens with numpy, pandas or PyTorch.\n", dir)
	return nil
}

// run takes one network through every command.
func (p demoPlan) run(cmd *cobra.Command, g *globals, w io.Writer, dir string) (*demoNetwork, error) {
	start := time.Now()
	n := &demoNetwork{Name: p.name, Run: filepath.Join(dir, p.name)}
	var err error
	given := map[string]bool{"weights": true, "data": true, "heads": true, "fraction": true, "masks": true, "gradients": true, "examples": true, "mean": true, "std": true, "classes": true}
	ablateFlags := &ablateOptions{globals: g, run: n.Run, examples: p.examples, fraction: p.fraction, masks: p.rows, gradients: p.gradients, output: "margin", dtype: "float32",
		resources: resourceFlags{memory: "2GB"}, images: imageFlags{mean: demo.Mean, std: demo.Std}, given: func(f string) bool { return given[f] }}
	ablateFlags.inputs = study.Inputs{Weights: filepath.Join(dir, p.name+".safetensors"), Data: "idx:" + filepath.Join(dir, demo.ImagesDir), Split: "test",
		Classes: filepath.Join(dir, demo.ClassesFile), Precision: "f32", Model: models.Options{Arch: "auto", Heads: p.heads}}
	if n.Ablate, err = doAblate(cmd.Context(), cmd, ablateFlags); err != nil {
		return nil, err
	}
	fmt.Fprintf(w, "\n%s has %d components (%s).\n", upperFirst(p.title), n.Ablate.Components, componentKind(n.Ablate.Groups))
	fmt.Fprintf(w, "  ablate    switched %g %% of them off at random, %d times, and recorded how sure it stayed of %d images;\n", 100*p.fraction, n.Ablate.Rows, n.Ablate.Examples)
	fmt.Fprintf(w, "            turned %g %% of them down at random, %d times, and asked by backward passes what each of these matters\n", 200*p.fraction, n.Ablate.GradientRows)
	fitFlags := &fitOptions{globals: g, run: n.Run, prior: "auto", method: "auto", lambda: "auto", examples: "all", memory: "2GB"}
	fitFlags.fit.PathLength, fitFlags.fit.PathRatio, fitFlags.fit.ValFraction = 50, 1e-3, 0.1
	if n.Fit, err = doFit(cmd, fitFlags); err != nil {
		return nil, err
	}
	evaluateFlags := &evaluateOptions{globals: g, run: n.Run, fractions: []float64{p.fraction, p.fraction / 2}, rows: 200, seed: 1, resources: resourceFlags{memory: "2GB"}}
	if n.Evaluate, err = doEvaluate(cmd, evaluateFlags); err != nil {
		return nil, err
	}
	c := n.Evaluate.Fractions[0].Correlation
	fmt.Fprintf(w, "  fit       gave every component a score for every image\n")
	fmt.Fprintf(w, "  evaluate  on %d fresh subsets the scores predict the margin with correlation %.2f (95 %% interval %.2f to %.2f)\n", evaluateFlags.rows, c.Mean, c.Low, c.High)
	if plain := n.Evaluate.Plain; plain != nil && !math.IsNaN(float64(plain.Rows)) {
		fmt.Fprintf(w, "  saved     %s\n", savedText(n.Run, plain))
	}
	target, edited, err := p.fixOne(cmd, g, n.Run)
	if err != nil {
		return nil, err
	}
	if n.Example, err = show(n.Run, target, 3); err != nil {
		return nil, err
	}
	e := n.Example
	fmt.Fprintf(w, "  show      image %s is %s, the network says %s (margin %+.2f); most of the blame goes to\n", e.Example, e.LabelName, e.Predicted, e.Margin)
	for _, a := range e.Against {
		fmt.Fprintf(w, "              %s row %d: without it the margin would rise by about %.2f\n", a.Key, a.Row, -a.Attribution)
	}
	if edited != nil {
		t := edited.Targets[0]
		fmt.Fprintf(w, "  edit      ablating %d of its %d components makes it right (margin %+.2f); accuracy on %d other images goes from %.1f %% to %.1f %%\n",
			edited.K, n.Ablate.Components, t.MarginAfter, edited.Holdout.Before.Total, 100*edited.Holdout.Before.Value(), 100*edited.Holdout.After.Value())
		n.Edit = edited
	} else {
		fmt.Fprintf(w, "  edit      no small set of components makes it right without harm elsewhere\n")
	}
	n.Seconds = time.Since(start).Seconds()
	fmt.Fprintf(w, "  figures   %s and %s (%.0f s)\n", filepath.Join(n.Run, "evaluation"), filepath.Join(n.Run, "edits"), n.Seconds)
	return n, nil
}

// savedText says in plain words what the backward passes saved.
func savedText(run string, p *evaluate.Plain) string {
	return fmt.Sprintf("all this took the work of %.0f forward passes per image; only switching off, %s would be needed to\n            predict as well, %s times as many: %s",
		p.ForwardPasses, plainRows(p), plainTimes(p), filepath.Join(run, filepath.FromSlash(costName)))
}

func upperFirst(s string) string { return string(s[0]-'a'+'A') + s[1:] }

// componentKind says in words what the components are.
func componentKind(groups []store.Group) string {
	for _, g := range groups {
		if filepath.Ext(g.Key) != ".weight" {
			return "rows of its linear layers"
		}
	}
	return "convolution filters"
}

// fixOne edits the misclassified image of the run that the network is least wrong about, and the next ones if that
// fails. It returns the image it ended with, and the edit where one was found.
func (p demoPlan) fixOne(cmd *cobra.Command, g *globals, run string) (string, *edit.Record, error) {
	m, err := store.ReadManifest(run)
	if err != nil {
		return "", nil, err
	}
	margins, err := store.ReadFloat32(run, store.BaseMarginsName, m.NExamples())
	if err != nil {
		return "", nil, err
	}
	members, err := study.Members(run, &m)
	if err != nil {
		return "", nil, err
	}
	wrong, err := members.Select("errors")
	if err != nil {
		return "", nil, err
	}
	slices.SortStableFunc(wrong, func(a, b int) int { return cmp.Compare(margins[b], margins[a]) })
	for _, i := range wrong {
		o := &editOptions{globals: g, run: run, fix: m.ExampleIDs[i], k: "auto", maxDrop: 0.01, resources: resourceFlags{memory: "2GB"}}
		record, err := doEdit(cmd, o)
		if err == nil {
			return o.fix, record, nil
		}
		if record == nil {
			return "", nil, err
		}
	}
	return m.ExampleIDs[wrong[0]], nil, nil
}
