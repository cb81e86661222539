package pickle

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// MaxBytes bounds what the values of one pickle may take in memory, by a generous estimate. A state dict of a thousand
// tensors takes about 2 MB.
const MaxBytes = 32 << 20

// maxLine bounds a line of text in a pickle: a name or a decimal number.
const maxLine = 1 << 12

// Reader reads pickles that follow one another.
type Reader struct {
	r    *bufio.Reader
	size int64 // bytes of the whole source
	at   int64 // bytes consumed
}

// NewReader reads from r, which has size bytes.
func NewReader(r io.Reader, size int64) *Reader {
	return &Reader{r: bufio.NewReader(r), size: size}
}

// Offset is the number of bytes consumed: the end of the last pickle read.
func (r *Reader) Offset() int64 { return r.at }

// Load reads one pickle and returns its value and, in order, all references it made.
//
// Errors: io.ErrUnexpectedEOF at the end of r; others for what is not a pickle of protocol 1 to 5 or needs more memory
// than MaxBytes. All name the byte offset in r.
func (r *Reader) Load() (any, []*Ref, error) {
	m := &machine{in: r, memo: map[uint32]any{}, left: MaxBytes}
	for {
		at := r.at
		op, err := r.byte()
		if err == nil {
			err = m.step(op)
		}
		switch {
		case errors.Is(err, errStop):
			return m.result, m.refs, nil
		case err != nil:
			return nil, nil, fmt.Errorf("pickle, byte %d: %w", at, err)
		}
	}
}

// byte reads one byte.
func (r *Reader) byte() (byte, error) {
	b, err := r.r.ReadByte()
	if err != nil {
		return 0, unexpected(err)
	}
	r.at++
	return b, nil
}

// uint reads n bytes, at most 8, little-endian.
func (r *Reader) uint(n int) (uint64, error) {
	var b [8]byte
	if _, err := io.ReadFull(r.r, b[:n]); err != nil {
		return 0, unexpected(err)
	}
	r.at += int64(n)
	return binary.LittleEndian.Uint64(b[:]), nil
}

// line reads a line without its end.
func (r *Reader) line() (string, error) {
	var line []byte
	for {
		b, err := r.byte()
		if err != nil {
			return "", err
		}
		if b == '\n' {
			return string(line), nil
		}
		if len(line) == maxLine {
			return "", fmt.Errorf("a line is longer than %d bytes", maxLine)
		}
		line = append(line, b)
	}
}

// unexpected turns the end of the source into an error.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// machine is the state of one pickle's stack machine.
type machine struct {
	in     *Reader
	stack  []any
	peak   int   // longest that stack was
	marks  []int // stack heights
	memo   map[uint32]any
	refs   []*Ref
	left   int // bytes that may still be allocated
	result any
}

var (
	errStop  = errors.New("stop")
	errStack = errors.New("the stack holds too little")
)

// spend accounts for n bytes about to be allocated.
func (m *machine) spend(n int) error {
	if n > m.left {
		return fmt.Errorf("its values take more than %d MB", MaxBytes>>20)
	}
	m.left -= n
	return nil
}

// floor is the height below which the stack belongs to an outer mark.
func (m *machine) floor() int {
	if len(m.marks) == 0 {
		return 0
	}
	return m.marks[len(m.marks)-1]
}

// push puts v, for which size bytes were or will be allocated, on the stack.
func (m *machine) push(v any, size int) error {
	if len(m.stack) == m.peak {
		m.peak++
		size += 48 // the stack's own growth
	}
	if err := m.spend(size); err != nil {
		return err
	}
	m.stack = append(m.stack, v)
	return nil
}

// pop takes the topmost value.
func (m *machine) pop() (any, error) {
	if len(m.stack) <= m.floor() {
		return nil, errStack
	}
	v := m.stack[len(m.stack)-1]
	m.stack = m.stack[:len(m.stack)-1]
	return v, nil
}

// top is the topmost value.
func (m *machine) top() (any, error) {
	if len(m.stack) <= m.floor() {
		return nil, errStack
	}
	return m.stack[len(m.stack)-1], nil
}

// popMark takes the values down to the topmost mark, and the mark. The result is good until the next push.
func (m *machine) popMark() ([]any, error) {
	if len(m.marks) == 0 {
		return nil, errors.New("there is no mark on the stack")
	}
	from := m.floor()
	m.marks = m.marks[:len(m.marks)-1]
	items := m.stack[from:]
	m.stack = m.stack[:from]
	return items, nil
}

// bytes reads n bytes, having checked that they exist and may be allocated.
func (m *machine) bytes(n uint64) ([]byte, error) {
	if n > uint64(m.in.size-m.in.at) {
		return nil, fmt.Errorf("%d bytes are claimed, %d are left: %w", n, m.in.size-m.in.at, io.ErrUnexpectedEOF)
	}
	if n > MaxBytes {
		n = MaxBytes + 1
	}
	if err := m.spend(2 * int(n)); err != nil { // once more for the string made of it
		return nil, err
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(m.in.r, b); err != nil {
		return nil, unexpected(err)
	}
	m.in.at += int64(n)
	return b, nil
}

// remember stores the topmost value in the memo.
func (m *machine) remember(i uint64) error {
	v, err := m.top()
	if err != nil {
		return err
	}
	if _, known := m.memo[uint32(i)]; !known {
		if err := m.spend(64); err != nil {
			return err
		}
	}
	m.memo[uint32(i)] = v
	return nil
}
