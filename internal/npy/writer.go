package npy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// Target is what a Writer writes to: an *os.File, or a store's own file.
type Target interface {
	io.WriterAt
	Truncate(size int64) error
}

// Writer fills a .npy file of known type and shape. Rows may come in any order; those never written are zero.
// Its methods may be called concurrently, except Grow.
type Writer struct {
	name   string
	t      Target
	header Header
}

// Create creates or empties the file at path and prepares it for an array of this type and shape, its full size set.
// The result's Close syncs and closes it. For replacing a file atomically, write to another name and rename it.
func Create(path string, dtype DType, shape ...int) (*FileWriter, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("npy: %w", err)
	}
	w, err := NewWriter(path, f, dtype, shape...)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &FileWriter{Writer: w, f: f}, nil
}

// FileWriter is a Writer that owns its file.
type FileWriter struct {
	*Writer
	f *os.File
}

// Sync forces what was written to the disk.
func (w *FileWriter) Sync() error { return w.f.Sync() }

// Close syncs and closes the file.
func (w *FileWriter) Close() error { return errors.Join(w.f.Sync(), w.f.Close()) }

// NewWriter writes a header to t and sets t's size to that of the whole array; name is what errors call the file.
func NewWriter(name string, t Target, dtype DType, shape ...int) (*Writer, error) {
	h, b, err := newHeader(dtype, shape)
	if err != nil {
		return nil, err
	}
	w := &Writer{name: name, t: t, header: h}
	if err := w.start(b); err != nil {
		return nil, err
	}
	return w, nil
}

// start sets the file's size, then writes its header.
func (w *Writer) start(header []byte) error {
	if err := w.t.Truncate(w.header.FileBytes()); err != nil {
		return fmt.Errorf("npy: %s: set size: %w", w.name, err)
	}
	if _, err := w.t.WriteAt(header, 0); err != nil {
		return fmt.Errorf("npy: %s: write header: %w", w.name, err)
	}
	return nil
}

// Header describes the array being written; its Shape must not be modified.
func (w *Writer) Header() Header { return w.header }

// Grow adds rows until there are nRows, by setting the file's size and then rewriting the header in place.
//
// Errors: fewer rows than there are; a scalar; those of the file.
func (w *Writer) Grow(nRows int) error {
	if len(w.header.Shape) == 0 || nRows < w.header.Shape[0] {
		return fmt.Errorf("npy: %s: an array of shape %s cannot grow to %d rows", w.name, FormatShape(w.header.Shape), nRows)
	}
	shape := append([]int{nRows}, w.header.Shape[1:]...)
	h, b, err := newHeader(w.header.DType, shape)
	if err != nil {
		return err
	}
	w.header = h
	return w.start(b)
}

// WriteRows writes whole rows from row number first on, as they will be in the file.
func (w *Writer) WriteRows(first int, raw []byte) error {
	rowBytes := w.header.RowLen() * w.header.DType.Size()
	if rowBytes == 0 {
		if len(raw) > 0 {
			return fmt.Errorf("npy: %s: %d bytes for rows that hold none", w.name, len(raw))
		}
		return nil
	}
	n, rows := len(raw)/rowBytes, w.header.Rows()
	if len(raw)%rowBytes != 0 {
		return fmt.Errorf("npy: %s: %d bytes are not whole rows of %d", w.name, len(raw), rowBytes)
	}
	if first < 0 || first > rows || n > rows-first {
		return fmt.Errorf("npy: %s: rows [%d, %d) do not fit %s", w.name, first, first+n, FormatShape(w.header.Shape))
	}
	if _, err := w.t.WriteAt(raw, w.header.DataOffset+int64(first)*int64(rowBytes)); err != nil {
		return fmt.Errorf("npy: %s: write at row %d: %w", w.name, first, err)
	}
	return nil
}

// WriteRowsFloat32 writes whole rows from row number first on to an array of float32 or float16.
//
// Errors: RangeError for a finite value beyond float16's range (nothing is written then); a type that is not one of these.
func (w *Writer) WriteRowsFloat32(first int, values []float32) error {
	raw := make([]byte, 0, len(values)*w.header.DType.Size())
	switch w.header.DType {
	case Float32:
		raw = AppendFloat32(raw, values)
	case Float16:
		var err error
		if raw, err = AppendFloat16(raw, values); err != nil {
			return fmt.Errorf("npy: %s: write at row %d: %w", w.name, first, err)
		}
	default:
		return fmt.Errorf("npy: %s: floats cannot be written to an array of %s", w.name, w.header.DType)
	}
	return w.WriteRows(first, raw)
}

// WriteRowsInt32 writes whole rows from row number first on to an array of int32.
func (w *Writer) WriteRowsInt32(first int, values []int32) error {
	if w.header.DType != Int32 {
		return fmt.Errorf("npy: %s: int32 cannot be written to an array of %s", w.name, w.header.DType)
	}
	raw := make([]byte, 0, 4*len(values))
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint32(raw, uint32(v))
	}
	return w.WriteRows(first, raw)
}

// WriteHeader overwrites the header at the start of t in place and returns where the elements start; t's size is not
// touched. The header of an array that has only grown in dimension 0 has the same length as before.
func WriteHeader(t io.WriterAt, dtype DType, shape ...int) (int64, error) {
	h, b, err := newHeader(dtype, shape)
	if err != nil {
		return 0, err
	}
	if _, err := t.WriteAt(b, 0); err != nil {
		return 0, fmt.Errorf("npy: write header: %w", err)
	}
	return h.DataOffset, nil
}
