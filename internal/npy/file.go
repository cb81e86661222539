package npy

import (
	"errors"
	"fmt"
	"io"
	"os"

	"coar/internal/fault"
)

// File is an open .npy file whose header has been checked. Its methods may be called concurrently.
type File struct {
	name   string
	r      io.ReaderAt
	close  func() error
	header Header
}

// Open opens the .npy file at path and checks its header against its size.
//
// Errors: fs.ErrNotExist and the like as the system reports them; fault.Malformed for what is not a .npy file that this
// package reads, column-major arrays included.
func Open(path string) (*File, error) {
	info, err := os.Stat(path) // before opening, which would block on a pipe
	if err != nil {
		return nil, fmt.Errorf("npy: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fault.InFile(path, "this is not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("npy: %w", err)
	}
	if info, err = f.Stat(); err != nil {
		return nil, errors.Join(fmt.Errorf("npy: %w", err), f.Close())
	}
	file, err := NewFile(path, f, info.Size())
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	file.close = f.Close
	return file, nil
}

// NewFile reads the .npy data in r, size bytes long; name is what errors call it. Closing r stays the caller's business.
func NewFile(name string, r io.ReaderAt, size int64) (*File, error) {
	h, err := ParseHeader(r, size)
	if err != nil {
		return nil, fault.InFile(name, "%w", err)
	}
	if h.FortranOrder && len(h.Shape) > 1 {
		return nil, fault.InFile(name, "the array is stored column by column; save numpy.ascontiguousarray of it")
	}
	return &File{name: name, r: r, close: func() error { return nil }, header: h}, nil
}

// Header is the file's header; its Shape must not be modified.
func (f *File) Header() Header { return f.header }

// Name is what errors call the file.
func (f *File) Name() string { return f.name }

// Close closes the file.
func (f *File) Close() error { return f.close() }

// CheckShape fails with fault.Malformed if the array has another shape; a negative size stands for any.
func (f *File) CheckShape(want ...int) error {
	have := f.header.Shape
	same := len(have) == len(want)
	for i := 0; same && i < len(want); i++ {
		same = want[i] < 0 || want[i] == have[i]
	}
	if !same {
		return fault.InFile(f.name, "the array has shape %s, expected %s", FormatShape(have), FormatShape(want))
	}
	return nil
}

// CheckDType fails with fault.Malformed unless the array's element type is one of want.
func (f *File) CheckDType(want ...DType) error {
	names := ""
	for i, d := range want {
		if d == f.header.DType {
			return nil
		}
		if i > 0 {
			names += " or "
		}
		names += d.String()
	}
	return fault.InFile(f.name, "the array has elements of type %s, expected %s", f.header.DType, names)
}

// ReadRows reads rows [first, first+n) as they are in the file; dst must hold exactly n rows.
func (f *File) ReadRows(first, n int, dst []byte) error {
	if err := f.checkRows(first, n, len(dst), f.header.DType.Size()); err != nil {
		return err
	}
	return f.read(first*f.header.RowLen(), dst)
}

// ReadRowsFloat32 is ReadFloat32 for rows [first, first+n); dst must hold exactly n rows.
func (f *File) ReadRowsFloat32(first, n int, dst []float32) error {
	if err := f.checkRows(first, n, len(dst), 1); err != nil {
		return err
	}
	return f.ReadFloat32(first*f.header.RowLen(), dst)
}

// ReadRowsInt64 is ReadInt64 for rows [first, first+n); dst must hold exactly n rows.
func (f *File) ReadRowsInt64(first, n int, dst []int64) error {
	if err := f.checkRows(first, n, len(dst), 1); err != nil {
		return err
	}
	return f.ReadInt64(first*f.header.RowLen(), dst)
}

// ReadRowsBool is ReadBool for rows [first, first+n); dst must hold exactly n rows.
func (f *File) ReadRowsBool(first, n int, dst []byte) error {
	if err := f.checkRows(first, n, len(dst), 1); err != nil {
		return err
	}
	return f.ReadBool(first*f.header.RowLen(), dst)
}

// ReadFloat32 reads len(dst) elements from element number first on, in C order, as float32.
//
// Floats of any size are read, and bool and integers of up to 16 bits, which float32 holds exactly. NaN and infinity
// pass (see FirstNotFinite); a finite float64 beyond float32's range is fault.Malformed.
func (f *File) ReadFloat32(first int, dst []float32) error {
	return readConverted(f, first, dst, float32Decoder(f.header.DType), "float32")
}

// ReadInt64 reads len(dst) elements from element number first on, in C order, as int64.
//
// Integers of any size are read, and bool as 0 and 1; a uint64 beyond int64's range is fault.Malformed.
func (f *File) ReadInt64(first int, dst []int64) error {
	return readConverted(f, first, dst, int64Decoder(f.header.DType), "int64")
}

// ReadBool reads len(dst) elements from element number first on, in C order, as bytes 0 and 1.
//
// Bool and uint8 are read; a value other than 0 and 1 is fault.Malformed.
func (f *File) ReadBool(first int, dst []byte) error {
	if err := f.CheckDType(Bool, Uint8); err != nil {
		return err
	}
	if err := f.read(first, dst); err != nil {
		return err
	}
	for i, v := range dst {
		if v > 1 {
			return fault.InFile(f.name, "element %d is %d where only 0 and 1 may stand", first+i, v)
		}
	}
	return nil
}

// chunkBytes is how much is read at a time for conversion.
const chunkBytes = 1 << 18

// readConverted reads elements [first, first+len(dst)) through decode, a chunk at a time.
func readConverted[T any](f *File, first int, dst []T, decode decoder[T], want string) error {
	if decode == nil {
		return fault.InFile(f.name, "elements of type %s cannot be read as %s", f.header.DType, want)
	}
	size := f.header.DType.Size()
	raw := make([]byte, min(len(dst)*size, chunkBytes))
	for len(dst) > 0 {
		n := min(len(dst), chunkBytes/size)
		if err := f.read(first, raw[:n*size]); err != nil {
			return err
		}
		if i := decode(dst[:n], raw); i < n {
			return fault.InFile(f.name, "element %d does not fit %s", first+i, want)
		}
		first, dst = first+n, dst[n:]
	}
	return nil
}

// read fills dst with the bytes of the elements from number first on.
func (f *File) read(first int, dst []byte) error {
	size := f.header.DType.Size()
	if n := f.header.Len(); first < 0 || first > n || len(dst)/size > n-first {
		return fmt.Errorf("npy: %s: elements [%d, %d) asked for, the array has %d", f.name, first, first+len(dst)/size, n)
	}
	if err := readAt(f.r, dst, f.header.DataOffset+int64(first)*int64(size)); err != nil {
		return fmt.Errorf("npy: %s: read at element %d: %w", f.name, first, err)
	}
	return nil
}

// checkRows fails unless rows [first, first+n) exist and fill exactly have units, each element being unit of them.
func (f *File) checkRows(first, n, have, unit int) error {
	rows, rowLen := f.header.Rows(), f.header.RowLen()
	if first < 0 || n < 0 || first > rows || n > rows-first {
		return fmt.Errorf("npy: %s: rows [%d, %d) asked for, the array has %d", f.name, first, first+n, rows)
	}
	if want := n * rowLen * unit; have != want {
		return fmt.Errorf("npy: %s: %d rows fill %d, the destination holds %d", f.name, n, want, have)
	}
	return nil
}
