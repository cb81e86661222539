package store

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"coar/internal/fault"
	"coar/internal/npy"
)

// Damage to a completed row stops a resume, naming file and row; damage elsewhere in the rows is overwritten.
func TestResumeNamesDamage(t *testing.T) {
	for _, test := range []struct {
		name string
		at   int64
		want string // "" where the resume succeeds
	}{
		{"masks.npy", 128 + 5*3 + 2, "row 3"},
		{"test_margins.npy", 128 + 6*4 + 1, "row 4"},
		{"_checksums.npy", 128 + 8*2, "masks.npy: row 2"},
		{"_checksums.npy", 128 + 8*2 + 5, "test_margins.npy: row 2"},
		{"_completed.npy", 128 + 5, "row 5"},       // not completed: the flag is now 1 but nothing matches
		{"masks.npy", 128 + 5*5 + 2, ""},           // not completed
		{"masks.npy", 7, "unknown"},                // header: the version
		{"test_margins.npy", 70, "after its dict"}, // header: padding
	} {
		run := createTest(t, 7)
		rows := rowsOf(t, run)
		for row := range 5 {
			keep, margins := testRow(row, 5, 3)
			if err := rows.Commit(row, keep, margins); err != nil {
				t.Fatal(err)
			}
		}
		if err := run.Close(); err != nil {
			t.Fatal(err)
		}
		flip(t, filepath.Join(run.Path(), test.name), test.at, 0)
		again, err := Prepare(run.Path(), testManifest(7), false)
		if err == nil {
			again.Close()
		}
		if test.want == "" {
			if err != nil {
				t.Errorf("%s, byte %d: %v", test.name, test.at, err)
			}
			continue
		}
		if fault.KindOf(err) != fault.Malformed || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s, byte %d: %v, want %s", test.name, test.at, err, test.want)
		}
	}
}

// flip changes one bit of a file.
func flip(t *testing.T, path string, at int64, bit int) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1 << bit
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

// Files of other shapes under a run's names are refused, and so are missing ones, unless no row needs them.
func TestResumeRefusesOtherFiles(t *testing.T) {
	for name, spoil := range map[string]func(dir string) error{
		"masks of another width":  func(dir string) error { return saveZeros(dir+"/masks.npy", npy.Bool, 4, 6) },
		"margins of another type": func(dir string) error { return saveZeros(dir+"/test_margins.npy", npy.Float32, 4, 3) },
		"more rows":               func(dir string) error { return saveZeros(dir+"/_completed.npy", npy.Bool, 5) },
		"masks cut":               func(dir string) error { return os.Truncate(dir+"/masks.npy", 140) },
		"masks cut to whole rows": func(dir string) error { return os.Truncate(dir+"/masks.npy", 138) },
		"a header of another hand": func(dir string) error {
			b, err := os.ReadFile(dir + "/masks.npy")
			b = bytes.Replace(b, []byte("(4, 5)"), []byte("(4,5 )"), 1)
			return errors.Join(err, os.WriteFile(dir+"/masks.npy", b, 0o666))
		},
		"masks missing":     func(dir string) error { return os.Remove(dir + "/masks.npy") },
		"checksums missing": func(dir string) error { return os.Remove(dir + "/_checksums.npy") },
		"flags a folder": func(dir string) error {
			return errors.Join(os.Remove(dir+"/_completed.npy"), os.Mkdir(dir+"/_completed.npy", 0o777))
		},
		"checksums.json of nothing": func(dir string) error { return os.WriteFile(dir+"/checksums.json", []byte("{}"), 0o666) },
	} {
		run := createTest(t, 4)
		keep, margins := testRow(3, 5, 3)
		if err := rowsOf(t, run).Commit(3, keep, margins); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(run.Close(), spoil(run.Path())); err != nil {
			t.Fatal(err)
		}
		if again, err := Prepare(run.Path(), testManifest(4), false); err == nil {
			again.Close()
			t.Errorf("%s: accepted", name)
		} else {
			t.Logf("%s: %v", name, err)
		}
	}
}

func saveZeros(path string, dtype npy.DType, shape ...int) error {
	w, err := npy.Create(path, dtype, shape...)
	if err != nil {
		return err
	}
	return w.Close()
}
