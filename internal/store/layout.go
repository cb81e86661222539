package store

import (
	"bytes"
	"fmt"
	"io"

	"coar/internal/fault"
	"coar/internal/npy"
)

// The four files of a set of rows, in the order in which they are created and grown: a row can only be marked completed
// once the other three have room for it.
const (
	masksFile = iota
	marginsFile
	checksumsFile
	completedFile
	nRowFiles
)

// dataOffset is where the elements start in the files that coar writes: their headers have at most two dimensions.
const dataOffset = 128

// checksumBytes is the size of one row of _checksums.npy: the CRC32C of its keep-row and that of its margins.
const checksumBytes = 8

// layout is the shape and type of a set of rows.
type layout struct {
	nRows, nComponents, nExamples int
	margins                       npy.DType // Float16 or Float32
}

// array says what one of the four files is.
type array struct {
	name   string // relative to the run, with slashes
	dtype  npy.DType
	rowLen int // elements per row; 0 for an array of one dimension
}

// arrays lists the four files.
func (l layout) arrays(names rowNames) [nRowFiles]array {
	return [nRowFiles]array{
		masksFile:     {names.masks, npy.Bool, l.nComponents},
		marginsFile:   {names.margins, l.margins, l.nExamples},
		checksumsFile: {names.checksums, npy.Uint32, 2},
		completedFile: {names.completed, npy.Bool, 0},
	}
}

// shape is the array's shape with nRows rows.
func (a array) shape(nRows int) []int {
	if a.rowLen == 0 {
		return []int{nRows}
	}
	return []int{nRows, a.rowLen}
}

// rowBytes is the size of one row.
func (a array) rowBytes() int { return max(a.rowLen, 1) * a.dtype.Size() }

// offset is where a row starts in the file.
func (a array) offset(row int) int64 { return dataOffset + int64(row)*int64(a.rowBytes()) }

// inspect checks that f is the array a, wholly grown or caught while growing: headerRows is what its header says,
// sizeRows what its size has room for, never less.
//
// Errors: fault.Malformed naming the file.
func (a array) inspect(dir string, f file) (headerRows, sizeRows int, err error) {
	path := inRun(dir, a.name)
	size, err := f.size()
	if err != nil {
		return 0, 0, fmt.Errorf("store: %s: %w", path, err)
	}
	h, err := npy.ParseHeaderPrefix(f, size)
	if err != nil {
		return 0, 0, fault.InFile(path, "%w", err)
	}
	headerRows = h.Rows()
	same, err := a.hasHeader(f, headerRows)
	if err != nil {
		return 0, 0, fmt.Errorf("store: %s: %w", path, err)
	}
	switch {
	case h.DType != a.dtype || h.FortranOrder || npy.FormatShape(h.Shape) != npy.FormatShape(a.shape(headerRows)):
		return 0, 0, fault.InFile(path, "the array is %s %s, expected %s of %s", h.DType, npy.FormatShape(h.Shape), a.dtype, a.expected())
	case !same:
		return 0, 0, fault.InFile(path, "the header is not the one that coar writes for this array")
	case size < h.FileBytes() || (size-dataOffset)%int64(a.rowBytes()) != 0:
		return 0, 0, fault.InFile(path, "the header promises %d rows, which make %d bytes; the file has %d", headerRows, h.FileBytes(), size)
	}
	return headerRows, int((size - dataOffset) / int64(a.rowBytes())), nil
}

// hasHeader reports whether f starts with exactly the header of a with nRows rows.
func (a array) hasHeader(f file, nRows int) (bool, error) {
	want, err := npy.EncodeHeader(a.dtype, a.shape(nRows))
	if err != nil {
		return false, err
	}
	have := make([]byte, len(want))
	if _, err := f.ReadAt(have, 0); err != nil && err != io.EOF {
		return false, err
	}
	return len(want) == dataOffset && bytes.Equal(have, want), nil
}

// expected words the array's shape for errors.
func (a array) expected() string {
	if a.rowLen == 0 {
		return "one value per row"
	}
	return fmt.Sprintf("rows of %d", a.rowLen)
}
