package store

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"

	"coar/internal/fault"
	"coar/internal/npy"
)

// openRows opens a set of rows for writing: it checks what is there, down to the checksum of every completed row, then
// creates missing files and finishes a growth that was cut short. With grow, the set gets at least l.nRows rows and keeps
// more if it has them; without, having more is an error.
//
// Cost: reads all completed rows once. Errors: fault.Malformed naming file and row; those of the disk.
func openRows(d *Dir, names rowNames, l layout, ids []string, grow bool) (_ *Rows, err error) {
	r := &Rows{dir: d, names: names, layout: l, ids: ids}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	var headerRows [nRowFiles]int
	for i, a := range l.arrays(names) {
		f, err := d.fs.open(inRun(d.path, a.name), true)
		switch {
		case isMissing(err) && d.isSealed(a.name):
			return nil, fault.InFile(inRun(d.path, a.name), "the file is gone, but checksums.json lists it as finished; restore it from a copy")
		case isMissing(err):
			continue
		case err != nil:
			return nil, fmt.Errorf("store: %w", err)
		}
		r.files[i] = f
		var sizeRows int
		if headerRows[i], sizeRows, err = a.inspect(d.path, f); err != nil {
			return nil, err
		}
		if grow {
			r.layout.nRows = max(r.layout.nRows, sizeRows)
		} else if sizeRows > l.nRows {
			return nil, fault.InFile(inRun(d.path, a.name), "the file has %d rows, run.json says %d", sizeRows, l.nRows)
		}
	}
	s := rowSet{dir: d.path, layout: r.layout, names: names, files: r.files, headerRows: headerRows}
	if r.completed, err = s.flags(); err != nil {
		return nil, err
	}
	if err := s.check(r.completed, func(p Problem) error { return p.err(d.path) }); err != nil {
		return nil, err
	}
	return r, r.extend(headerRows)
}

// grow adds rows until there are nRows.
func (r *Rows) grow(nRows int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken != nil {
		return fmt.Errorf("store: add rows: an earlier write failed: %w", r.broken)
	}
	if nRows <= r.layout.nRows {
		return nil
	}
	have := r.layout.nRows
	r.layout.nRows = nRows
	r.broken = r.extend([nRowFiles]int{have, have, have, have})
	return r.broken
}

// extend creates the files that are missing and gives the others, which have headerRows rows, all of their rows. Each
// step is synced before the next, so that a file whose header is new has its new size and a row that has a flag has room
// in every file.
func (r *Rows) extend(headerRows [nRowFiles]int) error {
	l := r.layout
	for i, a := range l.arrays(r.names) {
		if r.files[i] != nil && headerRows[i] == l.nRows {
			continue
		}
		if err := r.dir.unseal(r.names.list()...); err != nil {
			return err
		}
		if r.files[i] == nil {
			if err := r.create(i, a); err != nil {
				return fmt.Errorf("store: create %s: %w", inRun(r.dir.path, a.name), err)
			}
			continue
		}
		err := r.files[i].Truncate(a.offset(l.nRows))
		if err == nil {
			err = r.files[i].Sync()
		}
		if err == nil {
			_, err = npy.WriteHeader(r.files[i], a.dtype, a.shape(l.nRows)...)
		}
		if err == nil {
			err = r.files[i].Sync()
		}
		if err != nil {
			return fmt.Errorf("store: add rows to %s: %w", inRun(r.dir.path, a.name), err)
		}
	}
	r.completed = append(r.completed, make([]bool, l.nRows-len(r.completed))...)
	return nil
}

// create makes one of the files with all of its rows, sparse, and opens it.
func (r *Rows) create(i int, a array) (err error) {
	folder := filepath.Join(r.dir.path, filepath.FromSlash(path.Dir(a.name)))
	if err := makeDir(r.dir.fs, folder); err != nil {
		return err
	}
	err = writeAtomic(r.dir.fs, folder, path.Base(a.name), func(f file) error {
		_, err := npy.NewWriter(a.name, f, a.dtype, a.shape(r.layout.nRows)...)
		return err
	})
	if err == nil {
		r.files[i], err = r.dir.fs.open(inRun(r.dir.path, a.name), true)
	}
	return err
}
