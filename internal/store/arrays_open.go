package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"coar/internal/fault"
	"coar/internal/npy"
)

// OpenArrays opens the rows of a directory for reading, without locking or writing to it: of a run, or of a bare directory
// that holds masks.npy bool [m, p], <split>_margins.npy float16 or float32 [m, n] and _completed.npy bool [m], as numpy
// writes them. split may be empty where there is only one.
//
// Errors: fault.Missing where there is nothing to read; fault.Usage for a split that must be given or is not there, listing
// the choices; fault.Conflict where the arrays' shapes disagree; fault.Malformed.
func OpenArrays(dir, split string) (*Arrays, error) { return openArrays(osFS{}, dir, split) }

func openArrays(fsys fileSystem, dir, split string) (*Arrays, error) {
	if ok, err := fsys.isDir(dir); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	} else if !ok {
		return nil, fault.Missingf("there is no directory %s; coar ablate makes one", dir)
	}
	names, err := fsys.names(dir)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if !slices.Contains(names, ManifestName) {
		if err := gone(fsys, dir, ManifestName, nil); err != nil {
			return nil, err
		}
		return openBareArrays(fsys, dir, names, split)
	}
	m, err := readManifest(fsys, dir)
	if err != nil {
		return nil, err
	}
	if split != "" && split != m.Split {
		return nil, fault.Usagef("--split %.80s: %s has the split %s", split, dir, m.Split)
	}
	a, err := openOwnArrays(fsys, dir, &m, trainLayout(&m), "coar ablate")
	if err != nil {
		return nil, err
	}
	a.split = m.Split
	return a, nil
}

// The places of a row's data in its layout.
const (
	masksFile = iota
	marginsFile
)

// rowsLayout is the layout of nRows keep-rows and their margins.
func rowsLayout(names rowNames, nRows int, m *Manifest, margins npy.DType) layout {
	return newLayout(nRows, names.checksums, names.completed,
		array{names.masks, npy.Bool, m.NComponents(), keepValue}, array{names.margins, margins, m.NExamples(), finite})
}

// trainLayout is the layout of the rows that a run is fitted on.
func trainLayout(m *Manifest) layout {
	return rowsLayout(trainNames(m.Split), m.Masks, m, m.marginsDType())
}

// openOwnArrays opens a set of rows that this package wrote, at most l.nRows of them. A growth cut short does not matter:
// the rows it was to add are not completed.
func openOwnArrays(fsys fileSystem, dir string, m *Manifest, l layout, command string) (_ *Arrays, err error) {
	a := &Arrays{manifest: m}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	opened, s, err := openUnits(fsys, dir, l, command)
	a.files = append(a.files, s.files...)
	if err != nil {
		return nil, err
	}
	if a.completed, err = s.flags(); err != nil {
		return nil, err
	}
	if p, bad := s.beyond(a.completed); bad {
		return nil, p.err(dir)
	}
	a.masks, a.margins = opened[masksFile], opened[marginsFile]
	a.sums, err = s.checksums()
	return a, err
}

// openBareArrays opens the three arrays of a directory without a manifest.
func openBareArrays(fsys fileSystem, dir string, names []string, split string) (_ *Arrays, err error) {
	split, err = chooseSplit(dir, names, split)
	if err != nil {
		return nil, err
	}
	a := &Arrays{split: split}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	if a.masks, err = a.openBare(fsys, dir, "masks.npy", []int{-1, -1}, npy.Bool, npy.Uint8); err != nil {
		return nil, err
	}
	if a.margins, err = a.openBare(fsys, dir, split+marginsSuffix, []int{-1, -1}, npy.Float16, npy.Float32); err != nil {
		return nil, err
	}
	completed, err := a.openBare(fsys, dir, "_completed.npy", []int{-1}, npy.Bool)
	if err != nil {
		return nil, err
	}
	m := a.masks.Header().Rows()
	if a.margins.Header().Rows() != m || completed.Header().Rows() != m {
		return nil, fault.Conflictf("%s: masks.npy has %d rows, %s%s %d and _completed.npy %d; they must agree",
			dir, m, split, marginsSuffix, a.margins.Header().Rows(), completed.Header().Rows())
	}
	if a.NComponents() == 0 || a.NExamples() == 0 {
		return nil, fault.InFile(dir, "the arrays have no components or no examples")
	}
	flags := make([]byte, m)
	if err := completed.ReadRowsBool(0, m, flags); err != nil {
		return nil, err
	}
	a.completed = make([]bool, m)
	for i, b := range flags {
		a.completed[i] = b == 1
	}
	return a, nil
}

// openBare opens one array of a bare directory and checks its type and number of dimensions.
func (a *Arrays) openBare(fsys fileSystem, dir, name string, shape []int, dtypes ...npy.DType) (*npy.File, error) {
	path := filepath.Join(dir, name)
	f, err := fsys.open(path, false)
	if isMissing(err) {
		return nil, fault.Missingf("%s has no %s, and no run.json that would say why; coar ablate makes both", dir, name)
	}
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	a.files = append(a.files, f)
	size, err := f.size()
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	array, err := npy.NewFile(path, f, size)
	if err == nil {
		err = array.CheckDType(dtypes...)
	}
	if err == nil {
		err = array.CheckShape(shape...)
	}
	return array, err
}

// chooseSplit finds the split to read in a bare directory with these files.
func chooseSplit(dir string, names []string, split string) (string, error) {
	splits := splitsIn(names)
	choices := strings.Join(splits, ", ")
	switch {
	case len(splits) == 0:
		return "", fault.Missingf("%s holds neither run.json nor <split>_margins.npy; coar ablate makes them", dir)
	case split == "" && len(splits) > 1:
		return "", fault.Usagef("%s holds margins of several splits; choose one with --split: %s", dir, choices)
	case split == "":
		return splits[0], nil
	case !slices.Contains(splits, split):
		return "", fault.Usagef("--split %.80s: %s has %s", split, dir, choices)
	}
	return split, nil
}

// splitsIn lists the splits that files in a directory hold margins of.
func splitsIn(names []string) []string {
	var splits []string
	for _, name := range names {
		if s, ok := strings.CutSuffix(name, marginsSuffix); ok && validSplit(s) {
			splits = append(splits, s)
		}
	}
	return splits
}
