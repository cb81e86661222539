package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	"github.com/spf13/cobra"

	"coar/internal/edit"
	"coar/internal/fault"
	"coar/internal/margin"
	"coar/internal/report"
	"coar/internal/store"
	"coar/internal/study"
)

// editOptions are the flags of coar edit.
type editOptions struct {
	*globals
	run       string
	fix       string
	reference string
	choose    string
	holdout   string
	k         string
	maxDrop   float64
	name      string
	seed      uint64
	moved     study.Relocation
	resources resourceFlags
}

func newEdit(g *globals) *cobra.Command {
	o := &editOptions{globals: g}
	cmd := &cobra.Command{
		Use:   "edit RUN",
		Short: "Find the few components whose ablation makes a wrong prediction right",
		Long: `Ranks components by how much more they speak against the example than against reference examples, and ablates
the fewest of them that make it right while accuracy on a choosing set falls by at most --max-drop; with -k so many, whatever
that does to accuracy. The result is measured once on a hold-out set. RUN/edits/NAME receives edit.json, edited.safetensors and
curve.png. Where no edit is found and NAME has one already, that stays, and RUN/edits/NAME-not-found receives the others,
or NAME-not-found-not-found where that has one, too, and so on.

Without --name, NAME is fix-ID. Of an ID such as c3/7.png, what is not letters, digits, '.', '-' and '_' becomes '-', and of this
or a long one '-' and eight digits of the ID's SHA-256 take the end of the 100 characters that there are: fix-c3-7.png-169e81b0.`,
		Args: oneRun,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.run = args[0]
			return runEdit(cmd, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.fix, "fix", "", "id of a misclassified example of the run")
	f.StringVar(&o.reference, "reference", "", "run examples whose predictions should not move (default 50 fitted ones that are right)")
	f.StringVar(&o.choose, "choose", "", "examples of the data on which accuracy is watched (default up to 1,000 others)")
	f.StringVar(&o.holdout, "holdout", "", "examples of the data on which the result is measured once (default up to 10,000 others)")
	f.StringVarP(&o.k, "components", "k", "auto", "how many components to ablate; auto searches")
	f.Float64Var(&o.maxDrop, "max-drop", 0.005, "how far accuracy on the choosing set may fall, as a fraction")
	f.StringVar(&o.name, "name", "", "name of the edit (default fix-ID, with a hash where ID cannot be part of a name)")
	f.Uint64Var(&o.seed, "seed", 0, "seed of the default example sets")
	addRelocation(cmd, &o.moved)
	o.resources.add(cmd)
	return cmd
}

func runEdit(cmd *cobra.Command, o *editOptions) error {
	record, err := doEdit(cmd, o)
	if record != nil {
		if o.json {
			if err := record.Write(o.out(cmd)); err != nil {
				return err
			}
		} else {
			printEdit(o.out(cmd), o, record)
		}
	}
	return err
}

func printEdit(w io.Writer, o *editOptions, r *edit.Record) {
	if !r.Found {
		fmt.Fprintf(w, "no k makes %s right within the accuracy allowed; %d values tried\n", o.fix, len(r.Curve))
		return
	}
	t := r.Targets[0]
	fmt.Fprintf(w, "example %s (%s): ablating %s turns %s into %s, margin %+.3f to %+.3f\n", t.ID, t.Label, components(r.K), t.PredictedBefore, t.PredictedAfter, t.MarginBefore, t.MarginAfter)
	for _, c := range r.Components {
		fmt.Fprintf(w, "  %s row %d\n", c.Key, c.Row)
	}
	for _, e := range []struct {
		name string
		edit.Effect
	}{{"on the choosing set", r.Choosing}, {"on the hold-out set", r.Holdout}, {"outside the run", r.OutsideRun}} {
		if e.Before.Total > 0 {
			fmt.Fprintf(w, "accuracy %-19s  %s before, %s after\n", e.name, percent(e.Before.Correct, e.Before.Total), percent(e.After.Correct, e.After.Total))
		}
	}
	if r.Note != "" {
		fmt.Fprintln(w, r.Note)
	}
	fmt.Fprintf(w, "%s holds edited.safetensors, edit.json and curve.png\n", filepath.Join(o.run, "edits", r.Name))
}

// components counts them in words.
func components(k int) string {
	if k == 1 {
		return "1 component"
	}
	return fmt.Sprintf("%d components", k)
}

func doEdit(cmd *cobra.Command, o *editOptions) (*edit.Record, error) {
	resources, err := o.resources.parse()
	if err != nil {
		return nil, err
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	folder, err := store.EditPath(o.name)
	if err != nil {
		return nil, err
	}
	run, err := store.Open(o.run)
	if err != nil {
		return nil, err
	}
	defer run.Close()
	s := &session{editOptions: o, manifest: run.Manifest()}
	if s.output, err = margin.Parse(s.manifest.Output); err != nil {
		return nil, err
	}
	if s.target, err = study.FindExample(&s.manifest, o.fix); err != nil {
		return nil, err
	}
	if err := s.checkOutput(); err != nil {
		return nil, err
	}
	if s.theta, err = study.OpenAttributions(o.run, &s.manifest); err != nil {
		return nil, err
	}
	defer s.theta.Close()
	if err := s.pickReferences(); err != nil {
		return nil, err
	}
	if s.subject, err = study.OpenRun(&s.manifest, o.moved, resources); err != nil {
		return nil, err
	}
	defer s.subject.Close()
	ctx := cmd.Context()
	if err := s.pickWatched(ctx); err != nil {
		return nil, err
	}
	if err := s.rank(); err != nil {
		return nil, err
	}
	outcome, err := s.search(ctx)
	if err != nil {
		return nil, err
	}
	record, err := s.record(ctx, outcome)
	if err != nil {
		return nil, err
	}
	kept := ""
	if !outcome.Found && hasCheckpoint(o.run, folder) {
		kept = fmt.Sprintf(" and %s the edit of before", filepath.Join(o.run, folder))
		folder, record.Name = beside(o.run, folder, record.Name)
	}
	if err := s.save(run, folder, record, outcome); err != nil {
		return nil, err
	}
	if before, after := outcome.Curve[0].Choosing, outcome.Chosen.Choosing; outcome.Found && s.k != "auto" && !(edit.Limits{MaxDrop: o.maxDrop}).Affordable(before, after) {
		slog.Warn("accuracy on the choosing set falls by more than --max-drop, which only -k auto heeds", "before", percent(before.Correct, before.Total), "after", percent(after.Correct, after.Total))
	}
	if !outcome.Found && s.k != "auto" {
		return record, fmt.Errorf("ablating %s does not make %s right; %s has what was measured%s", components(outcome.Chosen.K), o.fix, filepath.Join(o.run, folder), kept)
	}
	if !outcome.Found {
		return record, fmt.Errorf("no number of components makes %s right while accuracy on the choosing set falls by at most %g; %s has the curve%s", o.fix, o.maxDrop, filepath.Join(o.run, folder), kept)
	}
	return record, nil
}

var notInName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// defaultName is fix-ID where an edit can have that name. Any other id is made to fit, and eight digits of its SHA-256 keep it
// apart from those that become the same.
func defaultName(id string) string {
	const hashed = 8
	name := "fix-" + notInName.ReplaceAllString(id, "-")
	if name == "fix-"+id && len(name) <= store.MaxEditName {
		return name
	}
	digest := sha256.Sum256([]byte(id))
	return fmt.Sprintf("%s-%.*x", name[:min(len(name), store.MaxEditName-hashed-1)], hashed/2, digest[:hashed/2])
}

func (o *editOptions) check() error {
	if o.fix == "" {
		return fault.Usagef("--fix is missing: the id of the example to make right")
	}
	if o.k != "auto" {
		if k, err := strconv.Atoi(o.k); err != nil || k < 1 {
			return fault.Usagef("-k %q: want auto or a whole number from 1 on", o.k)
		}
	}
	if !(o.maxDrop >= 0 && o.maxDrop <= 1) {
		return fault.Usagef("--max-drop %v: want a fraction from 0 to 1, such as 0.005", o.maxDrop)
	}
	if o.name == "" {
		o.name = defaultName(o.fix)
	}
	return nil
}

// editedName is the checkpoint that an edit leads to.
const editedName = "edited.safetensors"

// hasCheckpoint reports whether a folder of the run holds an edit that was found.
func hasCheckpoint(run, folder string) bool {
	_, err := os.Stat(filepath.Join(run, filepath.FromSlash(folder), editedName))
	return err == nil
}

// beside is the first NAME-not-found, with its folder, that does not hold an edit itself: it can be the --name of another.
func beside(run, folder, name string) (besideFolder, besideName string) {
	for hasCheckpoint(run, folder) {
		folder, name = folder+"-not-found", name+"-not-found"
	}
	return folder, name
}

// save writes the edit's files; the checkpoint only where a k was found. Where none was, the folder has no checkpoint.
func (s *session) save(run *store.Run, folder string, r *edit.Record, o edit.Outcome) error {
	base := o.Curve[0].Choosing.Value()
	curve := report.EditCurve{Title: fmt.Sprintf("Fixing example %s (%s)", s.fix, r.Targets[0].Label), Subtitle: "the first k components of the ranking ablated", Chosen: -1, Floor: base - s.maxDrop}
	if o.Found {
		curve.Chosen = r.K
	}
	for _, m := range o.Curve {
		p := report.EditPoint{K: m.K, Margins: m.Margins, Accuracy: math.NaN()}
		if m.Choosing.Total > 0 {
			p.Accuracy = m.Choosing.Value()
		}
		curve.Points = append(curve.Points, p)
	}
	files := []store.File{{Name: "edit.json", Fill: r.Write}, {Name: "curve.png", Fill: curve.Figure().WritePNG}}
	if o.Found {
		zero := map[string][]int{}
		for _, c := range r.Components {
			zero[c.Key] = append(zero[c.Key], c.Row)
		}
		files = append(files, store.File{Name: editedName, Fill: func(w io.Writer) error { return s.subject.File.WriteEdited(w, zero, s.subject.Model.Aliases) }})
	}
	if err := run.WriteTogether(folder, files...); err != nil { // an earlier edit of this name stays whole until all are written
		return err
	}
	if checkpoint := folder + "/" + editedName; !o.Found { // there is none, but what it left may be listed as finished
		if err := errors.Join(run.Remove(checkpoint), run.Discard(checkpoint)); err != nil {
			return err
		}
	}
	var names []string
	for _, f := range files {
		names = append(names, folder+"/"+f.Name)
	}
	return run.Seal(names...)
}
