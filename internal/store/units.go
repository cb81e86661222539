package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"sync"
)

// units are a set of units of work being done: the files of a layout, open for writing. Its methods may be called
// concurrently.
type units struct {
	dir *Dir

	mu        sync.Mutex
	layout    layout // nRows grows, the rest is fixed
	files     []file // as in layout
	completed []bool
	broken    error // the write that failed; nothing is written after it
}

// NRows is the number of units, completed or not.
func (u *units) NRows() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.layout.nRows
}

// Files names the set's files relative to the run, as Seal takes them.
func (u *units) Files() []string { return u.layout.names() }

// Completed says of each unit whether it is completed. The result is the caller's own.
func (u *units) Completed() []bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.completed)
}

// commit stores n consecutive units from number first on, as the data files hold them, and marks them completed, durably:
// data and checksums are written and synced before the flags, so that after a crash at any moment a unit that counts as
// completed is whole.
func (u *units) commit(first, n int, data ...[]byte) error {
	encoded := append(data, checksumRows(n, data), slices.Repeat([]byte{1}, n))
	u.mu.Lock()
	defer u.mu.Unlock()
	if first < 0 || n > u.layout.nRows-first {
		return fmt.Errorf("there are %d rows, rows [%d, %d) were given", u.layout.nRows, first, first+n)
	}
	if u.broken != nil {
		return fmt.Errorf("an earlier write failed: %w", u.broken)
	}
	if i := slices.Index(u.completed[first:first+n], true); i >= 0 {
		return fmt.Errorf("row %d is completed already", first+i)
	}
	if u.broken = u.write(first, encoded); u.broken != nil {
		return u.broken
	}
	for i := range n {
		u.completed[first+i] = true
	}
	return nil
}

// write puts encoded units on the disk, u.mu held: everything but the flags, each synced, then the flags.
func (u *units) write(first int, encoded [][]byte) error {
	if err := u.dir.unseal(u.layout.names()...); err != nil {
		return err
	}
	for i, a := range u.layout.files {
		if _, err := u.files[i].WriteAt(encoded[i], a.offset(first)); err != nil {
			return fmt.Errorf("%s: %w", inRun(u.dir.path, a.name), err)
		}
		if err := u.files[i].Sync(); err != nil {
			return fmt.Errorf("%s: sync: %w", inRun(u.dir.path, a.name), err)
		}
	}
	return nil
}

// castagnoli is the polynomial of the units' checksums.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksumRows returns n rows of _checksums.npy: for each unit one CRC32C of its row in every data file.
func checksumRows(n int, data [][]byte) []byte {
	sums := make([]byte, 0, n*4*len(data))
	for i := range n {
		for _, b := range data {
			size := len(b) / n
			sums = binary.LittleEndian.AppendUint32(sums, crc32.Checksum(b[i*size:(i+1)*size], castagnoli))
		}
	}
	return sums
}

func (u *units) close() error {
	var errs []error
	for _, f := range u.files {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}
