package store

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"coar/internal/fault"
	"coar/internal/npy"
)

// Verify checks everything that can be checked in a directory: the manifest, the arrays' headers and sizes, the completed
// flags, the checksum of every completed row, the shapes of results, and the digest of every sealed file. Damage is data
// in the Report, not an error. The directory is not locked; checking a run that is being written shows a moment of it.
//
// Cost: reads every file once or twice. Errors: fault.Missing if dir holds neither a run nor arrays; those of the disk.
func Verify(dir string) (Report, error) { return verify(osFS{}, dir) }

func verify(fsys fileSystem, dir string) (Report, error) {
	if ok, err := fsys.isDir(dir); err != nil {
		return Report{}, fmt.Errorf("store: %w", err)
	} else if !ok {
		return Report{}, fault.Missingf("there is no directory %s; coar ablate makes one", dir)
	}
	v := verifier{fs: fsys, dir: dir}
	if err := v.list("", maxDepth); err != nil {
		return Report{}, fmt.Errorf("store: %w", err)
	}
	if err := v.checkSeals(); err != nil {
		return Report{}, err
	}
	_, wasRun := v.sealed[ManifestName]
	var err error
	switch {
	case slices.Contains(v.files, ManifestName):
		err = v.checkRun()
	case !wasRun && len(v.report.Problems) == 0:
		err = v.checkBare()
	}
	return v.report, err
}

// verifier gathers a Report.
type verifier struct {
	fs     fileSystem
	dir    string
	files  []string // every file, relative, with slashes
	sealed map[string]sealedFile
	report Report
}

// maxDepth is how many folders deep files are looked for.
const maxDepth = 4

// list adds the files in folder, and in its folders down to depth.
func (v *verifier) list(folder string, depth int) error {
	names, err := v.fs.names(inRun(v.dir, folder))
	if err != nil {
		return err
	}
	for _, base := range names {
		name := path.Join(folder, base)
		isDir, err := v.fs.isDir(inRun(v.dir, name))
		switch {
		case err != nil:
			return err
		case !isDir:
			v.files = append(v.files, name)
		case depth > 1:
			if err := v.list(name, depth-1); err != nil {
				return err
			}
		}
	}
	return nil
}

// problem records damage to a file.
func (v *verifier) problem(file string, format string, args ...any) {
	v.report.Problems = append(v.report.Problems, Problem{file, -1, fmt.Sprintf(format, args...)})
}

// unfinished records what is left to do.
func (v *verifier) unfinished(format string, args ...any) {
	v.report.Unfinished = append(v.report.Unfinished, fmt.Sprintf(format, args...))
}

// damage records err if it is of kind fault.Malformed or fault.Conflict, and returns it otherwise.
func (v *verifier) damage(file string, err error) error {
	var e *fault.Error
	if !errors.As(err, &e) || (e.Kind != fault.Malformed && e.Kind != fault.Conflict) {
		return err
	}
	if rel, err := filepath.Rel(v.dir, e.File); err == nil && e.File != "" {
		file = filepath.ToSlash(rel)
	}
	v.problem(file, "%v", e.Err)
	return nil
}

