package npy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

const (
	magic = "\x93NUMPY"
	// align is what numpy pads a header to, so that the data can be memory-mapped.
	align = 64
	// growthDigits is the room, in digits, that numpy leaves for dimension 0 to grow in place.
	growthDigits = 21
	// maxHeader bounds the header's text; numpy itself refuses more than 10,000 bytes unless told otherwise.
	maxHeader = 1 << 16
)

// Header is what the start of a .npy file says about the array.
type Header struct {
	DType        DType
	FortranOrder bool
	Shape        []int
	DataOffset   int64 // where the elements start, in bytes
}

// Len is the number of elements.
func (h Header) Len() int {
	n := 1
	for _, d := range h.Shape {
		n *= d
	}
	return n
}

// Rows is the length of dimension 0; a scalar is one row.
func (h Header) Rows() int {
	if len(h.Shape) == 0 {
		return 1
	}
	return h.Shape[0]
}

// RowLen is the number of elements in one row, the product of all dimensions but the first.
func (h Header) RowLen() int {
	n := 1
	for _, d := range h.Shape[min(1, len(h.Shape)):] {
		n *= d
	}
	return n
}

// DataBytes is the size of the elements in bytes.
func (h Header) DataBytes() int64 { return int64(h.Len()) * int64(h.DType.Size()) }

// FileBytes is the size of the whole file.
func (h Header) FileBytes() int64 { return h.DataOffset + h.DataBytes() }

// ParseHeader reads the header of a .npy file of the given size in bytes and checks that the file holds exactly the
// elements that the header promises. At most 64 KiB are read.
//
// Errors: what is wrong, without the file's name. FortranOrder is reported, not refused.
func ParseHeader(r io.ReaderAt, size int64) (Header, error) {
	h, err := ParseHeaderPrefix(r, size)
	if err != nil {
		return Header{}, err
	}
	if have := size - h.DataOffset; have != h.DataBytes() {
		return Header{}, fmt.Errorf("the header promises %d bytes of %s %s, the file holds %d",
			h.DataBytes(), h.DType, FormatShape(h.Shape), have)
	}
	return h, nil
}

// ParseHeaderPrefix is ParseHeader for a file that may be longer or shorter than its header says, as a writer that was
// interrupted while growing it leaves behind.
func ParseHeaderPrefix(r io.ReaderAt, size int64) (Header, error) {
	var start [12]byte
	n := int(min(size, int64(len(start))))
	if err := readAt(r, start[:n], 0); err != nil {
		return Header{}, err
	}
	if n < 10 || string(start[:6]) != magic {
		return Header{}, errors.New("this is not a .npy file (it does not start with numpy's magic bytes)")
	}
	var textLen, textAt int64
	switch major, minor := start[6], start[7]; {
	case major == 1 && minor == 0:
		textLen, textAt = int64(binary.LittleEndian.Uint16(start[8:])), 10
	case (major == 2 || major == 3) && minor == 0 && n == 12:
		textLen, textAt = int64(binary.LittleEndian.Uint32(start[8:])), 12
	case (major == 2 || major == 3) && minor == 0:
		return Header{}, errors.New("the file ends inside its header")
	default:
		return Header{}, fmt.Errorf("format version %d.%d is unknown; 1.0, 2.0 and 3.0 are read", major, minor)
	}
	if textLen > maxHeader {
		return Header{}, fmt.Errorf("the header claims %d bytes; at most %d are read", textLen, maxHeader)
	}
	if textAt+textLen > size {
		return Header{}, errors.New("the file ends inside its header")
	}
	text := make([]byte, textLen)
	if err := readAt(r, text, textAt); err != nil {
		return Header{}, err
	}
	f, err := parseDict(text)
	if err != nil {
		return Header{}, err
	}
	dtype, ok := dtypeOf(f.descr)
	if !ok {
		return Header{}, fmt.Errorf("element type %.20q is not supported; bool, integers and floats, little-endian, are read", f.descr)
	}
	h := Header{DType: dtype, FortranOrder: f.fortranOrder, Shape: f.shape, DataOffset: textAt + textLen}
	return h, checkShape(dtype, f.shape)
}

// checkShape fails if the bytes of the array, or of one row of an empty array, do not fit an int.
func checkShape(dtype DType, shape []int) error {
	total := dtype.Size()
	for _, d := range shape {
		if d < 0 {
			return fmt.Errorf("shape %s has a negative dimension", FormatShape(shape))
		}
		if d == 0 {
			continue
		}
		if total > (math.MaxInt-maxHeader-align)/d {
			return fmt.Errorf("shape %s of %s is too large", FormatShape(shape), dtype)
		}
		total *= d
	}
	return nil
}

// EncodeHeader returns the bytes that numpy.save writes before a C-ordered array of this type and shape. Their number
// stays the same while dimension 0 grows: it is 128 for up to two dimensions.
func EncodeHeader(dtype DType, shape []int) ([]byte, error) {
	if !dtype.Valid() {
		return nil, errors.New("npy: encode header: invalid element type")
	}
	if len(shape) > 32 { // what every numpy version reads
		return nil, fmt.Errorf("npy: encode header: %d dimensions, at most 32 are written", len(shape))
	}
	if err := checkShape(dtype, shape); err != nil {
		return nil, fmt.Errorf("npy: encode header: %w", err)
	}
	text := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': %s, }", dtype.Descr(), FormatShape(shape))
	if len(shape) > 0 {
		text += strings.Repeat(" ", growthDigits-len(strconv.Itoa(shape[0])))
	}
	prefix := len(magic) + 4 // magic, version, length
	unpadded := prefix + len(text) + 1
	text += strings.Repeat(" ", align-unpadded%align) + "\n"

	b := make([]byte, 0, prefix+len(text))
	b = append(b, magic...)
	b = append(b, 1, 0)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(text)))
	return append(b, text...), nil
}

// FormatShape writes a shape as Python does: (), (3,), (3, 4).
func FormatShape(shape []int) string {
	parts := make([]string, len(shape))
	for i, d := range shape {
		parts[i] = strconv.Itoa(d)
	}
	if len(shape) == 1 {
		return "(" + parts[0] + ",)"
	}
	return "(" + strings.Join(parts, ", ") + ")"
}

// newHeader is the Header of an array about to be written, and its encoding.
func newHeader(dtype DType, shape []int) (Header, []byte, error) {
	b, err := EncodeHeader(dtype, shape)
	if err != nil {
		return Header{}, nil, err
	}
	return Header{DType: dtype, Shape: slices.Clone(shape), DataOffset: int64(len(b))}, b, nil
}

// readAt fills b from offset; a short read is an error even at the end of the file.
func readAt(r io.ReaderAt, b []byte, offset int64) error {
	n, err := r.ReadAt(b, offset)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return errors.New("the file ends early")
	}
	return err
}
