package store

import (
	"bytes"
	"fmt"
	"io"

	"coar/internal/fault"
	"coar/internal/npy"
)

// dataOffset is where the elements start in the files that coar writes: their headers have at most two dimensions.
const dataOffset = 128

// layout is a set of units of work on the disk: rows measured, or examples with their gradient sums. Each file has one row
// for every unit. They stand in the order in which they are created and grown: data first, then the checksums, then the
// flags, so that a unit can only be marked completed once all other files have room for it.
type layout struct {
	nRows int
	files []array
	unit  string // what the rows of the files are: rows or examples
}

// newLayout adds checksums, one of each data file's row, and completed flags to the data files.
func newLayout(nRows int, checksums, completed string, data ...array) layout {
	files := append(data, array{checksums, npy.Uint32, len(data), anyValue}, array{completed, npy.Bool, 0, anyValue})
	return layout{nRows, files, "rows"}
}

// nData is how many of the files hold data.
func (l layout) nData() int { return len(l.files) - 2 }

// checksums and completed are the places of those files in the list.
func (l layout) checksums() int { return len(l.files) - 2 }
func (l layout) completed() int { return len(l.files) - 1 }

// names lists the files, relative to the run, with slashes.
func (l layout) names() []string {
	names := make([]string, len(l.files))
	for i, a := range l.files {
		names[i] = a.name
	}
	return names
}

// rowBytes is what one unit takes in all files.
func (l layout) rowBytes() int {
	n := 0
	for _, a := range l.files {
		n += a.rowBytes()
	}
	return n
}

// values says which elements an array may have.
type values int

const (
	anyValue  values = iota
	keepValue        // 0 or 1
	finite           // a float that is finite
)

// array says what one file of a layout is.
type array struct {
	name   string // relative to the run, with slashes
	dtype  npy.DType
	rowLen int // elements per row; 0 for an array of one dimension
	values values
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
