package store

import (
	"errors"
	"fmt"
	"slices"

	"coar/internal/npy"
)

// Rows is a set of rows being measured: keep-rows, their margins, a checksum of each, and which are completed.
// Its methods may be called concurrently.
type Rows struct {
	*units
	ids []string // of the examples, for errors; nil where unknown
}

// NComponents is the length of a keep-row.
func (r *Rows) NComponents() int { return r.layout.files[masksFile].rowLen }

// NExamples is the number of margins in a row.
func (r *Rows) NExamples() int { return r.layout.files[marginsFile].rowLen }

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
	encoded, err := r.encodeMargins(first, margins)
	if err != nil {
		return err
	}
	return r.units.commit(first, n, keep, encoded)
}

// checkCommit checks a commit's sizes and keep values and returns its number of rows.
func (r *Rows) checkCommit(keep []byte, margins []float32) (int, error) {
	p, n := r.NComponents(), r.NExamples()
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
	n, dtype := r.NExamples(), r.layout.files[marginsFile].dtype
	if i := npy.FirstNotFinite(margins); i >= 0 {
		return nil, fmt.Errorf("row %d, example %s: the margin is %v", first+i/n, r.example(i%n), margins[i])
	}
	b := make([]byte, 0, len(margins)*dtype.Size())
	if dtype == npy.Float32 {
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
