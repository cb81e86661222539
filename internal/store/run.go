package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"coar/internal/fault"
)

// Run is a run directory locked for writing.
type Run struct {
	*Dir
	manifest Manifest
}

// Create makes dir a new run: directories, lock, manifest, then arrays without a completed row. m.Format is set here.
//
// Errors: fault.Conflict if dir is a run already, or holds arrays without a manifest; fault.Usage for a manifest that
// cannot be meant; an ordinary error where another process writes to dir.
func Create(dir string, m Manifest) (*Run, error) { return create(osFS{}, dir, m) }

func create(fsys fileSystem, path string, m Manifest) (*Run, error) {
	m.Format = formatVersion
	m.Classes, m.Include, m.Exclude = list(m.Classes), list(m.Include), list(m.Exclude)
	m.Gradients, m.InstructionSetChanges = list(m.Gradients), list(m.InstructionSetChanges)
	if err := m.validate(); err != nil {
		return nil, fault.Usagef("store: create %s: %w", path, err)
	}
	if err := makeDir(fsys, path); err != nil {
		return nil, fmt.Errorf("store: create %s: %w", path, err)
	}
	d, err := lockDir(fsys, path)
	if err != nil {
		return nil, err
	}
	run := &Run{d, m}
	err = refuseArrays(fsys, path)
	if err == nil {
		err = writeManifest(fsys, path, m)
	}
	if err == nil {
		_, err = run.Rows()
	}
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return run, nil
}

// list is s, never nil, so that JSON says [] and not null.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// refuseArrays fails if dir holds a run, or arrays of which nothing says what they are.
func refuseArrays(fsys fileSystem, dir string) error {
	names, err := fsys.names(dir)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	for _, name := range names {
		switch {
		case name == ManifestName:
			return fault.Conflictf("%s holds a run already", dir)
		case name == "masks.npy" || name == "_completed.npy" || strings.HasSuffix(name, marginsSuffix):
			return fault.Conflictf("%s holds %s but no run.json, so its rows cannot be continued; use another directory", dir, name)
		}
	}
	return nil
}

// Open locks an existing run for writing.
//
// Errors: fault.Missing where there is none; fault.Malformed; an ordinary error where another process writes to it.
func Open(dir string) (*Run, error) { return open(osFS{}, dir) }

func open(fsys fileSystem, path string) (*Run, error) {
	d, err := lockDir(fsys, path)
	if err != nil {
		return nil, err
	}
	m, err := readManifest(fsys, path)
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return &Run{d, m}, nil
}

// Prepare creates the run in dir, or resumes it if it is one that want may continue (see Conflicts), and adds rows if
// want asks for more than it has. It never takes rows away: the manifest then keeps its own number.
//
// Errors: those of Create, Open, Conflicts and Extend; fault.Conflict if the run's next rows were to be computed with
// another instruction set, unless allowInstructionSetChange, when the change is recorded in the manifest.
func Prepare(dir string, want Manifest, allowInstructionSetChange bool) (*Run, error) {
	return prepare(osFS{}, dir, want, allowInstructionSetChange)
}

func prepare(fsys fileSystem, path string, want Manifest, allowInstructionSetChange bool) (*Run, error) {
	isRun, err := fsys.isDir(path)
	if isRun {
		isRun, err = exists(fsys, path, ManifestName)
	}
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if !isRun {
		return create(fsys, path, want)
	}
	run, err := open(fsys, path)
	if err != nil {
		return nil, err
	}
	if err := run.resume(want, allowInstructionSetChange); err != nil {
		return nil, errors.Join(err, run.Close())
	}
	return run, nil
}

