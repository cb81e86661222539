package store

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"coar/internal/fault"
	"coar/internal/npy"
)

// bareText is what bare.py says the arrays of its directories hold.
func bareText(t *testing.T) (keep [6][5]byte, margins [6][3]float32) {
	t.Helper()
	f, err := os.Open("testdata/bare.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i := range keep {
		for j := range keep[i] {
			if _, err := fmt.Fscan(f, &keep[i][j]); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range margins {
		for j := range margins[i] {
			if _, err := fmt.Fscan(f, &margins[i][j]); err != nil {
				t.Fatal(err)
			}
		}
	}
	return keep, margins
}

// A directory that holds only the three arrays, made by numpy, is read.
func TestBareDirectory(t *testing.T) {
	keep, margins := bareText(t)
	for _, test := range []struct{ dir, split, got string }{
		{"bare", "", "val"}, {"bare", "val", "val"}, {"twosplits", "test", "test"}, {"twosplits", "train", "train"},
	} {
		a, err := OpenArrays(filepath.Join("testdata", test.dir), test.split)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		if a.NRows() != 6 || a.NComponents() != 5 || a.NExamples() != 3 || a.Split() != test.got || a.Manifest() != nil {
			t.Errorf("%v: %d rows, %d components, %d examples, split %q", test, a.NRows(), a.NComponents(), a.NExamples(), a.Split())
		}
		rows := a.CompletedRows()
		if !slices.Equal(rows, []int{0, 2, 3, 5}) {
			t.Errorf("%v: completed rows %v", test, rows)
		}
		for _, row := range rows {
			k := make([]byte, 5)
			if err := a.KeepRow(row, k); err != nil || !slices.Equal(k, keep[row][:]) {
				t.Errorf("%v: row %d keeps %v, want %v: %v", test, row, k, keep[row], err)
			}
		}
		// Any rows, any window of examples.
		for _, rows := range [][]int{rows, {5, 0}, {2, 3}, {3}, {}} {
			for first := 0; first <= 3; first++ {
				for last := first; last <= 3; last++ {
					var want []float32
					for _, row := range rows {
						want = append(want, margins[row][first:last]...)
					}
					have := make([]float32, len(want))
					if err := a.Margins(rows, first, last, have); err != nil || !slices.Equal(have, want) {
						t.Errorf("%v: rows %v, examples [%d, %d): %v, want %v: %v", test, rows, first, last, have, want, err)
					}
				}
			}
		}
		if err := a.Check(); err != nil {
			t.Error(err)
		}
		for name, err := range map[string]error{
			"keep-row that is not completed": a.KeepRow(1, make([]byte, 5)),
			"keep-row that does not exist":   a.KeepRow(6, make([]byte, 5)),
			"negative row":                   a.KeepRow(-1, make([]byte, 5)),
			"margins not completed":          a.Margins([]int{0, 4}, 0, 3, make([]float32, 6)),
			"window too wide":                a.Margins([]int{0}, 0, 4, make([]float32, 4)),
			"window backwards":               a.Margins([]int{0}, 2, 1, nil),
			"destination too small":          a.Margins([]int{0}, 0, 3, make([]float32, 2)),
		} {
			if err == nil {
				t.Errorf("%s: accepted", name)
			}
		}
	}
}

func TestBareDirectoryErrors(t *testing.T) {
	for _, test := range []struct {
		dir, split string
		kind       fault.Kind
		words      string
	}{
		{"testdata/twosplits", "", fault.Usage, "test, train"},
		{"testdata/twosplits", "val", fault.Usage, "test, train"},
		{"testdata/twosplits", "base", fault.Usage, "test, train"},
		{"testdata/bare", "../bare/val", fault.Usage, "val"},
		{"testdata/none", "", fault.Missing, "no directory"},
		{t.TempDir(), "", fault.Missing, "run.json"},
	} {
		_, err := OpenArrays(test.dir, test.split)
		if fault.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.words) {
			t.Errorf("%s, split %q: %v", test.dir, test.split, err)
		}
	}
}

// copyBare copies a bare directory, so that a test can spoil it.
func copyBare(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/bare")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// saveArray writes an array the way numpy.save would.
func saveArray(t *testing.T, path string, dtype npy.DType, raw []byte, shape ...int) {
	t.Helper()
	w, err := npy.Create(path, dtype, shape...)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WriteRows(0, raw); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestHostileBareDirectories(t *testing.T) {
	inf16 := binary.LittleEndian.AppendUint16(nil, 0x7c00)
	nan32 := binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(math.NaN())))
	for name, test := range map[string]struct {
		spoil func(t *testing.T, dir string)
		kind  fault.Kind
	}{
		"margins of fewer rows": {func(t *testing.T, dir string) {
			saveArray(t, dir+"/val_margins.npy", npy.Float16, make([]byte, 5*3*2), 5, 3)
		}, fault.Conflict},
		"flags of more rows": {func(t *testing.T, dir string) {
			saveArray(t, dir+"/_completed.npy", npy.Bool, make([]byte, 7), 7)
		}, fault.Conflict},
		"masks of one dimension": {func(t *testing.T, dir string) {
			saveArray(t, dir+"/masks.npy", npy.Bool, make([]byte, 6), 6)
		}, fault.Malformed},
		"masks of floats": {func(t *testing.T, dir string) {
			saveArray(t, dir+"/masks.npy", npy.Float32, make([]byte, 120), 6, 5)
		}, fault.Malformed},
		"margins of integers": {func(t *testing.T, dir string) {
			saveArray(t, dir+"/val_margins.npy", npy.Int32, make([]byte, 72), 6, 3)
		}, fault.Malformed},
		"a flag of 2": {func(t *testing.T, dir string) {
			saveArray(t, dir+"/_completed.npy", npy.Bool, []byte{1, 0, 1, 2, 0, 1}, 6)
		}, fault.Malformed},
		"a keep value of 255": {func(t *testing.T, dir string) {
			saveArray(t, dir+"/masks.npy", npy.Uint8, append(make([]byte, 29), 255), 6, 5)
		}, fault.Malformed},
		"an infinite margin": {func(t *testing.T, dir string) {
			saveArray(t, dir+"/val_margins.npy", npy.Float16, append(make([]byte, 34), inf16...), 6, 3)
		}, fault.Malformed},
		"a margin that is not a number": {func(t *testing.T, dir string) {
			saveArray(t, dir+"/val_margins.npy", npy.Float32, append(make([]byte, 68), nan32...), 6, 3)
		}, fault.Malformed},
		"no components": {func(t *testing.T, dir string) {
			saveArray(t, dir+"/masks.npy", npy.Bool, nil, 6, 0)
		}, fault.Malformed},
		"masks cut": {func(t *testing.T, dir string) {
			if err := os.Truncate(dir+"/masks.npy", 150); err != nil {
				t.Fatal(err)
			}
		}, fault.Malformed},
		"margins empty": {func(t *testing.T, dir string) {
			if err := os.Truncate(dir+"/val_margins.npy", 0); err != nil {
				t.Fatal(err)
			}
		}, fault.Malformed},
		"no flags": {func(t *testing.T, dir string) {
			if err := os.Remove(dir + "/_completed.npy"); err != nil {
				t.Fatal(err)
			}
		}, fault.Missing},
	} {
		t.Run(name, func(t *testing.T) {
			dir := copyBare(t)
			test.spoil(t, dir)
			a, err := OpenArrays(dir, "")
			if err == nil {
				err = a.Check()
				a.Close()
			}
			if fault.KindOf(err) != test.kind {
				t.Errorf("%v", err)
			}
			report, err := Verify(dir)
			if test.kind == fault.Missing {
				if fault.KindOf(err) != fault.Missing {
					t.Errorf("verify: %v", err)
				}
			} else if err != nil || report.State() != Damaged {
				t.Errorf("verify: %+v %v", report, err)
			}
		})
	}
}

// A margin that is not finite is named by row and example, whichever way it is read.
func TestNotFiniteIsNamed(t *testing.T) {
	dir := copyBare(t)
	raw := make([]byte, 36)
	binary.LittleEndian.PutUint16(raw[2*(3*3+1):], 0xfc00) // row 3, example 1
	saveArray(t, dir+"/val_margins.npy", npy.Float16, raw, 6, 3)
	a, err := OpenArrays(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for name, err := range map[string]error{
		"whole rows": a.Margins([]int{2, 3}, 0, 3, make([]float32, 6)),
		"a window":   a.Margins([]int{2, 3}, 1, 3, make([]float32, 4)),
	} {
		if err == nil || !strings.Contains(err.Error(), "row 3, example 1") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Shapes that only a header claims take no memory: without completed rows nothing else shows them.
func TestClaimedShapesTakeNoMemory(t *testing.T) {
	dir := t.TempDir()
	writeHeader := func(name, dtype, shape string) {
		header := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': %s, }", dtype, shape)
		b := append([]byte("\x93NUMPY\x01\x00"), binary.LittleEndian.AppendUint16(nil, 118)...)
		b = append(b, fmt.Sprintf("%-117s\n", header)...)
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	writeHeader("masks.npy", "|b1", "(0, 4611686018427387904)")
	writeHeader("test_margins.npy", "<f4", "(0, 1152921504606846976)")
	writeHeader("_completed.npy", "|b1", "(0,)")
	a, err := OpenArrays(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if err := a.Check(); err != nil || len(a.CompletedRows()) != 0 {
		t.Errorf("%v %v", a.CompletedRows(), err)
	}
}
