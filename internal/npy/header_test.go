package npy

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"
)

// raw puts a version-1 prefix before a header's text.
func raw(text string) []byte {
	b := append([]byte(magic), 1, 0)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(text)))
	return append(b, text...)
}

func TestTolerantHeaders(t *testing.T) {
	for _, text := range []string{
		"{'descr':'<f4','fortran_order':False,'shape':(2,3)}",
		`{"shape" : ( 2 , 3 , ) , "fortran_order" : False , "descr" : "<f4" , }`,
		"{\n\t'fortran_order': False,\r\n 'shape': (2, 3), 'descr': '<f4'}   \n",
	} {
		b := append(raw(text), make([]byte, 24)...)
		h, err := ParseHeader(bytes.NewReader(b), int64(len(b)))
		if err != nil || h.DType != Float32 || h.Rows() != 2 || h.RowLen() != 3 || h.DataOffset != int64(10+len(text)) {
			t.Errorf("%q: %+v %v", text, h, err)
		}
	}
}

func TestHostileHeaders(t *testing.T) {
	long := raw("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }")
	version := func(major, minor byte) []byte {
		b := bytes.Clone(long)
		b[6], b[7] = major, minor
		return b
	}
	tests := map[string][]byte{
		"empty":                 {},
		"magic only":            []byte(magic),
		"wrong magic":           append([]byte("\x93NUMPZ"), long[6:]...),
		"version 0.0":           version(0, 0),
		"version 1.1":           version(1, 1),
		"version 2 cut":         version(2, 0)[:11],
		"version 2, huge claim": append(version(2, 0)[:8], 255, 255, 255, 255),
		"header cut":            long[:40],
		"no newline or dict":    raw(""),
		"not a dict":            raw("[]"),
		"no shape":              raw("{'descr': '<f4', 'fortran_order': False}"),
		"no descr":              raw("{'fortran_order': False, 'shape': (1,)}"),
		"repeated key":          raw("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}"),
		"unknown key":           raw("{'descr': '<f4', 'order': 'C', 'fortran_order': False, 'shape': (1,)}"),
		"no colon":              raw("{'descr' '<f4', 'fortran_order': False, 'shape': (1,)}"),
		"no comma":              raw("{'descr': '<f4' 'fortran_order': False, 'shape': (1,)}"),
		"two commas":            raw("{'descr': '<f4',, 'fortran_order': False, 'shape': (1,)}"),
		"not closed":            raw("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)"),
		"more after":            raw("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x"),
		"string not closed":     raw("{'descr': '<f4"),
		"escape":                raw(`{'descr': '\x3cf4', 'fortran_order': False, 'shape': (1,)}`),
		"control character":     raw("{'descr': '<\x00f4', 'fortran_order': False, 'shape': (1,)}"),
		"order 0":               raw("{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}"),
		"order false":           raw("{'descr': '<f4', 'fortran_order': false, 'shape': (1,)}"),
		"shape int":             raw("{'descr': '<f4', 'fortran_order': False, 'shape': 1}"),
		"shape (1)":             raw("{'descr': '<f4', 'fortran_order': False, 'shape': (1)}"),
		"shape list":            raw("{'descr': '<f4', 'fortran_order': False, 'shape': [1]}"),
		"shape (,)":             raw("{'descr': '<f4', 'fortran_order': False, 'shape': (,)}"),
		"shape negative":        raw("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}"),
		"shape float":           raw("{'descr': '<f4', 'fortran_order': False, 'shape': (1.0,)}"),
		"shape leading zero":    raw("{'descr': '<f4', 'fortran_order': False, 'shape': (01,)}"),
		"shape no comma":        raw("{'descr': '<f4', 'fortran_order': False, 'shape': (1 1)}"),
		"shape not closed":      raw("{'descr': '<f4', 'fortran_order': False, 'shape': (1,"),
		"shape 2^64":            raw("{'descr': '<f4', 'fortran_order': False, 'shape': (18446744073709551616,)}"),
		"product overflows":     raw("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}"),
		"product wraps to 0":    raw("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296, 0)}"),
		"bytes overflow":        raw("{'descr': '<f8', 'fortran_order': False, 'shape': (1152921504606846976,)}"),
		"65 dimensions":         raw("{'descr': '<f4', 'fortran_order': False, 'shape': (" + strings.Repeat("1,", 65) + ")}"),
		"huge claim":            raw("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,)}"),
	}
	for _, descr := range []string{"", ">f4", "=f4", "f4", "<f16", "|O", "<U5", "<b1", "<u1", "|V4", "<c8", "float32"} {
		tests["descr "+descr] = append(raw(fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (1,), }", descr)), 0, 0, 0, 0)
	}
	for name, b := range tests {
		if h, err := ParseHeader(bytes.NewReader(b), int64(len(b))); err == nil {
			t.Errorf("%s: accepted as %+v", name, h)
		}
	}
	// Data one byte short and one byte long.
	for _, n := range []int{0, 3, 5, 8} {
		b := append(bytes.Clone(long), make([]byte, n)...)
		if h, err := ParseHeader(bytes.NewReader(b), int64(len(b))); err == nil {
			t.Errorf("%d bytes of data for 4: accepted as %+v", n, h)
		}
		if h, err := ParseHeaderPrefix(bytes.NewReader(b), int64(len(b))); err != nil || h.Rows() != 1 {
			t.Errorf("prefix with %d bytes of data: %+v %v", n, h, err)
		}
	}
}

func TestEncodeHeaderRefuses(t *testing.T) {
	for _, test := range []struct {
		dtype DType
		shape []int
	}{
		{0, []int{1}}, {Float64 + 1, []int{1}}, {Bool, []int{-1}}, {Float32, []int{math.MaxInt / 2}}, {Bool, make([]int, 33)},
	} {
		if b, err := EncodeHeader(test.dtype, test.shape); err == nil {
			t.Errorf("%v %v: %q", test.dtype, test.shape, b)
		}
	}
}

// Whatever the bytes, NewFile neither panics nor allocates beyond them, and what it accepts can be read throughout and
// written again to the same array.
func FuzzNPY(f *testing.F) {
	f.Add(append(raw("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }"), make([]byte, 8)...))
	f.Add(append(raw("{'shape': (), 'descr': \"|b1\", 'fortran_order': True}"), 1))
	f.Add(append(raw("{'shape': (0, 3), 'descr': '<i8', 'fortran_order': False}"), 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := NewFile("fuzz.npy", bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		h := file.Header()
		if h.FileBytes() != int64(len(b)) || h.Rows()*h.RowLen() != h.Len() {
			t.Fatalf("%+v accepted for %d bytes", h, len(b))
		}
		data := make([]byte, h.DataBytes())
		if err := file.ReadRows(0, h.Rows(), data); err != nil {
			t.Fatal(err)
		}
		if h.DType.IsInteger() && h.DType != Uint64 {
			if err := file.ReadRowsInt64(0, h.Rows(), make([]int64, h.Len())); err != nil {
				t.Fatal(err)
			}
		}
		if h.DType == Float16 || h.DType == Float32 {
			if err := file.ReadRowsFloat32(0, h.Rows(), make([]float32, h.Len())); err != nil {
				t.Fatal(err)
			}
		}
		if len(h.Shape) > 32 {
			return
		}
		header, err := EncodeHeader(h.DType, h.Shape)
		if err != nil {
			t.Fatal(err)
		}
		again := append(header, data...)
		back, err := ParseHeader(bytes.NewReader(again), int64(len(again)))
		if err != nil || back.DType != h.DType || FormatShape(back.Shape) != FormatShape(h.Shape) {
			t.Fatalf("%+v read back as %+v: %v", h, back, err)
		}
	})
}
