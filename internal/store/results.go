package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"

	"coar/internal/fault"
	"coar/internal/npy"
)

// Result files are written whole to a temporary name, synced and renamed, so that a reader sees the old file or the new.

// maxResultText bounds JSON and other text files that are read back.
const maxResultText = 256 << 20

// Staged is a result under its temporary name. Nothing is seen of it before Commit.
type Staged struct {
	dir          *Dir
	name         string // as Seal takes it
	folder, base string // where that is on the disk
	f            file   // nil once it is finished
}

// stage starts a result; name is relative to the directory, with slashes.
func (d *Dir) stage(name string) (*Staged, error) {
	folder, base, err := d.place(name)
	if err != nil {
		return nil, err
	}
	f, err := d.fs.create(filepath.Join(folder, tempName(base)))
	if err != nil {
		return nil, fmt.Errorf("store: write %s: %w", name, err)
	}
	return &Staged{dir: d, name: name, folder: folder, base: base, f: f}, nil
}

func (s *Staged) temp() string { return filepath.Join(s.folder, tempName(s.base)) }

// Finish makes durable what was written, all that can fail for want of room. If it fails, the result is dropped.
func (s *Staged) Finish() error {
	if s.f == nil {
		return nil
	}
	err := s.f.Sync()
	err = errors.Join(err, s.f.Close())
	s.f = nil
	if err == nil {
		if folder, _ := s.dir.fs.isDir(filepath.Join(s.folder, s.base)); folder {
			err = errors.New("there is a folder of that name")
		}
	}
	if err != nil {
		return errors.Join(fmt.Errorf("store: write %s: %w", s.name, err), s.dir.fs.remove(s.temp()))
	}
	return nil
}

// Commit finishes the result and puts it under its name, durably. If it fails, the old one is still there.
func (s *Staged) Commit() error {
	if err := s.Finish(); err != nil {
		return err
	}
	err := s.dir.unseal(s.name)
	if err == nil {
		err = s.dir.fs.rename(s.temp(), filepath.Join(s.folder, s.base))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("store: write %s: %w", s.name, err), s.dir.fs.remove(s.temp()))
	}
	if err := s.dir.fs.syncDir(s.folder); err != nil {
		return fmt.Errorf("store: write %s: %w", s.name, err)
	}
	return nil
}

// Abort drops the result; what was under its name before stays. After Commit there is nothing left to drop.
func (s *Staged) Abort() error {
	var err error
	if s.f != nil {
		err = s.f.Close()
		s.f = nil
	}
	return errors.Join(err, ignoreMissing(s.dir.fs.remove(s.temp())))
}

// ArrayWriter fills a result array that is too large to hold in memory.
type ArrayWriter struct {
	*npy.Writer
	*Staged
}

// CreateArray starts a result array. End it with Commit or Abort.
func (d *Dir) CreateArray(name string, dtype npy.DType, shape ...int) (*ArrayWriter, error) {
	s, err := d.stage(name)
	if err != nil {
		return nil, err
	}
	a := &ArrayWriter{Staged: s}
	if a.Writer, err = npy.NewWriter(filepath.Join(s.folder, s.base), s.f, dtype, shape...); err != nil {
		return nil, errors.Join(err, s.Abort())
	}
	return a, nil
}

// CreateFile starts a file of any kind through fill. End it with Commit or Abort.
func (d *Dir) CreateFile(name string, fill func(w io.Writer) error) (*Staged, error) {
	s, err := d.stage(name)
	if err != nil {
		return nil, err
	}
	if err := fill(io.NewOffsetWriter(s.f, 0)); err != nil {
		return nil, errors.Join(fmt.Errorf("store: write %s: %w", name, err), s.Abort())
	}
	return s, nil
}

// CreateJSON starts a file of v as indented JSON.
func (d *Dir) CreateJSON(name string, v any) (*Staged, error) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("store: write %s: %w", name, err)
	}
	return d.CreateFile(name, func(w io.Writer) error {
		_, err := w.Write(append(b, '\n'))
		return err
	})
}

// Discard drops what a write that was cut short has left of a result.
func (d *Dir) Discard(name string) error {
	folder, base, err := d.place(name)
	if err == nil {
		err = ignoreMissing(d.fs.remove(filepath.Join(folder, tempName(base))))
	}
	if err != nil {
		return fmt.Errorf("store: remove what is left of %s: %w", name, err)
	}
	return nil
}

// WriteFloat32 writes a whole float32 array. Errors: a value that is not finite, or values that do not fill the shape.
func (d *Dir) WriteFloat32(name string, values []float32, shape ...int) error {
	if i := npy.FirstNotFinite(values); i >= 0 {
		return fmt.Errorf("store: write %s: element %d is %v", name, i, values[i])
	}
	return d.writeArray(name, npy.Float32, shape, len(values), func(w *npy.Writer) error { return w.WriteRowsFloat32(0, values) })
}

// WriteInt32 writes a whole int32 array.
func (d *Dir) WriteInt32(name string, values []int32, shape ...int) error {
	return d.writeArray(name, npy.Int32, shape, len(values), func(w *npy.Writer) error { return w.WriteRowsInt32(0, values) })
}

