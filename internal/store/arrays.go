package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"coar/internal/fault"
	"coar/internal/npy"
)

// Arrays reads keep-rows and margins: of a run, of its evaluation rows, or of a bare directory made elsewhere. What it
// reads is checked: keep values are 0 or 1, margins finite and, where the directory has checksums, whole rows match them.
// Only completed rows can be read. Its methods may be called concurrently.
type Arrays struct {
	manifest  *Manifest // nil for a bare directory
	split     string    // empty for evaluation rows
	masks     *npy.File // bool or uint8 [rows, nComponents]
	margins   *npy.File // float16 or float32 [rows, nExamples]
	completed []bool    // [nRows]
	sums      []byte    // _checksums.npy's elements, nil where there are none
	files     []file    // what Close closes
}

// Manifest is the run's manifest, nil for a bare directory. It must not be modified.
func (a *Arrays) Manifest() *Manifest { return a.manifest }

// Split is the split whose margins these are, empty for evaluation rows.
func (a *Arrays) Split() string { return a.split }

// NRows is the number of rows, completed or not.
func (a *Arrays) NRows() int { return len(a.completed) }

// NComponents is the length of a keep-row.
func (a *Arrays) NComponents() int { return a.masks.Header().RowLen() }

// NExamples is the number of margins in a row.
func (a *Arrays) NExamples() int { return a.margins.Header().RowLen() }

// CompletedRows lists the completed rows in order. The result is the caller's own.
func (a *Arrays) CompletedRows() []int {
	rows := make([]int, 0, len(a.completed))
	for row, done := range a.completed {
		if done {
			rows = append(rows, row)
		}
	}
	return rows
}

// Close closes the files.
func (a *Arrays) Close() error {
	var errs []error
	for _, f := range a.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// KeepRow reads one keep-row into dst, [nComponents] bytes: 1 = kept, 0 = ablated.
//
// Errors: fault.Malformed naming file and row; an ordinary error for a row that is not completed.
func (a *Arrays) KeepRow(row int, dst []byte) error {
	if err := a.checkCompleted(row); err != nil {
		return err
	}
	if err := a.masks.ReadRowsBool(row, 1, dst); err != nil {
		return err
	}
	return a.checkSum(a.masks, row, 0, dst)
}

// readBytes bounds the buffer that margins are read through, unless one row is larger.
const readBytes = 1 << 20

// Margins reads the margins of examples [first, last) in the given rows.
//
// Shape:  dst [len(rows), last-first], in logits.
// Cost:   one read for each run of consecutive rows (up to 1 MiB) if all examples are asked for, otherwise one for each row.
// Errors: fault.Malformed naming file, row and example; an ordinary error for a row that is not completed.
func (a *Arrays) Margins(rows []int, first, last int, dst []float32) error {
	n := a.NExamples()
	if first < 0 || last < first || last > n || len(dst) != len(rows)*(last-first) {
		return fmt.Errorf("store: %s: examples [%d, %d) of %d asked for, for %d rows into %d values",
			a.margins.Name(), first, last, n, len(rows), len(dst))
	}
	for _, row := range rows {
		if err := a.checkCompleted(row); err != nil {
			return err
		}
	}
	width := last - first
	if width == 0 {
		return nil
	}
	if width < n {
		return a.windows(rows, first, width, dst)
	}
	step := max(1, readBytes/(n*a.margins.Header().DType.Size()))
	for len(rows) > 0 {
		k := 1
		for k < len(rows) && k < step && rows[k] == rows[k-1]+1 {
			k++
		}
		if err := a.wholeRows(rows[0], k, dst[:k*n]); err != nil {
			return err
		}
		rows, dst = rows[k:], dst[k*n:]
	}
	return nil
}

// windows reads width examples from number first on in each row.
func (a *Arrays) windows(rows []int, first, width int, dst []float32) error {
	for i, row := range rows {
		values := dst[i*width : (i+1)*width]
		if err := a.margins.ReadFloat32(row*a.NExamples()+first, values); err != nil {
			return err
		}
		if e := npy.FirstNotFinite(values); e >= 0 {
			return a.notFinite(row, first+e, values[e])
		}
	}
	return nil
}

// wholeRows reads n consecutive rows.
func (a *Arrays) wholeRows(first, n int, dst []float32) error {
	h := a.margins.Header()
	raw := make([]byte, len(dst)*h.DType.Size())
	if err := a.margins.ReadRows(first, n, raw); err != nil {
		return err
	}
	rowBytes := h.RowLen() * h.DType.Size()
	for i := range n {
		if err := a.checkSum(a.margins, first+i, 1, raw[i*rowBytes:(i+1)*rowBytes]); err != nil {
			return err
		}
	}
	npy.DecodeFloat32(dst, h.DType, raw)
	if i := npy.FirstNotFinite(dst); i >= 0 {
		return a.notFinite(first+i/h.RowLen(), i%h.RowLen(), dst[i])
	}
	return nil
}

// Check reads every completed row once, whole, and so finds any damage that reading finds.
func (a *Arrays) Check() error {
	var keep []byte
	var margins []float32
	for row, done := range a.completed {
		if !done {
			continue
		}
		if keep == nil { // not before: a row's bytes show that there are so many components and examples
			keep, margins = make([]byte, a.NComponents()), make([]float32, a.NExamples())
		}
		if err := a.KeepRow(row, keep); err != nil {
			return err
		}
		if err := a.wholeRows(row, 1, margins); err != nil {
			return err
		}
	}
	return nil
}

// checkCompleted fails for a row that is not there to be read.
func (a *Arrays) checkCompleted(row int) error {
	if row < 0 || row >= len(a.completed) || !a.completed[row] {
		return fmt.Errorf("store: %s: row %d is not completed", a.masks.Name(), row)
	}
	return nil
}

// rowSums is the bytes of one row of _checksums.npy: the CRC32C of its keep-row and that of its margins.
const rowSums = 8

// checkSum checks a row's bytes against its checksum, the which-th of the row's two.
func (a *Arrays) checkSum(f *npy.File, row, which int, raw []byte) error {
	if a.sums == nil || crc32.Checksum(raw, castagnoli) == binary.LittleEndian.Uint32(a.sums[row*rowSums+4*which:]) {
		return nil
	}
	return fault.InFile(f.Name(), "row %d does not match its checksum; restore the file from a copy or start the run again", row)
}

// notFinite is the error for a margin on disk that is not finite.
func (a *Arrays) notFinite(row, example int, v float32) error {
	name := ""
	if a.manifest != nil {
		name = fmt.Sprintf(" (%s)", a.manifest.ExampleIDs[example])
	}
	return fault.InFile(a.margins.Name(), "row %d, example %d%s: the margin is %v", row, example, name, v)
}
