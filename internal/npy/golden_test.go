package npy

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"coar/internal/fault"
)

func golden(name string) string { return filepath.Join("testdata", name+".npy") }

func openGolden(t *testing.T, name string) *File {
	t.Helper()
	f, err := Open(golden(name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// The values that golden.py gave numpy come back, whatever the element type.
func TestReadNumpy(t *testing.T) {
	inf, nan, zero := math.Inf(1), math.NaN(), math.Copysign(0, -1)
	half := float64(float32(0.0999755859375)) // 0.1 as float16
	tests := []struct {
		name   string
		dtype  DType
		ints   []int64   // nil where int64 is refused
		floats []float64 // nil where float32 is refused
	}{
		{"bool", Bool, []int64{1, 0, 1, 0, 0, 1}, []float64{1, 0, 1, 0, 0, 1}},
		{"int8", Int8, []int64{-128, 0, 127, 1, -1, 2}, []float64{-128, 0, 127, 1, -1, 2}},
		{"uint8", Uint8, []int64{0, 128, 255, 1, 2, 3}, []float64{0, 128, 255, 1, 2, 3}},
		{"int16", Int16, []int64{-32768, 0, 32767, 1, -1, 258}, []float64{-32768, 0, 32767, 1, -1, 258}},
		{"uint16", Uint16, []int64{0, 65535, 32768, 1, 2, 258}, []float64{0, 65535, 32768, 1, 2, 258}},
		{"int32", Int32, []int64{math.MinInt32, 0, math.MaxInt32, 1, -1, 2}, nil},
		{"uint32", Uint32, []int64{0, math.MaxUint32, 1 << 31, 1, 2, 3}, nil},
		{"int64", Int64, []int64{math.MinInt64, 0, math.MaxInt64, 1, -1, 2}, nil},
		{"uint64", Uint64, []int64{0, math.MaxInt64, 1 << 62, 1, 2, 3}, nil},
		{"float16", Float16, nil, []float64{half, -65504, 5.960464477539063e-08, 1, zero, inf}},
		{"float32", Float32, nil, []float64{0.1, 3.4e38, 1e-45, 1, zero, nan}},
		{"float64", Float64, nil, []float64{0.1, 3.4e38, 1e-45, 1, zero, -inf}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := openGolden(t, test.name)
			h := f.Header()
			if h.DType != test.dtype || !slices.Equal(h.Shape, []int{2, 3}) || h.DataOffset != 128 {
				t.Fatalf("header %+v", h)
			}
			ints := make([]int64, 6)
			if err := f.ReadRowsInt64(0, 2, ints); (err == nil) != (test.ints != nil) {
				t.Fatalf("as int64: %v", err)
			} else if err == nil && !slices.Equal(ints, test.ints) {
				t.Errorf("as int64: %v, want %v", ints, test.ints)
			}
			floats := make([]float32, 6)
			if err := f.ReadRowsFloat32(0, 2, floats); (err == nil) != (test.floats != nil) {
				t.Fatalf("as float32: %v", err)
			}
			for i, want := range test.floats {
				if w := float32(want); math.Float32bits(floats[i]) != math.Float32bits(w) && !(w != w && floats[i] != floats[i]) {
					t.Errorf("as float32: element %d is %v, want %v", i, floats[i], w)
				}
			}
			// Any window of elements agrees with the whole.
			if test.ints != nil {
				for first := 0; first <= 6; first++ {
					for end := first; end <= 6; end++ {
						window := make([]int64, end-first)
						if err := f.ReadInt64(first, window); err != nil || !slices.Equal(window, ints[first:end]) {
							t.Errorf("window [%d, %d): %v %v", first, end, window, err)
						}
					}
				}
			}
		})
	}
}

func TestReadBool(t *testing.T) {
	dst := make([]byte, 3)
	if err := openGolden(t, "bool").ReadRowsBool(1, 1, dst); err != nil || !bytes.Equal(dst, []byte{0, 0, 1}) {
		t.Errorf("row 1: %v %v", dst, err)
	}
	if err := openGolden(t, "uint8").ReadRowsBool(0, 1, dst); fault.KindOf(err) != fault.Malformed {
		t.Errorf("uint8 of 0, 128, 255 as bool: %v", err)
	}
	if err := openGolden(t, "int8").ReadRowsBool(0, 1, dst); fault.KindOf(err) != fault.Malformed {
		t.Errorf("int8 as bool: %v", err)
	}
}

func TestShapesAndVersions(t *testing.T) {
	tests := []struct {
		name         string
		shape        []int
		rows, rowLen int
	}{
		{"int32_3d", []int{2, 3, 4}, 2, 12},
		{"scalar", []int{}, 1, 1},
		{"zerorows", []int{0, 5}, 0, 5},
		{"version1", []int{3}, 3, 1},
		{"version2", []int{3}, 3, 1},
		{"version3", []int{3}, 3, 1},
	}
	for _, test := range tests {
		f := openGolden(t, test.name)
		h := f.Header()
		if !slices.Equal(h.Shape, test.shape) || h.Rows() != test.rows || h.RowLen() != test.rowLen {
			t.Errorf("%s: header %+v, %d rows of %d", test.name, h, h.Rows(), h.RowLen())
		}
		if h.DType == Int64 {
			v := make([]int64, 3)
			if err := f.ReadRowsInt64(0, 3, v); err != nil || !slices.Equal(v, []int64{0, 1, 2}) {
				t.Errorf("%s: %v %v", test.name, v, err)
			}
		}
		if err := f.CheckShape(test.shape...); err != nil {
			t.Error(err)
		}
		if err := f.CheckShape(append([]int{9}, test.shape...)...); fault.KindOf(err) != fault.Malformed {
			t.Errorf("%s: wrong shape accepted: %v", test.name, err)
		}
	}
}

func TestRefusedNumpyFiles(t *testing.T) {
	for _, name := range []string{"fortran", "bigendian", "structured", "complex", "object"} {
		if _, err := Open(golden(name)); fault.KindOf(err) != fault.Malformed {
			t.Errorf("%s: %v", name, err)
		} else {
			t.Log(err)
		}
	}
	if err := openGolden(t, "too_large_uint64").ReadInt64(0, make([]int64, 2)); fault.KindOf(err) != fault.Malformed {
		t.Error(err)
	}
	if err := openGolden(t, "too_large_float64").ReadFloat32(0, make([]float32, 2)); fault.KindOf(err) != fault.Malformed {
		t.Error(err)
	}
}

// Our headers are numpy's, byte for byte, and are read back.
func TestHeadersEqualNumpys(t *testing.T) {
	text, err := os.ReadFile("testdata/headers.json")
	if err != nil {
		t.Fatal(err)
	}
	var headers []struct {
		Descr, Header string
		Shape         []int
	}
	if err := json.Unmarshal(text, &headers); err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		dtype, _ := dtypeOf(h.Descr)
		want, err := hex.DecodeString(h.Header)
		if err != nil {
			t.Fatal(err)
		}
		have, err := EncodeHeader(dtype, h.Shape)
		if err != nil {
			if total := checkShape(dtype, h.Shape); total == nil {
				t.Error(err)
			}
			continue
		}
		if !bytes.Equal(have, want) {
			t.Errorf("%s %v:\n%q, numpy writes\n%q", h.Descr, h.Shape, have, want)
		}
		back, err := ParseHeaderPrefix(bytes.NewReader(have), int64(len(have)))
		if err != nil || back.DType != dtype || !slices.Equal(back.Shape, h.Shape) || back.DataOffset != int64(len(have)) {
			t.Errorf("%s %v: read back %+v %v", h.Descr, h.Shape, back, err)
		}
	}
	if len(headers) < 40 {
		t.Errorf("only %d headers", len(headers))
	}
}

func TestFloat16RoundsAsNumpyDoes(t *testing.T) {
	f := openGolden(t, "round_float32")
	values := make([]float32, f.Header().Len())
	if err := f.ReadFloat32(0, values); err != nil {
		t.Fatal(err)
	}
	have, err := AppendFloat16(nil, values)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, 2*len(values))
	if err := openGolden(t, "round_float16").ReadRows(0, len(values), want); err != nil {
		t.Fatal(err)
	}
	for i := range values {
		if !bytes.Equal(have[2*i:2*i+2], want[2*i:2*i+2]) {
			t.Errorf("%g becomes %x, numpy makes it %x", values[i], have[2*i:2*i+2], want[2*i:2*i+2])
		}
	}
}
