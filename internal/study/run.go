package study

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"coar/internal/dataset"
	"coar/internal/fault"
	"coar/internal/models"
	"coar/internal/npy"
	"coar/internal/regress"
	"coar/internal/store"
)

// ComponentDataset is a directory's completed rows as the regression takes them.
type ComponentDataset struct {
	arrays   *store.Arrays
	rows     []int
	selected []int // examples; nil: all
}

// NewComponentDataset hides incomplete rows, and the examples that are not selected (nil: none).
func NewComponentDataset(a *store.Arrays, selected []int) *ComponentDataset {
	return &ComponentDataset{arrays: a, rows: a.CompletedRows(), selected: selected}
}

// Shape returns nRows, nComponents, nExamples.
func (d *ComponentDataset) Shape() (nRows, nComponents, nExamples int) {
	n := d.arrays.NExamples()
	if d.selected != nil {
		n = len(d.selected)
	}
	return len(d.rows), d.arrays.NComponents(), n
}

// Example is the directory's index of the dataset's example i.
func (d *ComponentDataset) Example(i int) int {
	if d.selected == nil {
		return i
	}
	return d.selected[i]
}

// KeepRow fills dst [nComponents].
func (d *ComponentDataset) KeepRow(row int, dst []byte) error {
	return d.arrays.KeepRow(d.rows[row], dst)
}

// KeepVariance is the variance of every component's keep value over the rows, [nComponents].
// Cost: reads all keep-rows.
func (d *ComponentDataset) KeepVariance() ([]float64, error) {
	nRows, p, _ := d.Shape()
	kept, keep := make([]float64, p), make([]byte, p)
	for row := range nRows {
		if err := d.KeepRow(row, keep); err != nil {
			return nil, err
		}
		for c, k := range keep {
			kept[c] += float64(k)
		}
	}
	for c, n := range kept {
		share := n / float64(nRows)
		kept[c] = share * (1 - share)
	}
	return kept, nil
}

// Margins fills dst [nRows, last-first].
func (d *ComponentDataset) Margins(first, last int, dst []float32) error {
	if d.selected == nil {
		return d.arrays.Margins(d.rows, first, last, dst)
	}
	from, to := d.selected[first], d.selected[last-1]+1
	wide := make([]float32, to-from)
	for r, row := range d.rows {
		if err := d.arrays.Margins([]int{row}, from, to, wide); err != nil {
			return err
		}
		for i := first; i < last; i++ {
			dst[r*(last-first)+i-first] = wide[d.selected[i]-from]
		}
	}
	return nil
}

// Members are the examples of the run in dir, with the intact model's predictions where they are measured.
// Errors: fault.Malformed for damaged predictions.
func Members(dir string, m *store.Manifest) (dataset.Members, error) {
	members := dataset.Members{Positions: m.Positions, IDs: m.ExampleIDs, Labels: m.Labels, ClassNames: m.Classes}
	predictions, err := IntactPredictions(dir, m)
	if fault.KindOf(err) == fault.Missing {
		return members, nil
	}
	if err != nil {
		return members, err
	}
	members.Right = make([]bool, len(predictions))
	for i, p := range predictions {
		members.Right[i] = int(p) == m.Labels[i]
	}
	return members, nil
}

// IntactPredictions are the classes that the intact model gives the run's examples, [nExamples], 0 or above.
// Errors: fault.Missing before they are measured, fault.Malformed.
func IntactPredictions(dir string, m *store.Manifest) ([]int32, error) {
	predictions, err := store.ReadInt32(dir, store.BasePredictionsName, m.NExamples())
	for i, p := range predictions {
		if p < 0 {
			return nil, fault.InFile(filepath.Join(dir, store.BasePredictionsName), "example %d is predicted as class %d", i, p)
		}
	}
	return predictions, err
}

// Relocation says where a run's files are now, empty where they are where they were.
type Relocation struct{ Weights, Data string }

