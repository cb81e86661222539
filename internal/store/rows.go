package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"sync"

	"coar/internal/npy"
)

// Rows is a set of rows being measured: keep-rows, their margins, a checksum of each, and which are completed.
// Its methods may be called concurrently.
type Rows struct {
	dir   *Dir
	names rowNames
	ids   []string // of the examples, for errors; nil where unknown

	mu        sync.Mutex
	layout    layout // nRows grows, the rest is fixed
	files     [nRowFiles]file
	completed []bool
	broken    error // the write that failed; nothing is written after it
}

// NRows is the number of rows, completed or not.
func (r *Rows) NRows() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.layout.nRows
}

// NComponents is the length of a keep-row.
func (r *Rows) NComponents() int { return r.layout.nComponents }

// NExamples is the number of margins in a row.
func (r *Rows) NExamples() int { return r.layout.nExamples }

// Files names the set's files relative to the run, as Seal takes them.
func (r *Rows) Files() []string { return r.names.list() }

// Completed says of each row whether it is completed. The result is the caller's own.
func (r *Rows) Completed() []bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.completed)
}

// Commit stores consecutive rows from row number first on and marks them completed, durably.
//
// Shape:  keep [rows, nComponents], bytes 1 = kept and 0 = ablated; margins [rows, nExamples], in logits. Neither is kept.
// Order:  keep, margins and checksums are written and synced before the completed flags, so that after a crash at any
// moment a row that counts as completed is whole. Rows may be committed in any order.
// Errors: a margin that is not finite or is beyond float16 where that is the type on disk, naming row and example; a row
// that is completed already; those of the disk, after which the set takes no more rows but can be opened again and resumed.
func (r *Rows) Commit(first int, keep []byte, margins []float32) error {
	if err := r.commit(first, keep, margins); err != nil {
		return fmt.Errorf("store: commit rows from %d: %w", first, err)
	}
	return nil
}

func (r *Rows) commit(first int, keep []byte, margins []float32) error {
	n, err := r.checkCommit(keep, margins)
	if err != nil || n == 0 {
		return err
	}
	var encoded [nRowFiles][]byte
	encoded[masksFile] = keep
	if encoded[marginsFile], err = r.encodeMargins(first, margins); err != nil {
		return err
	}
	encoded[checksumsFile] = checksumRows(n, keep, encoded[marginsFile])
	encoded[completedFile] = slices.Repeat([]byte{1}, n)

	r.mu.Lock()
	defer r.mu.Unlock()
	if first < 0 || n > r.layout.nRows-first {
		return fmt.Errorf("there are %d rows, rows [%d, %d) were given", r.layout.nRows, first, first+n)
	}
	if r.broken != nil {
		return fmt.Errorf("an earlier write failed: %w", r.broken)
	}
	if i := slices.Index(r.completed[first:first+n], true); i >= 0 {
		return fmt.Errorf("row %d is completed already", first+i)
	}
	if r.broken = r.write(first, encoded); r.broken != nil {
		return r.broken
	}
	for i := range n {
		r.completed[first+i] = true
	}
	return nil
}

// checkCommit checks a commit's sizes and keep values and returns its number of rows.
func (r *Rows) checkCommit(keep []byte, margins []float32) (int, error) {
	p, n := r.layout.nComponents, r.layout.nExamples
	rows := len(keep) / p
	if len(keep) != rows*p || len(margins) != rows*n {
		return 0, fmt.Errorf("%d keep values and %d margins are not rows of %d and %d", len(keep), len(margins), p, n)
	}
	if i := slices.IndexFunc(keep, func(b byte) bool { return b > 1 }); i >= 0 {
		return 0, fmt.Errorf("keep value %d is neither 0 nor 1", keep[i])
	}
	return rows, nil
}

// encodeMargins turns margins into the bytes on disk.
func (r *Rows) encodeMargins(first int, margins []float32) ([]byte, error) {
	n := r.layout.nExamples
	if i := npy.FirstNotFinite(margins); i >= 0 {
		return nil, fmt.Errorf("row %d, example %s: the margin is %v", first+i/n, r.example(i%n), margins[i])
	}
	b := make([]byte, 0, len(margins)*r.layout.margins.Size())
	if r.layout.margins == npy.Float32 {
		return npy.AppendFloat32(b, margins), nil
	}
	b, err := npy.AppendFloat16(b, margins)
	var beyond *npy.RangeError
	if errors.As(err, &beyond) {
		i := beyond.Index
		return nil, fmt.Errorf("row %d, example %s: %w; start a run with --dtype float32", first+i/n, r.example(i%n), err)
	}
	return b, err
}

// example describes an example in an error.
func (r *Rows) example(e int) string {
	if r.ids == nil {
		return fmt.Sprint(e)
	}
	return fmt.Sprintf("%d (%s)", e, r.ids[e])
}

// write puts encoded rows on the disk, r.mu held: everything but the flags, each synced, then the flags.
func (r *Rows) write(first int, encoded [nRowFiles][]byte) error {
	if err := r.dir.unseal(r.names.list()...); err != nil {
		return err
	}
	for i, a := range r.layout.arrays(r.names) {
		if _, err := r.files[i].WriteAt(encoded[i], a.offset(first)); err != nil {
			return fmt.Errorf("%s: %w", inRun(r.dir.path, a.name), err)
		}
		if err := r.files[i].Sync(); err != nil {
			return fmt.Errorf("%s: sync: %w", inRun(r.dir.path, a.name), err)
		}
	}
	return nil
}

// castagnoli is the polynomial of the rows' checksums.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksumRows returns n rows of _checksums.npy, for as many keep-rows and encoded margins.
func checksumRows(n int, keep, margins []byte) []byte {
	sums := make([]byte, 0, n*checksumBytes)
	p, q := len(keep)/n, len(margins)/n
	for i := range n {
		sums = binary.LittleEndian.AppendUint32(sums, crc32.Checksum(keep[i*p:(i+1)*p], castagnoli))
		sums = binary.LittleEndian.AppendUint32(sums, crc32.Checksum(margins[i*q:(i+1)*q], castagnoli))
	}
	return sums
}

func (r *Rows) close() error {
	var errs []error
	for _, f := range r.files {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}
