package npy

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"coar/internal/fault"
)

// Writing the values of a numpy file row by row, in any order, makes the same file.
func TestWriterMakesNumpysFiles(t *testing.T) {
	for _, name := range []string{"bool", "int32", "uint64", "float16", "float32", "int32_3d", "scalar", "zerorows"} {
		f := openGolden(t, name)
		h := f.Header()
		path := filepath.Join(t.TempDir(), "a.npy")
		w, err := Create(path, h.DType, h.Shape...)
		if err != nil {
			t.Fatal(err)
		}
		rowBytes := h.RowLen() * h.DType.Size()
		for _, row := range rand.New(rand.NewPCG(1, 2)).Perm(h.Rows()) {
			b := make([]byte, rowBytes)
			if err := f.ReadRows(row, 1, b); err != nil {
				t.Fatal(err)
			}
			if err := w.WriteRows(row, b); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		have, _ := os.ReadFile(path)
		want, _ := os.ReadFile(golden(name))
		if !bytes.Equal(have, want) {
			t.Errorf("%s: differs from numpy's file", name)
		}
	}
}

func TestGrow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.npy")
	w, err := Create(path, Float32, 9, 2)
	if err != nil {
		t.Fatal(err)
	}
	values := make([]float32, 18)
	for i := range values {
		values[i] = float32(i)
	}
	if err := w.WriteRowsFloat32(0, values); err != nil {
		t.Fatal(err)
	}
	if err := w.Grow(8); err == nil {
		t.Error("shrank")
	}
	if err := w.Grow(1001); err != nil { // more digits, same header length
		t.Fatal(err)
	}
	if err := w.WriteRowsFloat32(1000, []float32{-1, -2}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	have := make([]float32, 2002)
	if err := f.ReadRowsFloat32(0, 1001, have); err != nil {
		t.Fatal(err)
	}
	want := make([]float32, 2002)
	copy(want, values)
	want[2000], want[2001] = -1, -2
	if !slices.Equal(have, want) || f.Header().DataOffset != 128 {
		t.Error("the grown array differs")
	}
}

func TestWriterRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.npy")
	w, err := Create(path, Float16, 2, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var tooLarge *RangeError
	err = w.WriteRowsFloat32(0, []float32{0, 0, 0, 0, 65520, 0})
	if !errors.As(err, &tooLarge) || tooLarge.Index != 4 {
		t.Errorf("65520 as float16: %v", err)
	}
	if err := w.WriteRowsFloat32(0, []float32{float32(math.Inf(1)), 65519, -65519}); err != nil {
		t.Errorf("infinity and the largest that round down: %v", err)
	}
	for name, err := range map[string]error{
		"part of a row":   w.WriteRowsFloat32(0, make([]float32, 4)),
		"too many rows":   w.WriteRowsFloat32(1, make([]float32, 6)),
		"negative row":    w.WriteRowsFloat32(-1, make([]float32, 3)),
		"int32 to floats": w.WriteRowsInt32(0, make([]int32, 3)),
	} {
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestReadsOutsideTheArray(t *testing.T) {
	f := openGolden(t, "int32_3d")
	for name, err := range map[string]error{
		"row past the end":      f.ReadRowsInt64(2, 1, make([]int64, 12)),
		"negative first":        f.ReadRowsInt64(-1, 1, make([]int64, 12)),
		"negative count":        f.ReadRowsInt64(1, -1, nil),
		"overflowing count":     f.ReadRowsInt64(1, math.MaxInt, nil),
		"small destination":     f.ReadRowsInt64(0, 1, make([]int64, 11)),
		"large destination":     f.ReadRows(0, 1, make([]byte, 49)),
		"elements past the end": f.ReadInt64(13, make([]int64, 12)),
		"negative element":      f.ReadInt64(-1, make([]int64, 1)),
	} {
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(dir); fault.KindOf(err) != fault.Malformed {
		t.Errorf("a directory: %v", err)
	}
	if _, err := Open(filepath.Join(dir, "none.npy")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestFirstNotFinite(t *testing.T) {
	if i := FirstNotFinite([]float32{0, math.MaxFloat32, -1}); i != -1 {
		t.Error(i)
	}
	for _, v := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
		if i := FirstNotFinite([]float32{0, 1, v, v}); i != 2 {
			t.Error(v, i)
		}
	}
}

// Elements as they are in a file decode to what was stored, and the first that is not finite is found, in either type.
func TestRawElements(t *testing.T) {
	inf := float32(math.Inf(-1))
	for _, values := range [][]float32{{1, -2.5, 65504}, {0.5, inf, 3}, {1, 2, inf}, {}} {
		half, err := AppendFloat16(nil, values)
		if err != nil {
			t.Fatal(err)
		}
		for dtype, raw := range map[DType][]byte{Float16: half, Float32: AppendFloat32(nil, values)} {
			have := make([]float32, len(values))
			DecodeFloat32(have, dtype, raw)
			if !slices.Equal(have, values) {
				t.Errorf("%v: %v, want %v", dtype, have, values)
			}
			if i, want := FirstNotFiniteRaw(dtype, raw), FirstNotFinite(values); i != want {
				t.Errorf("%v of %v: first not finite is %d, want %d", dtype, values, i, want)
			}
		}
	}
}