// OpenRun opens the model and data of an existing run and checks that they are those of the run.
//
// Errors: fault.Conflict where weights or data have changed; else as OpenSubject.
func OpenRun(m *store.Manifest, moved Relocation, r Resources) (_ *Subject, err error) {
	in := Inputs{Weights: m.Weights.Path, Data: m.Data.Spec, Split: m.Split, Layout: m.Data.Layout,
		Precision: m.Precision,
		Model:     models.Options{Heads: m.Heads, Include: m.Include, Exclude: m.Exclude},
		Adjust:    func(p *dataset.Preprocess) { *p = Preprocess(m.Preprocessing) }}
	in.Classes, in.ClassNames = RunClasses(m)
	if moved.Weights != "" {
		in.Weights = moved.Weights
	}
	if moved.Data != "" {
		in.Data = moved.Data
	}
	s, err := OpenSubject(in, r)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if sha := s.File.SHA256(); sha != m.Weights.SHA256 {
		return nil, fault.Conflictf("%s has changed since the run was made (SHA-256 %.12s…, the run has %.12s…); --weights says where the run's own file is", in.Weights, sha, m.Weights.SHA256)
	}
	digest, err := s.Source.Digest()
	if err != nil {
		return nil, err
	}
	if digest != m.Data.SHA256 {
		return nil, fault.Conflictf("%s has changed since the run was made (SHA-256 %.12s…, the run has %.12s…); --data says where the run's own data is", in.Data, digest, m.Data.SHA256)
	}
	if p := s.Model.Components(); p != m.NComponents() {
		return nil, fault.Conflictf("the model has %d components, the run %d", p, m.NComponents())
	}
	return s, sameLabels(s, m, in.Data)
}

// sameLabels fails unless the data gives the run's examples the labels that they had, and its classes the same names. The digest does
// not tell: of a folder of pictures, labels follow from the classes file, or from which class folders there are.
func sameLabels(s *Subject, m *store.Manifest, data string) error {
	const remedy = "have class folders or the classes file changed?"
	for i, p := range m.Positions {
		if p >= s.Source.Len() || s.Source.ID(p) != m.ExampleIDs[i] {
			return fault.Conflictf("%s: example %s of the run is not at its place %d", data, m.ExampleIDs[i], p)
		}
		if label := s.Source.Label(p); label != m.Labels[i] {
			return fault.Conflictf("%s: example %s has label %d, in the run %d; %s", data, m.ExampleIDs[i], label, m.Labels[i], remedy)
		}
	}
	names := s.OutputNames()
	if names == nil || m.Classes == nil {
		return nil
	}
	for output, name := range names {
		if output >= len(m.Classes) || name != m.Classes[output] {
			return fault.Conflictf("%s: output %d is class %q, which is not what the run calls it; %s", data, output, name, remedy)
		}
	}
	return nil
}

// RunClasses are the run's file of class names or, where that is gone, the names that it gave the outputs.
func RunClasses(m *store.Manifest) (file string, names []string) {
	if file = m.Data.ClassesFile; file == "" {
		return "", nil
	}
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return "", m.Classes
	}
	return file, nil
}

// CheckMoved checks that files are still those of the run, as OpenRun does, and closes them.
func CheckMoved(m *store.Manifest, moved Relocation) error {
	s, err := OpenRun(m, moved, Resources{})
	if err != nil {
		return err
	}
	return s.Close()
}

// Preprocess turns a run's preprocessing back into that of package dataset.
func Preprocess(p store.Preprocessing) dataset.Preprocess {
	single := func(xs []float64) []float32 {
		out := make([]float32, len(xs))
		for i, x := range xs {
			out[i] = float32(x)
		}
		return out
	}
	return dataset.Preprocess{Resize: p.Resize, Crop: p.Crop, Interpolation: p.Interpolation, Mean: single(p.Mean), Std: single(p.Std)}
}

// ClassName is what the run calls a label.
func ClassName(m *store.Manifest, label int) string {
	if label < len(m.Classes) && m.Classes[label] != "" {
		return m.Classes[label]
	}
	return dataset.Members{Positions: []int{label}}.ID(0)
}

// FindExample returns the run's index of the example id.
func FindExample(m *store.Manifest, id string) (int, error) {
	for i, known := range m.ExampleIDs {
		if known == id {
			return i, nil
		}
	}
	return 0, fault.Usagef("the run has no example %q; it has %d, such as %s", id, len(m.ExampleIDs), strings.Join(m.ExampleIDs[:min(3, len(m.ExampleIDs))], ", "))
}

