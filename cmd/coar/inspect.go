package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"coar/internal/checkpoint"
	"coar/internal/fault"
	"coar/internal/models"
	"coar/internal/store"
)

// inspectOptions are the flags of coar inspect.
type inspectOptions struct {
	*globals
	path  string
	model models.Options
}

func newInspect(g *globals) *cobra.Command {
	o := &inspectOptions{globals: g}
	cmd := &cobra.Command{
		Use:   "inspect FILE|RUN",
		Short: "Show a checkpoint's architecture and components, or a run's state with a full check",
		Long: `Shows a checkpoint's architecture and components, or a run's state with a full check of its files. --arch, --heads, --include
and --exclude say how to read a checkpoint; a run has settled that.`,
		Args:        oneRun,
		Annotations: map[string]string{onlyReads: ""},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.path = args[0]
			info, err := os.Stat(o.path)
			if err != nil {
				return fault.InFile(o.path, "%v", err)
			}
			if !info.IsDir() {
				return inspectCheckpoint(cmd, o)
			}
			for _, name := range []string{"arch", "heads", "include", "exclude"} {
				if onCommandLine(cmd, name) {
					return fault.Usagef("%s is a run, and --%s is for checkpoints; coar inspect FILE takes it", o.path, name)
				}
			}
			return inspectRun(cmd, o)
		},
	}
	cmd.Flags().StringVar(&o.model.Arch, "arch", "auto", "architecture; auto recognises it from the tensors")
	cmd.Flags().IntVar(&o.model.Heads, "heads", 0, "attention heads of a transformer (default width/64)")
	cmd.Flags().StringArrayVar(&o.model.Include, "include", nil, "glob over weight keys: use these component groups; repeatable")
	cmd.Flags().StringArrayVar(&o.model.Exclude, "exclude", nil, "glob over weight keys: leave these component groups out; repeatable")
	return cmd
}

// checkpointReport is what coar inspect FILE --json prints.
type checkpointReport struct {
	File       string         `json:"file"`
	Format     string         `json:"format"`
	SHA256     string         `json:"sha256"`
	Arch       string         `json:"arch"`
	Heads      int            `json:"heads,omitempty"`
	Classes    int            `json:"classes"`
	Channels   int            `json:"channels"`
	ImageSize  int            `json:"image_size,omitempty"` // that the weights demand; absent: any
	Components int            `json:"components"`
	Groups     []models.Group `json:"groups"`
}

func inspectCheckpoint(cmd *cobra.Command, o *inspectOptions) error {
	f, err := checkpoint.Open(o.path)
	if err != nil {
		return err
	}
	defer f.Close()
	m, err := models.Open(f, o.model)
	if err != nil {
		return err
	}
	r := checkpointReport{o.path, f.Format(), f.SHA256(), m.Arch, m.Heads, m.Classes, m.Channels, m.Height, m.Components(), m.Groups}
	w := o.out(cmd)
	if o.json {
		return printJSON(w, r)
	}
	fmt.Fprintf(w, "%s: %s, %d classes, %d input channels", r.File, r.Arch, r.Classes, r.Channels)
	if r.Heads > 0 {
		fmt.Fprintf(w, ", %d attention heads", r.Heads)
	}
	if r.ImageSize > 0 {
		fmt.Fprintf(w, ", images of %dx%d", r.ImageSize, r.ImageSize)
	}
	fmt.Fprintf(w, "\n%s, SHA-256 %s\n\n", r.Format, r.SHA256)
	return printGroups(w, r.Groups, r.Components)
}

func printGroups(w io.Writer, groups []models.Group, total int) error {
	var rows [][]string
	for _, g := range groups {
		rows = append(rows, []string{g.Key, fmt.Sprint(g.Rows)})
	}
	rows = append(rows, []string{"total", fmt.Sprint(total)})
	return table(w, "component group | components", rows)
}

// runReport is what coar inspect RUN --json prints.
type runReport struct {
	Run        string   `json:"run"`
	State      string   `json:"state"` // finished, interrupted or damaged
	Arch       string   `json:"arch,omitempty"`
	Components int      `json:"components,omitempty"`
	Examples   int      `json:"examples,omitempty"`
	Rows       int      `json:"rows"`
	Completed  int      `json:"completed"`
	Gradients  int      `json:"gradient_rows"`
	Sealed     []string `json:"sealed"`   // files whose digest was checked
	Unsealed   []string `json:"unsealed"` // files without a digest
	Unfinished []string `json:"unfinished"`
	Problems   []string `json:"problems"`
}

func inspectRun(cmd *cobra.Command, o *inspectOptions) error {
	v, err := store.Verify(o.path)
	if err != nil {
		return err
	}
	r := runReport{Run: o.path, State: v.State().String(), Rows: v.NRows, Completed: v.Completed, Problems: []string{},
		Sealed: append([]string{}, v.Sealed...), Unsealed: append([]string{}, v.Unsealed...), Unfinished: append([]string{}, v.Unfinished...)}
	for _, p := range v.Problems {
		r.Problems = append(r.Problems, p.String())
	}
	if m := v.Manifest; m != nil {
		r.Arch, r.Components, r.Examples = m.Arch, m.NComponents(), m.NExamples()
		r.Gradients = m.GradientRows()
	}
	w := o.out(cmd)
	if o.json {
		if err := printJSON(w, r); err != nil {
			return err
		}
	} else {
		printRun(w, r, v.Manifest)
	}
	if len(r.Problems) > 0 {
		return fault.InFile(o.path, "the run is damaged: %s", r.Problems[0])
	}
	return nil
}

func printRun(w io.Writer, r runReport, m *store.Manifest) {
	fmt.Fprintf(w, "%s: %s, %d of %d rows completed\n", r.Run, r.State, r.Completed, r.Rows)
	if r.Gradients > 0 {
		fmt.Fprintf(w, "%d gradient rows in %d lots\n", r.Gradients, len(m.Gradients))
	}
	if m != nil {
		fmt.Fprintf(w, "%s, %d components in %d groups, %d examples\n", r.Arch, r.Components, len(m.Groups), r.Examples)
		fmt.Fprintf(w, "fraction %g, seed %d, output %s, %s kernels\nweights %s\ndata %s\n", m.Fraction, m.Seed, m.Output, m.CurrentInstructionSet(), m.Weights.Path, m.Data.Spec)
	}
	fmt.Fprintf(w, "%d files match their digests", len(r.Sealed))
	if len(r.Unsealed) > 0 {
		fmt.Fprintf(w, ", %d have none yet", len(r.Unsealed))
	}
	fmt.Fprintln(w)
	for _, u := range r.Unfinished {
		fmt.Fprintln(w, "unfinished:", u)
	}
	for _, p := range r.Problems {
		fmt.Fprintln(w, "damaged:", p)
	}
}
