package store

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"

	"coar/internal/fault"
	"coar/internal/npy"
)

// openForWriting opens a set of units for writing: it checks what is there, down to the checksum of every completed row, then
// creates missing files and finishes a growth that was cut short. With grow, the set gets at least l.nRows rows and keeps
// more if it has them; without, having more is an error.
//
// Cost: reads all completed rows once. Errors: fault.Malformed naming file and row; those of the disk.
func openForWriting(d *Dir, l layout, grow bool) (_ *units, err error) {
	u := &units{dir: d, layout: l, files: make([]file, len(l.files))}
	defer func() {
		if err != nil {
			err = errors.Join(err, u.close())
		}
	}()
	headerRows := make([]int, len(l.files))
	for i, a := range l.files {
		f, err := d.fs.open(inRun(d.path, a.name), true)
		switch {
		case isMissing(err) && d.isSealed(a.name):
			return nil, &fault.Error{Kind: fault.Malformed, File: inRun(d.path, a.name), Err: goneError(a.name)}
		case isMissing(err):
			continue
		case err != nil:
			return nil, fmt.Errorf("store: %w", err)
		}
		u.files[i] = f
		var sizeRows int
		if headerRows[i], sizeRows, err = a.inspect(d.path, f); err != nil {
			return nil, err
		}
		if grow {
			u.layout.nRows = max(u.layout.nRows, sizeRows)
		} else if sizeRows > l.nRows {
			return nil, fault.InFile(inRun(d.path, a.name), "the file has %d rows, run.json says %d", sizeRows, l.nRows)
		}
	}
	s := unitFiles{dir: d.path, layout: u.layout, files: u.files, headerRows: headerRows}
	if u.completed, err = s.flags(); err != nil {
		return nil, err
	}
	if err := s.check(u.completed, func(p Problem) error { return p.err(d.path) }); err != nil {
		return nil, err
	}
	return u, u.extend(headerRows)
}

// grow adds rows until there are nRows.
func (u *units) grow(nRows int) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.broken != nil {
		return fmt.Errorf("store: add rows: an earlier write failed: %w", u.broken)
	}
	if nRows <= u.layout.nRows {
		return nil
	}
	have := u.layout.nRows
	u.layout.nRows = nRows
	u.broken = u.extend(slices.Repeat([]int{have}, len(u.files)))
	return u.broken
}

// extend creates the files that are missing and gives the others, which have headerRows rows, all of their rows. Each
// step is synced before the next, so that a file whose header is new has its new size and a row that has a flag has room
// in every file.
func (u *units) extend(headerRows []int) error {
	l := u.layout
	for i, a := range l.files {
		if u.files[i] != nil && headerRows[i] == l.nRows {
			continue
		}
		if err := u.dir.unseal(l.names()...); err != nil {
			return err
		}
		if u.files[i] == nil {
			if err := u.create(i, a); err != nil {
				return fmt.Errorf("store: create %s: %w", inRun(u.dir.path, a.name), err)
			}
			continue
		}
		err := u.files[i].Truncate(a.offset(l.nRows))
		if err == nil {
			err = u.files[i].Sync()
		}
		if err == nil {
			_, err = npy.WriteHeader(u.files[i], a.dtype, a.shape(l.nRows)...)
		}
		if err == nil {
			err = u.files[i].Sync()
		}
		if err != nil {
			return fmt.Errorf("store: add rows to %s: %w", inRun(u.dir.path, a.name), err)
		}
	}
	u.completed = append(u.completed, make([]bool, l.nRows-len(u.completed))...)
	return nil
}

// create makes one of the files with all of its rows, sparse, and opens it.
func (u *units) create(i int, a array) (err error) {
	folder := filepath.Join(u.dir.path, filepath.FromSlash(path.Dir(a.name)))
	if err := makeDir(u.dir.fs, folder); err != nil {
		return err
	}
	err = writeAtomic(u.dir.fs, folder, path.Base(a.name), func(f file) error {
		_, err := npy.NewWriter(a.name, f, a.dtype, a.shape(u.layout.nRows)...)
		return err
	})
	if err == nil {
		u.files[i], err = u.dir.fs.open(inRun(u.dir.path, a.name), true)
	}
	return err
}

// openUnits opens the files of a layout for reading; at most l.nRows rows are expected. The files are the caller's to
// close, also after an error.
func openUnits(fsys fileSystem, dir string, l layout, command string) (opened []*npy.File, s unitFiles, err error) {
	s = unitFiles{dir: dir, layout: l, headerRows: make([]int, len(l.files))}
	for i, spec := range l.files {
		f, err := fsys.open(inRun(dir, spec.name), false)
		if isMissing(err) {
			return nil, s, gone(fsys, dir, spec.name, fault.Missingf("%s has no %s; run %s first", dir, spec.name, command))
		}
		if err != nil {
			return nil, s, fmt.Errorf("store: %w", err)
		}
		s.files = append(s.files, f)
		if s.headerRows[i], _, err = spec.inspect(dir, f); err != nil {
			return nil, s, err
		}
		if s.headerRows[i] > l.nRows {
			return nil, s, fault.InFile(inRun(dir, spec.name), "the file has %d rows, at most %d are expected", s.headerRows[i], l.nRows)
		}
		array, err := npy.NewFile(inRun(dir, spec.name), f, spec.offset(s.headerRows[i]))
		if err != nil {
			return nil, s, err
		}
		opened = append(opened, array)
	}
	return opened, s, nil
}