// checkSeals compares every sealed file with its digest, and sorts the files into sealed and unsealed.
func (v *verifier) checkSeals() (err error) {
	if v.sealed, err = readSeals(v.fs, v.dir); err != nil {
		if err := v.damage(sealsName, err); err != nil {
			return err
		}
	}
	for _, name := range v.files {
		if _, ok := v.sealed[name]; !ok && name != sealsName && name != lockName && !isTemp(path.Base(name)) {
			v.report.Unsealed = append(v.report.Unsealed, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v.sealed)) {
		want := v.sealed[name]
		have, err := digest(v.fs, v.dir, name)
		switch {
		case isMissing(err):
			v.problem(name, "the file is gone, but %s lists it as finished", sealsName)
		case err != nil:
			if err := v.damage(name, err); err != nil {
				return fmt.Errorf("store: %w", err)
			}
		case have.Bytes != want.Bytes:
			v.problem(name, "the file has %d bytes; it had %d when it was finished", have.Bytes, want.Bytes)
		case have != want:
			v.problem(name, "the file has changed since it was finished (its SHA-256 differs)")
		default:
			v.report.Sealed = append(v.report.Sealed, name)
		}
	}
	return nil
}

// isTemp reports whether a file is one that writeAtomic had not renamed yet.
func isTemp(base string) bool {
	return strings.HasPrefix(base, tempPrefix) && strings.HasSuffix(base, tempSuffix)
}

// checkRun checks what the manifest describes.
func (v *verifier) checkRun() error {
	m, err := readManifest(v.fs, v.dir)
	if err != nil {
		return v.damage(ManifestName, err)
	}
	v.report.Manifest = &m
	if v.report.NRows, v.report.Completed, err = v.checkRows(trainLayout(&m), false, "coar ablate"); err != nil {
		return err
	}
	if !v.isSealed(ManifestName) && v.report.Completed == v.report.NRows {
		v.unfinished("%s is not sealed; coar ablate does that", ManifestName)
	}
	for _, lot := range m.GradientLots() {
		_, completed, err := v.checkRows(lot.layout(&m), false, "coar ablate")
		if err != nil {
			return err
		}
		v.report.Gradients = append(v.report.Gradients, GradientState{lot, completed})
		if err := v.checkHeld(lot, &m); err != nil {
			return err
		}
	}
	for _, folder := range v.evaluationFolders() {
		nRows, completed, err := v.checkRows(evaluationLayout(&m, evaluationNamesIn(folder), 0), true, "coar evaluate")
		if err != nil {
			return err
		}
		v.report.Evaluation = append(v.report.Evaluation, EvaluationState{folder, nRows, completed})
	}
	n, p := m.NExamples(), m.NComponents()
	type result struct {
		name  string
		dtype npy.DType
		shape []int
	}
	results := []result{
		{BaseMarginsName, npy.Float32, []int{n}},
		{BasePredictionsName, npy.Int32, []int{n}},
		{AttributionsName, npy.Float32, []int{n, p}},
		{ErrorsName, npy.Float32, []int{n, p}},
		{InterceptName, npy.Float32, []int{n}},
		{LambdaName, npy.Float32, []int{n}},
	}
	for _, lot := range m.GradientLots() {
		for i, name := range lot.shared() {
			results = append(results, result{name, []npy.DType{npy.Int32, npy.Int32, npy.Float32}[i], []int{p}})
		}
	}
	for _, result := range results {
		if err := v.checkResult(result.name, result.dtype, result.shape); err != nil {
			return err
		}
	}
	return nil
}

// checkHeld checks what a lot holds of examples that are not completed.
func (v *verifier) checkHeld(lot GradientLot, m *Manifest) error {
	for _, name := range v.files {
		if path.Dir(name) != lot.folder() || !strings.HasPrefix(path.Base(name), heldPrefix) {
			continue
		}
		_, _, err := readHeld(v.fs, v.dir, name, lot.Rows, m.NComponents(), m.NExamples())
		if err := v.damage(name, err); err != nil {
			return err
		}
	}
	return nil
}

// isSealed reports whether checksums.json lists a file.
func (v *verifier) isSealed(name string) bool {
	_, ok := v.sealed[name]
	return ok
}

// evaluationFolders lists the folders of evaluation rows.
func (v *verifier) evaluationFolders() []string {
	var folders []string
	for _, name := range v.files {
		folder := path.Dir(name)
		if path.Dir(folder) == "evaluation" && strings.HasPrefix(path.Base(folder), "rows-") && !slices.Contains(folders, folder) {
			folders = append(folders, folder)
		}
	}
	return folders
}

// checkResult checks the header of a result array, if it is there.
func (v *verifier) checkResult(name string, dtype npy.DType, shape []int) error {
	f, err := v.fs.open(inRun(v.dir, name), false)
	if isMissing(err) {
		return nil
	}
	if err != nil {
		return v.damage(name, fmt.Errorf("store: %w", err))
	}
	defer f.Close() // only read
	size, err := f.size()
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	array, err := npy.NewFile(inRun(v.dir, name), f, size)
	if err == nil {
		err = array.CheckDType(dtype)
	}
	if err == nil {
		err = array.CheckShape(shape...)
	}
	return v.damage(name, err)
}

// checkBare checks the arrays of a directory without a manifest.
func (v *verifier) checkBare() error {
	splits := splitsIn(v.files)
	if len(splits) == 0 {
		splits = []string{""} // for the error that says what is missing
	}
	for _, split := range splits {
		a, err := openArrays(v.fs, v.dir, split)
		if err == nil {
			v.report.NRows, v.report.Completed = a.NRows(), len(a.CompletedRows())
			err = errors.Join(a.Check(), a.Close())
		}
		if err := v.damage(split+marginsSuffix, err); err != nil {
			return err
		}
	}
	if v.report.Completed < v.report.NRows {
		v.unfinished("%d of %d rows are not completed", v.report.NRows-v.report.Completed, v.report.NRows)
	}
	return nil
}