// Fit is fit.json: how a run's attributions came to be.
type Fit struct {
	regress.Summary
	Split    string `json:"split"`
	Selected []int  `json:"selected"` // the run's examples that were fitted; null: all

	// Prior is gradient where the fit started from the gradient rows' attributions, else none; GradientRows how many they are.
	Prior        string `json:"prior"`
	GradientRows int    `json:"gradient_rows"`
	// Kept names the candidate that became the attributions: the one with the least mean squared error on held-out rows, if these
	// are enough and no λ was given.
	Kept        string       `json:"kept"`
	Calibration *Calibration `json:"calibration,omitempty"` // of the gradient rows' attributions on hard rows
	Candidates  []Candidate  `json:"candidates,omitempty"`

	Compared []regress.Comparison `json:"compared,omitempty"`
}

// What a fit can end in.
const (
	KeptGradient = "gradient"          // the gradient rows' attributions, nothing else
	KeptBoth     = "gradient+residual" // with the regression of what they leave of the hard rows' margins
	KeptPlain    = "plain"             // the regression of the hard rows' margins alone
)

// Candidate is what the held-out hard rows say of one of these.
type Candidate struct {
	Name        string         `json:"name"`
	Method      regress.Method `json:"method,omitempty"`
	Correlation float64        `json:"correlation"`
	MSE         float64        `json:"mse"`      // logits²
	Examples    int            `json:"examples"` // that it was tried on

	OthersMSE float64 `json:"others_mse,omitempty"` // where these are not all: the lower error of the others on the same ones, logits²
}

// Attributions are a run's fitted attributions on disk, one example at a time.
type Attributions struct {
	Intercepts  []float32
	NExamples   int
	NComponents int

	file     *npy.File
	errors   *npy.File    // nil where the fit had no standard errors
	selected map[int]bool // nil: all examples are fitted
	ids      []string
}

// OpenAttributions opens what coar fit wrote.
// Cost: reads the files once, for their digests. Errors: fault.Missing before the fit, fault.Malformed where they have changed.
func OpenAttributions(dir string, m *store.Manifest) (*Attributions, error) {
	a := &Attributions{NExamples: m.NExamples(), NComponents: m.NComponents(), ids: m.ExampleIDs}
	var fit Fit
	if err := store.ReadJSON(dir, store.FitName, &fit); err != nil {
		return nil, err
	}
	if fit.Selected != nil {
		a.selected = map[int]bool{}
		for _, i := range fit.Selected {
			a.selected[i] = true
		}
	}
	var err error
	if a.Intercepts, err = store.ReadFloat32(dir, store.InterceptName, a.NExamples); err != nil {
		return nil, err
	}
	if a.file, err = store.OpenWhole(dir, store.AttributionsName, npy.Float32, a.NExamples, a.NComponents); err != nil {
		return nil, err
	}
	a.errors, err = store.OpenWhole(dir, store.ErrorsName, npy.Float32, a.NExamples, a.NComponents)
	if err != nil && fault.KindOf(err) != fault.Missing {
		return nil, errors.Join(err, a.file.Close())
	}
	return a, nil
}

// Errors reads the standard errors of example i's attributions, in logits; nil where the fit had none.
func (a *Attributions) Errors(i int) ([]float32, error) {
	if a.errors == nil {
		return nil, nil
	}
	se := make([]float32, a.NComponents)
	if err := a.errors.ReadFloat32(i*a.NComponents, se); err != nil {
		return nil, err
	}
	return se, nil
}

// Fitted says whether example i was among those that coar fit was asked for.
func (a *Attributions) Fitted(i int) bool { return a.selected == nil || a.selected[i] }

// Row reads example i's attributions, in logits, into theta [NComponents].
func (a *Attributions) Row(i int, theta []float32) error {
	if !a.Fitted(i) {
		return fault.Missingf("example %s was left out of the fit; coar fit without --examples fits all", a.ids[i])
	}
	if err := a.file.ReadFloat32(i*a.NComponents, theta); err != nil {
		return err
	}
	if c := npy.FirstNotFinite(theta); c >= 0 {
		return fault.InFile(a.file.Name(), "example %s, component %d is not finite", a.ids[i], c)
	}
	return nil
}

// Close closes the files.
func (a *Attributions) Close() error {
	err := a.file.Close()
	if a.errors != nil {
		err = errors.Join(err, a.errors.Close())
	}
	return err
}