// resume fits the run to what a command wants of it.
func (r *Run) resume(want Manifest, allowInstructionSetChange bool) error {
	if err := Conflicts(r.manifest, want); err != nil {
		return err
	}
	if err := r.useInstructionSet(want.InstructionSet, allowInstructionSetChange); err != nil {
		return err
	}
	if want.Masks > r.manifest.Masks {
		if err := r.Extend(want.Masks); err != nil {
			return err
		}
	} else if _, err := r.Rows(); err != nil {
		return err
	}
	return r.AddGradients(want.GradientRows())
}

// useInstructionSet records that the next rows are computed with isa, which must be allowed if it is a change.
func (r *Run) useInstructionSet(isa string, allowed bool) error {
	have := r.manifest.CurrentInstructionSet()
	if have == isa {
		return nil
	}
	if !allowed {
		return fault.Conflictf("run.json: the rows so far were computed with %s, this machine uses %s, which rounds differently; "+
			"--allow-isa-change accepts that and records it", have, isa)
	}
	rows, err := r.Rows()
	if err != nil {
		return err
	}
	row := 0
	for _, done := range rows.Completed() {
		if done {
			row++
		}
	}
	m := r.manifest
	m.InstructionSetChanges = append(m.InstructionSetChanges[:len(m.InstructionSetChanges):len(m.InstructionSetChanges)],
		InstructionSetChange{Row: row, InstructionSet: isa})
	return r.writeManifest(m)
}

// Manifest is the run's manifest. It must not be modified.
func (r *Run) Manifest() Manifest { return r.manifest }

// Files names the manifest and the arrays of rows, as Seal takes them.
func (r *Run) Files() []string {
	return append([]string{ManifestName}, trainLayout(&r.manifest).names()...)
}

// Rows opens the rows that the run is fitted on, checking every completed one and finishing what a crash cut short.
// Called again, it returns the same set.
//
// Cost: the first call reads all completed rows once. Errors: fault.Malformed naming file and row.
func (r *Run) Rows() (*Rows, error) {
	m := &r.manifest
	return r.openRowsOnce(trainLayout(m), m.ExampleIDs, false)
}

// Extend adds rows until there are nRows: first to the manifest, then to the arrays. A crash in between is made good when
// the rows are opened again.
//
// Errors: fault.Conflict if the run has more rows already; those of Rows and of the disk.
func (r *Run) Extend(nRows int) error {
	if nRows < r.manifest.Masks {
		return fault.Conflictf("%s has %d rows; a run never shrinks to %d", r.path, r.manifest.Masks, nRows)
	}
	rows, err := r.Rows()
	if err != nil || nRows == r.manifest.Masks {
		return err
	}
	m := r.manifest
	m.Masks = nRows
	if err := r.writeManifest(m); err != nil {
		return err
	}
	return rows.grow(nRows)
}

// writeManifest replaces the manifest, unsealing the files whose content is about to differ from it.
func (r *Run) writeManifest(m Manifest) error {
	m.Gradients = list(m.Gradients)
	if err := m.validate(); err != nil {
		return fault.Usagef("store: %s: %w", filepath.Join(r.path, ManifestName), err)
	}
	if err := r.unseal(r.Files()...); err != nil {
		return err
	}
	if err := writeManifest(r.fs, r.path, m); err != nil {
		return err
	}
	r.manifest = m
	return nil
}

// openRowsOnce opens a set of rows, or returns it if it is open.
func (d *Dir) openRowsOnce(l layout, ids []string, grow bool) (*Rows, error) {
	u, err := d.openOnce(l, grow)
	if err != nil {
		return nil, err
	}
	return &Rows{u, ids}, nil
}

// openOnce opens a set of units, or returns it if it is open.
func (d *Dir) openOnce(l layout, grow bool) (*units, error) {
	d.opening.Lock()
	defer d.opening.Unlock()
	name := l.files[0].name
	d.mu.Lock()
	u := d.units[name]
	d.mu.Unlock()
	if u != nil {
		return u, nil
	}
	u, err := openForWriting(d, l, grow)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.units == nil {
		d.units = map[string]*units{}
	}
	d.units[name] = u
	return u, nil
}
