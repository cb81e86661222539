package study

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"coar/internal/dataset"
	"coar/internal/fault"
	"coar/internal/models"
	"coar/internal/store"
)

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
	if err != nil && in.ClassNames != nil && fault.KindOf(err) == fault.Conflict {
		err = fmt.Errorf("%w (the run's classes file %s is gone; the run itself knows one name for each output)", err, m.Data.ClassesFile)
	}
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
	if err := sameLabels(s, m, in.Data); err != nil {
		return nil, err
	}
	return s, nil
}

// sameLabels fails unless the data gives the run's examples the labels that they had, and outputs no other names. The digest does
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
	for output := range min(len(names), len(m.Classes)) {
		if now, was := names[output], m.Classes[output]; now != was && now != "" && was != "" {
			return fault.Conflictf("%s: output %d is class %q, in the run %q; %s", data, output, now, was, remedy)
		}
	}
	return nil
}

// RunClasses are the run's file of class names or, where that is gone, the name that each output had in it.
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
