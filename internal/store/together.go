package store

import (
	"errors"
	"io"
	"path"
)

// File is a file to be written, and what writes it.
type File struct {
	Name string // without its folder
	Fill func(w io.Writer) error
}

// WriteTogether replaces one or more files of one folder, which is relative to the directory, with slashes, as CommitTogether does.
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
	return d.CommitTogether(nil, staged[0], staged[1:]...)
}

// CommitTogether puts results under their names, the first of which is what the others are read with: wherever a kill or the
// power stops this, it is either not there or beside those that it was written with. Stale results rest on the earlier ones
// and are removed.
//
// All are finished before anything of the earlier ones goes, so an error until then, such as a full disk, leaves these as
// they were.
func (d *Dir) CommitTogether(stale []string, first *Staged, others ...*Staged) error {
	if err := d.commitTogether(stale, first, others); err != nil {
		return errors.Join(err, first.Abort(), abort(others))
	}
	return nil
}

func (d *Dir) commitTogether(stale []string, first *Staged, others []*Staged) error {
	for _, s := range append([]*Staged{first}, others...) {
		if err := s.Finish(); err != nil {
			return err
		}
	}
	for _, name := range append([]string{first.name}, stale...) { // gone for good before the others change
		if err := d.Remove(name); err != nil {
			return err
		}
	}
	for _, s := range others {
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
