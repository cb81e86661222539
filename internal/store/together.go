package store

import (
	"errors"
	"fmt"
	"io"
	"path"
)

// File is a file to be written, and what writes it.
type File struct {
	Name string // without its folder
	Fill func(w io.Writer) error
}

// WriteTogether replaces files of one folder, which is relative to the directory, with slashes, as CommitTogether does.
//
// Errors: those of Fill and of the disk, naming the file.
func (d *Dir) WriteTogether(folder string, files ...File) error {
	var staged []*Staged
	for _, f := range files {
		s, err := d.CreateFile(path.Join(folder, f.Name), f.Fill)
		if err != nil {
			return errors.Join(err, abort(staged))
		}
		staged = append(staged, s)
	}
	return d.CommitTogether(staged...)
}

// CommitTogether puts results under their names, the first of which is what the others are read with: wherever a kill or the
// power stops this, it is either not there or beside those that it was written with.
//
// All are finished before anything of the earlier ones goes, so an error until then, such as a full disk, leaves these as
// they were.
func (d *Dir) CommitTogether(staged ...*Staged) error {
	if err := d.commitTogether(staged); err != nil {
		return errors.Join(err, abort(staged))
	}
	return nil
}

func (d *Dir) commitTogether(staged []*Staged) error {
	for _, s := range staged {
		if err := s.Finish(); err != nil {
			return err
		}
	}
	first := staged[0]
	if err := d.Remove(first.name); err != nil {
		return err
	}
	if err := d.fs.syncDir(first.folder); err != nil { // gone for good before the others change
		return fmt.Errorf("store: %w", err)
	}
	for _, s := range staged[1:] {
		if err := s.Commit(); err != nil {
			return err
		}
	}
	return first.Commit()
}

func abort(staged []*Staged) error {
	var errs []error
	for _, s := range staged {
		errs = append(errs, s.Abort())
	}
	return errors.Join(errs...)
}
