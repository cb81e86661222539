package store

import (
	"math"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"coar/internal/fault"
)

func testHeld(rows int) *Held {
	return &Held{Sum: []float64{1, 1e-300, 3, 4, math.Pi}, SumSq: []float64{1, 2, 3, 4, 5}, KeptSum: []float64{0, -1, 0, -2, 0}, Margins: []float32{0.5, -7}[:rows]}
}

// reopen opens the run anew and returns its first lot.
func reopen(t *testing.T, run *Run) (*Run, *Gradients, error) {
	t.Helper()
	if err := run.Close(); err != nil {
		t.Fatal(err)
	}
	run, err := Open(run.Path())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { run.Close() })
	lots, err := run.Gradients(testDescription)
	if err != nil {
		return run, nil, err
	}
	return run, lots[0], nil
}

// What is held outlives the process exactly, until its example is completed, be the process stopped in between.
func TestHold(t *testing.T) {
	run, g := lotOf(t)
	for rows := 1; rows <= 2; rows++ {
		if err := g.Hold(2, testHeld(rows)); err != nil {
			t.Fatal(err)
		}
	}
	run, g, err := reopen(t, run)
	if err != nil || !reflect.DeepEqual(g.Held(2), testHeld(2)) || g.Held(1) != nil || g.HeldRows() != 2 {
		t.Fatalf("%+v, %d rows, %v", g.Held(2), g.HeldRows(), err)
	}
	if report, err := Verify(run.Path()); err != nil || len(report.Problems) > 0 {
		t.Fatalf("%+v %v", report.Problems, err)
	}
	name := filepath.Join(run.Path(), "gradient", "held-2.npy")
	left, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	sum, sumSq, keptSum, margins := testSums(g.Lot, 2, 5)
	if err := g.Commit(2, sum, sumSq, keptSum, margins); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(name); !os.IsNotExist(err) || g.HeldRows() != 0 {
		t.Errorf("%d rows are held of a completed example, %v", g.HeldRows(), err)
	}
	if err := os.WriteFile(name, left, 0o666); err != nil { // as if it was stopped before it was removed
		t.Fatal(err)
	}
	if _, g, err = reopen(t, run); err != nil || g.HeldRows() != 0 {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(name); !os.IsNotExist(err) {
		t.Errorf("left behind: %v", err)
	}
}

func TestHoldRefuses(t *testing.T) {
	_, g := lotOf(t)
	bad := testHeld(1)
	bad.SumSq[3] = math.NaN()
	if err := g.Hold(0, bad); err == nil || g.Held(0) != nil {
		t.Errorf("a NaN was held: %v", err)
	}
}

// Held files that are not what was written, as damage or by intent.
func TestHostileHeld(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"a value changed":   func(path string) error { return flipByte(path, 128+8*7+3) },
		"a margin changed":  func(path string) error { return flipByte(path, 128+8*15+5) },
		"cut":               func(path string) error { return os.Truncate(path, 128+8*9) },
		"another type":      func(path string) error { return saveInt32(path, make([]int32, 18)...) },
		"of no row":         func(path string) error { return os.Rename(path, filepath.Join(filepath.Dir(path), "held-3.npy")) },
		"of no example":     func(path string) error { return os.Rename(path, filepath.Join(filepath.Dir(path), "held-x.npy")) },
		"another spelling":  func(path string) error { return os.Rename(path, filepath.Join(filepath.Dir(path), "held-00.npy")) },
		"a negative number": func(path string) error { return os.Rename(path, filepath.Join(filepath.Dir(path), "held--1.npy")) },
	} {
		run, g := lotOf(t)
		if err := g.Hold(0, testHeld(2)); err != nil {
			t.Fatal(err)
		}
		if err := spoil(filepath.Join(run.Path(), "gradient", "held-0.npy")); err != nil {
			t.Fatal(err)
		}
		if report, err := Verify(run.Path()); err != nil || report.State() != Damaged {
			t.Errorf("%s: verified: %+v, %v", name, report, err)
		}
		if _, _, err := reopen(t, run); fault.KindOf(err) != fault.Malformed {
			t.Errorf("%s: %v", name, err)
		}
	}
}
