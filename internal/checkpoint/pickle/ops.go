package pickle

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// Allocation estimates: a value's own bytes, its box and its share of a growing slice.
const (
	boxBytes    = 16
	listBytes   = 48
	objectBytes = 160
	itemBytes   = 32
	entryBytes  = 64
)

// step carries out one opcode.
//
// Source: the opcode descriptions in CPython's Lib/pickletools.py.
func (m *machine) step(op byte) error {
	switch op {
	case 0x80: // PROTO
		version, err := m.in.uint(1)
		if err == nil && version > 5 {
			err = fmt.Errorf("protocol %d is not known", version)
		}
		return err
	case 0x95: // FRAME: a hint for buffering
		n, err := m.in.uint(8)
		if err == nil && n > uint64(m.in.size-m.in.at) {
			err = fmt.Errorf("a frame of %d bytes is claimed, %d are left", n, m.in.size-m.in.at)
		}
		return err
	case '.': // STOP
		v, err := m.pop()
		if err != nil {
			return err
		}
		m.result = v
		return errStop

	case '(': // MARK
		m.marks = append(m.marks, len(m.stack))
		return m.spend(itemBytes)
	case '0': // POP, which CPython lets take a mark too
		if len(m.marks) > 0 && len(m.stack) == m.floor() {
			_, err := m.popMark()
			return err
		}
		_, err := m.pop()
		return err
	case '1': // POP_MARK
		_, err := m.popMark()
		return err
	case '2': // DUP
		v, err := m.top()
		if err != nil {
			return err
		}
		return m.push(v, 0)

	case 'q', 'r': // BINPUT, LONG_BINPUT
		i, err := m.in.uint(width(op == 'q', 1, 4))
		if err != nil {
			return err
		}
		return m.remember(i)
	case 0x94: // MEMOIZE
		return m.remember(uint64(len(m.memo)))
	case 'h', 'j': // BINGET, LONG_BINGET
		i, err := m.in.uint(width(op == 'h', 1, 4))
		if err != nil {
			return err
		}
		v, ok := m.memo[uint32(i)]
		if !ok {
			return fmt.Errorf("memo %d was never stored", i)
		}
		return m.push(v, 0)
	}
	if done, err := m.scalar(op); done {
		return err
	}
	if done, err := m.text(op); done {
		return err
	}
	if done, err := m.container(op); done {
		return err
	}
	if done, err := m.call(op); done {
		return err
	}
	return fmt.Errorf("opcode 0x%02x is not one that torch.save writes", op)
}

// width is a when short, else b.
func width(short bool, a, b int) int {
	if short {
		return a
	}
	return b
}

// scalar carries out the opcodes that push a number or a constant.
func (m *machine) scalar(op byte) (done bool, err error) {
	var n uint64
	switch op {
	case 'N': // NONE
		return true, m.push(nil, 0)
	case 0x88, 0x89: // NEWTRUE, NEWFALSE
		return true, m.push(op == 0x88, 0)
	case 'K', 'M': // BININT1, BININT2
		if n, err = m.in.uint(width(op == 'K', 1, 2)); err != nil {
			return true, err
		}
		return true, m.push(int64(n), boxBytes)
	case 'J': // BININT
		if n, err = m.in.uint(4); err != nil {
			return true, err
		}
		return true, m.push(int64(int32(n)), boxBytes)
	case 'G': // BINFLOAT, big-endian
		if n, err = m.in.uint(8); err != nil {
			return true, err
		}
		return true, m.push(math.Float64frombits(bits.ReverseBytes64(n)), boxBytes)
	case 0x8a, 0x8b: // LONG1, LONG4
		if n, err = m.in.uint(width(op == 0x8a, 1, 4)); err != nil {
			return true, err
		}
		b, err := m.bytes(n)
		if err != nil {
			return true, err
		}
		return true, m.push(integer(b), listBytes)
	case 'I', 'L': // INT, LONG: decimal, as protocol 1 writes what BININT cannot hold
		line, err := m.in.line()
		if err != nil {
			return true, err
		}
		if op == 'I' && (line == "00" || line == "01") {
			return true, m.push(line == "01", 0)
		}
		i, err := strconv.ParseInt(strings.TrimSuffix(line, "L"), 10, 64)
		if err != nil {
			return true, errors.New("a decimal number is malformed or beyond 64 bits")
		}
		return true, m.push(i, boxBytes)
	}
	return false, nil
}

// integer is an int64 where b, little-endian two's complement, fits one.
func integer(b []byte) any {
	if len(b) > 8 {
		return Long(b)
	}
	var u uint64
	for i, x := range b {
		u |= uint64(x) << (8 * i)
	}
	if n := len(b); n > 0 && n < 8 && b[n-1] >= 0x80 {
		u |= ^uint64(0) << (8 * n)
	}
	return int64(u)
}

// text carries out the opcodes that push a string or bytes.
func (m *machine) text(op byte) (done bool, err error) {
	var lengthBytes int
	isText := true
	switch op {
	case 'U', 0x8c: // SHORT_BINSTRING, SHORT_BINUNICODE
		lengthBytes = 1
	case 'T', 'X': // BINSTRING, BINUNICODE
		lengthBytes = 4
	case 0x8d: // BINUNICODE8
		lengthBytes = 8
	case 'C': // SHORT_BINBYTES
		lengthBytes, isText = 1, false
	case 'B': // BINBYTES
		lengthBytes, isText = 4, false
	case 0x8e, 0x96: // BINBYTES8, BYTEARRAY8
		lengthBytes, isText = 8, false
	default:
		return false, nil
	}
	n, err := m.in.uint(lengthBytes)
	if err != nil {
		return true, err
	}
	b, err := m.bytes(n)
	switch {
	case err != nil:
		return true, err
	case isText:
		return true, m.push(string(b), listBytes)
	}
	return true, m.push(b, listBytes)
}