func (d *Dir) writeArray(name string, dtype npy.DType, shape []int, have int, fill func(w *npy.Writer) error) error {
	a, err := d.CreateArray(name, dtype, shape...)
	if err != nil {
		return err
	}
	err = fill(a.Writer)
	if want := a.Header().Len(); err == nil && have != want {
		err = fmt.Errorf("store: write %s: %d values for shape %s", name, have, npy.FormatShape(shape))
	}
	if err != nil {
		return errors.Join(err, a.Abort())
	}
	return a.Commit()
}

// WriteFile writes a file of any kind through fill.
func (d *Dir) WriteFile(name string, fill func(w io.Writer) error) error {
	s, err := d.CreateFile(name, fill)
	if err != nil {
		return err
	}
	return s.Commit()
}

// Remove removes a result and its digest, if they are there.
func (d *Dir) Remove(name string) error {
	folder, base, err := d.place(name)
	if err == nil {
		err = d.unseal(name)
	}
	if err == nil {
		err = d.fs.remove(filepath.Join(folder, base))
	}
	if err != nil && !isMissing(err) {
		return fmt.Errorf("store: remove %s: %w", name, err)
	}
	return nil
}

// place checks the name of a result and makes its folder.
func (d *Dir) place(name string) (folder, base string, err error) {
	if !validName(name) || isOwn(name) {
		return "", "", fmt.Errorf("store: %q is not a name that a result can have", name)
	}
	folder = filepath.Join(d.path, filepath.FromSlash(path.Dir(name)))
	return folder, path.Base(name), makeDir(d.fs, folder)
}

// OpenArray opens a result array of the run in dir, checking its element type and shape; -1 stands for any size.
//
// Errors: fault.Missing naming the command that makes the file; fault.Malformed, also where it was there once.
func OpenArray(dir, name string, dtype npy.DType, shape ...int) (*npy.File, error) {
	f, err := npy.Open(inRun(dir, name))
	if isMissing(err) {
		return nil, missing(osFS{}, dir, name)
	}
	if err != nil {
		return nil, err
	}
	err = f.CheckDType(dtype)
	if err == nil {
		err = f.CheckShape(shape...)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// OpenWhole is OpenArray of a file that is checked against its digest.
func OpenWhole(dir, name string, dtype npy.DType, shape ...int) (*npy.File, error) {
	f, err := OpenArray(dir, name, dtype, shape...)
	if err != nil {
		return nil, err
	}
	if err := checkSealed(osFS{}, dir, name); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// ReadFloat32 reads a whole float32 result array of known shape. One that is not as it was finished, and a value that is not
// finite, is fault.Malformed.
func ReadFloat32(dir, name string, shape ...int) ([]float32, error) {
	f, err := OpenWhole(dir, name, npy.Float32, shape...)
	if err != nil {
		return nil, err
	}
	values := make([]float32, f.Header().Len())
	if err := errors.Join(f.ReadFloat32(0, values), f.Close()); err != nil {
		return nil, err
	}
	if i := npy.FirstNotFinite(values); i >= 0 {
		return nil, fault.InFile(f.Name(), "element %d is %v", i, values[i])
	}
	return values, nil
}

// ReadInt32 reads a whole int32 result array of known shape. Errors: as ReadFloat32.
func ReadInt32(dir, name string, shape ...int) ([]int32, error) {
	f, err := OpenWhole(dir, name, npy.Int32, shape...)
	if err != nil {
		return nil, err
	}
	wide := make([]int64, f.Header().Len())
	if err := errors.Join(f.ReadInt64(0, wide), f.Close()); err != nil {
		return nil, err
	}
	values := make([]int32, len(wide))
	for i, v := range wide {
		values[i] = int32(v)
	}
	return values, nil
}

// ReadJSON reads a JSON result into v, refusing members that v lacks.
func ReadJSON(dir, name string, v any) error {
	full := inRun(dir, name)
	b, err := readBounded(osFS{}, full, maxResultText)
	if isMissing(err) {
		return missing(osFS{}, dir, name)
	}
	if err != nil {
		return fmt.Errorf("store: read %s: %w", full, err)
	}
	if err := decodeStrict(b, v); err != nil {
		return fault.InFile(full, "%w", err)
	}
	return nil
}

// missing is the error for a result that is not there.
func missing(fsys fileSystem, dir, name string) error {
	return gone(fsys, dir, name, fault.Missingf("%s has no %s yet; run %s first", dir, name, madeBy(name)))
}

// gone is otherwise, or what is to be said of a file that was there once: checksums.json lists it.
func gone(fsys fileSystem, dir, name string, otherwise error) error {
	sealed, err := readSeals(fsys, dir)
	if err != nil {
		return err
	}
	if _, ok := sealed[name]; ok {
		return &fault.Error{Kind: fault.Malformed, File: inRun(dir, name), Err: goneError(name)}
	}
	return otherwise
}

// goneError names a file that was finished and is gone: to errors.Is, one that does not exist.
type goneError string

func (name goneError) Error() string {
	return "the file was finished and is gone; " + remedy(string(name))
}

func (goneError) Is(target error) bool { return target == fs.ErrNotExist }

// remedy says what to do about a finished file that is gone or has changed.
func remedy(name string) string {
	if command := madeBy(name); command != "coar ablate" {
		return "run " + command + " again, or restore the file from a copy"
	}
	return "restore it from a copy or start the run again"
}
