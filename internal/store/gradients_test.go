package store

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"coar/internal/fault"
	"coar/internal/npy"
)

// lotOf is the first lot of a run of three gradient rows, 5 components and 3 examples.
func lotOf(t *testing.T) (*Run, *Gradients) {
	t.Helper()
	m := testManifest(0)
	m.Gradients = []int{3}
	run, err := Create(filepath.Join(t.TempDir(), "run"), m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { run.Close() })
	lots, err := run.Gradients(testDescription)
	if err != nil || len(lots) != 1 {
		t.Fatalf("%d lots, %v", len(lots), err)
	}
	return run, lots[0]
}

func TestGradientCommitRefuses(t *testing.T) {
	_, g := lotOf(t)
	sum, sumSq, keptSum, margins := testSums(g.Lot, 1, 5)
	if err := g.Commit(1, sum, sumSq, keptSum, margins); err != nil {
		t.Fatal(err)
	}
	bad := append([]float32{}, sum...)
	bad[3] = float32(math.Inf(1))
	for name, err := range map[string]error{
		"completed":  g.Commit(1, sum, sumSq, keptSum, margins),
		"beyond":     g.Commit(3, sum, sumSq, keptSum, margins),
		"too short":  g.Commit(0, sum[:4], sumSq, keptSum, margins),
		"not finite": g.Commit(0, bad, sumSq, keptSum, margins),
	} {
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := g.Commit(0, bad, sumSq, keptSum, margins); !strings.Contains(err.Error(), "element 3 of gradient/sum.npy") {
		t.Errorf("%v", err)
	}
}

// A lot counts once every example is completed; before that its rows are missing.
func TestGradientLotsCountWhenComplete(t *testing.T) {
	run, g := lotOf(t)
	for e := range 3 {
		sums, err := OpenGradients(run.Path(), MaxRows)
		if err != nil || sums.Rows != 0 || sums.Missing != 3 {
			t.Fatalf("with %d of 3 examples: %+v %v", e, sums, err)
		}
		sum, sumSq, keptSum, margins := testSums(g.Lot, e, 5)
		if err := g.Commit(e, sum, sumSq, keptSum, margins); err != nil {
			t.Fatal(err)
		}
	}
	if err := run.AddGradients(7); err != nil {
		t.Fatal(err)
	}
	sums, err := OpenGradients(run.Path(), MaxRows) // the second lot has no files yet
	if err != nil || sums.Rows != 3 || sums.Missing != 4 || sums.Softened[2] != 3 || sums.MeanKeep[3] != 0.75 {
		t.Fatalf("%+v %v", sums, err)
	}
	if err := sums.Close(); err != nil {
		t.Fatal(err)
	}
	report, err := Verify(run.Path())
	if err != nil || report.State() != Interrupted || len(report.Gradients) != 2 || report.Gradients[0].Completed != 3 {
		t.Errorf("%+v %v", report, err)
	}
}

// Files of a lot that are not what was written, as damage or by intent.
func TestHostileLots(t *testing.T) {
	for name, spoil := range map[string]func(dir string) error{
		"sums changed": func(dir string) error { return flipByte(filepath.Join(dir, "sum.npy"), 128+4*5+1) },
		"counts beyond the rows": func(dir string) error {
			return saveInt32(filepath.Join(dir, "count.npy"), 0, 0, 0, 0, 4)
		},
		"counts below 0": func(dir string) error { return saveInt32(filepath.Join(dir, "count.npy"), 0, 0, 0, 0, -1) },
		"counts of fewer components": func(dir string) error {
			return saveInt32(filepath.Join(dir, "count.npy"), 0, 0, 0, 0)
		},
		"margins cut": func(dir string) error { return os.Truncate(filepath.Join(dir, "margins.npy"), 140) },
		"a flag of 2": func(dir string) error {
			return overwrite(filepath.Join(dir, "_completed.npy"), 129, 2)
		},
	} {
		run, g := lotOf(t)
		for e := range 3 {
			sum, sumSq, keptSum, margins := testSums(g.Lot, e, 5)
			if err := g.Commit(e, sum, sumSq, keptSum, margins); err != nil {
				t.Fatal(err)
			}
		}
		if err := spoil(filepath.Join(run.Path(), "gradient")); err != nil {
			t.Fatal(err)
		}
		sums, err := OpenGradients(run.Path(), MaxRows)
		for e := 0; err == nil && e < 3; e++ {
			_, err = sums.Read(e, make([]float64, 5), make([]float64, 5), make([]float64, 5))
		}
		if fault.KindOf(err) != fault.Malformed {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func flipByte(path string, at int64) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return overwrite(path, at, b[at]^1)
}

func overwrite(path string, at int64, v byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteAt([]byte{v}, at)
	return err
}

func saveInt32(path string, values ...int32) error {
	w, err := npy.Create(path, npy.Int32, len(values))
	if err != nil {
		return err
	}
	var raw []byte
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint32(raw, uint32(v))
	}
	if err := w.WriteRows(0, raw); err != nil {
		return err
	}
	return w.Close()
}
