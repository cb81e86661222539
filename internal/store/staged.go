package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"coar/internal/npy"
)

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

// Name is what the result is to be called, relative to the directory, with slashes.
func (s *Staged) Name() string { return s.name }

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
