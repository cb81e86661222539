package store

import (
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"

	"coar/internal/fault"
	"coar/internal/npy"
)

// Result files are written whole to a temporary name, synced and renamed, so that a reader sees the old file or the new; see Staged.

// maxResultText bounds JSON and other text files that are read back.
const maxResultText = 256 << 20

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

// Remove removes a result and its digest, if they are there, durably.
func (d *Dir) Remove(name string) error {
	err := checkResultName(name)
	if err == nil {
		err = d.unseal(name)
	}
	if err == nil {
		err = d.fs.remove(inRun(d.path, name))
	}
	if isMissing(err) {
		return nil
	}
	if err == nil {
		err = d.fs.syncDir(filepath.Dir(inRun(d.path, name)))
	}
	if err != nil {
		return fmt.Errorf("store: remove %s: %w", name, err)
	}
	return nil
}

func checkResultName(name string) error {
	if !validName(name) || isOwn(name) {
		return fmt.Errorf("store: %q is not a name that a result can have", name)
	}
	return nil
}

// place checks the name of a result and makes its folder.
func (d *Dir) place(name string) (folder, base string, err error) {
	if err := checkResultName(name); err != nil {
		return "", "", err
	}
	folder = filepath.Join(d.path, filepath.FromSlash(path.Dir(name)))
	return folder, path.Base(name), makeDir(d.fs, folder)
}

// OpenArray opens a result array of the run in dir, checking its element type and shape, -1 standing for any size, and its digest
// where it is finished.
//
// Cost: reads a finished file once. Errors: fault.Missing naming the command that makes the file; fault.Malformed, also where
// it was there once.
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
	if err == nil {
		err = checkSealed(osFS{}, dir, name)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// ReadFloat32 reads a whole float32 result array of known shape. One that is not as it was finished, and a value that is not
// finite, is fault.Malformed.
func ReadFloat32(dir, name string, shape ...int) ([]float32, error) {
	f, err := OpenArray(dir, name, npy.Float32, shape...)
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
	f, err := OpenArray(dir, name, npy.Int32, shape...)
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
