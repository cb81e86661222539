package store

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"coar/internal/fault"
)

// createTest makes a small run on the real disk.
func createTest(t *testing.T, nRows int) *Run {
	t.Helper()
	run, err := Create(filepath.Join(t.TempDir(), "deep", "run"), testManifest(nRows))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { run.Close() })
	return run
}

func rowsOf(t *testing.T, run *Run) *Rows {
	t.Helper()
	rows, err := run.Rows()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// The real disk gets the same files as the one in memory, and they read back.
func TestStudyOnDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	if err := conduct(osFS{}, dir, func(string, int) {}); err != nil {
		t.Fatal(err)
	}
	have := map[string]string{}
	v := verifier{fs: osFS{}, dir: dir}
	if err := v.list("", maxDepth); err != nil {
		t.Fatal(err)
	}
	for _, name := range v.files {
		if name != lockName {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			have["/run/"+name] = string(b)
		}
	}
	if d := difference(have, conducted(t).contents()); d != "" {
		t.Error(d)
	}
	report, err := Verify(dir)
	if err != nil || report.State() != Finished || report.NRows != 11 || report.Completed != 11 {
		t.Errorf("%+v %v", report, err)
	}
	a, err := OpenArrays(dir, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if a.Manifest() == nil || a.NRows() != 11 || a.NComponents() != 5 || a.NExamples() != 3 {
		t.Errorf("%d rows, %d components, %d examples", a.NRows(), a.NComponents(), a.NExamples())
	}
	checkRowsAre(t, "finished", a, a.CompletedRows())
	if _, err := OpenArrays(dir, "train"); fault.KindOf(err) != fault.Usage {
		t.Errorf("another split: %v", err)
	}
	if _, err := OpenEvaluationRows(dir, 0.05, 2); fault.KindOf(err) != fault.Missing {
		t.Errorf("evaluation rows of another seed: %v", err)
	}
}

// Without the manifest and the checksums a run is a directory that anybody's scripts could have made.
func TestRunWithoutManifestIsBareDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	if err := conduct(osFS{}, dir, func(string, int) {}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{ManifestName, sealsName, "_checksums.npy"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	a, err := OpenArrays(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	checkRowsAre(t, "bare", a, a.CompletedRows())
	if _, err := Prepare(dir, testManifest(11), false); fault.KindOf(err) != fault.Conflict {
		t.Errorf("ablate on it: %v", err)
	}
}

func TestCommitRefuses(t *testing.T) {
	rows := rowsOf(t, createTest(t, 4))
	keep, margins := testRow(0, 10, 6) // two rows
	with := func(i int, v float32) []float32 {
		m := slices.Clone(margins)
		m[i] = v
		return m
	}
	if err := rows.Commit(2, keep[:5], margins[:3]); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		words string
		err   error
	}{
		{"row 2 is completed already", rows.Commit(1, keep, margins)},
		{"there are 4 rows", rows.Commit(3, keep, margins)},
		{"there are 4 rows", rows.Commit(-1, keep, margins)},
		{"there are 4 rows", rows.Commit(math.MaxInt, keep, margins)},
		{"not rows of 5 and 3", rows.Commit(0, keep[:9], margins)},
		{"not rows of 5 and 3", rows.Commit(0, keep, margins[:3])},
		{"keep value 7", rows.Commit(0, append(slices.Clone(keep[:9]), 7), margins)},
		{"row 1, example 1 (<é>): the margin is NaN", rows.Commit(0, keep, with(4, float32(math.NaN())))},
		{"row 0, example 2 (cat/1.png): the margin is -Inf", rows.Commit(0, keep, with(2, float32(math.Inf(-1))))},
		{"row 1, example 0 (0): value 65520 is beyond float16's range of ±65504; start a run with --dtype float32",
			rows.Commit(0, keep, with(3, 65520))},
	} {
		if test.err == nil || !strings.Contains(test.err.Error(), test.words) {
			t.Errorf("%v, want %s", test.err, test.words)
		}
	}
	// None of that broke the set.
	if err := rows.Commit(0, keep, with(3, 65519)); err != nil {
		t.Error(err)
	}
	if c := rows.Completed(); !slices.Equal(c, []bool{true, true, true, false}) {
		t.Errorf("completed: %v", c)
	}
}

func TestConcurrentCommits(t *testing.T) {
	run := createTest(t, 200)
	rows := rowsOf(t, run)
	order := rand.New(rand.NewPCG(3, 4)).Perm(200)
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for worker := range 8 {
		wg.Go(func() {
			for i := worker; i < 200; i += 8 {
				keep, margins := testRow(order[i], 5, 3)
				errs[worker] = errors.Join(errs[worker], rows.Commit(order[i], keep, margins))
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if err := run.Seal(run.Files()...); err != nil {
		t.Fatal(err)
	}
	a, err := OpenArrays(run.Path(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if len(a.CompletedRows()) != 200 {
		t.Errorf("%d rows", len(a.CompletedRows()))
	}
	checkRowsAre(t, "finished", a, a.CompletedRows())
}

// Rows of zero number are files of zero rows; evaluation rows reused with fewer asked for keep what they have.
func TestZeroRowsAndReuse(t *testing.T) {
	run := createTest(t, 0)
	if err := run.Seal(run.Files()...); err != nil {
		t.Fatal(err)
	}
	if report, err := Verify(run.Path()); err != nil || report.State() != Finished {
		t.Errorf("%+v %v", report, err)
	}
	if rows := rowsOf(t, run); rows.NRows() != 0 {
		t.Errorf("%d rows", rows.NRows())
	}
	rows, err := run.EvaluationRows(0.1, 1, 6)
	if err != nil {
		t.Fatal(err)
	}
	if err := measure(rows, func(int) {}); err != nil {
		t.Fatal(err)
	}
	if err := run.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(run.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	for _, nRows := range []int{2, 6, 8, 3} {
		rows, err := again.EvaluationRows(0.1, 1, nRows)
		if err != nil {
			t.Fatal(err)
		}
		if have := rows.NRows(); have != max(6, nRows) && have != 8 {
			t.Errorf("%d rows asked for, %d are there", nRows, have)
		}
		if c := rows.Completed(); slices.Contains(c[:6], false) || slices.Contains(c[6:], true) {
			t.Errorf("completed: %v", c)
		}
	}
	for _, fraction := range []float64{-0.1, 1.1, math.NaN()} {
		if _, err := again.EvaluationRows(fraction, 1, 2); fault.KindOf(err) != fault.Usage {
			t.Errorf("fraction %v: %v", fraction, err)
		}
	}
}

// Evaluation margins are float32 whatever the run's type, so a large one is kept as it is.
func TestEvaluationMarginsAreFloat32(t *testing.T) {
	run := createTest(t, 1)
	rows, err := run.EvaluationRows(0.1, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	want := []float32{1e6, 0.1, -1e-20}
	if err := rows.Commit(0, make([]byte, 5), want); err != nil {
		t.Fatal(err)
	}
	a, err := OpenEvaluationRows(run.Path(), 0.1, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	have := make([]float32, 3)
	if err := a.Margins([]int{0}, 0, 3, have); err != nil || !slices.Equal(have, want) {
		t.Errorf("%v, want %v: %v", have, want, err)
	}
}

// Rows so wide that only a few are read at a time read back, and damage to any of them is found.
func TestWideRows(t *testing.T) {
	m := testManifest(12)
	m.ExampleIDs, m.Positions, m.Labels, m.DType = nil, nil, nil, "float32"
	for i := range 50_000 {
		m.ExampleIDs = append(m.ExampleIDs, strconv.Itoa(i))
	}
	m.Positions, m.Labels = make([]int, 50_000), make([]int, 50_000)
	run, err := Create(filepath.Join(t.TempDir(), "run"), m)
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	rows := rowsOf(t, run)
	want := make([]float32, 0, 11*50_000)
	var all []int
	for row := range 12 {
		if row == 6 {
			continue
		}
		keep, margins := testRow(row, 5, 50_000)
		if err := rows.Commit(row, keep, margins); err != nil {
			t.Fatal(err)
		}
		want, all = append(want, margins...), append(all, row)
	}
	a, err := OpenArrays(run.Path(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	have := make([]float32, len(want))
	if err := a.Margins(all, 0, 50_000, have); err != nil || !slices.Equal(have, want) {
		t.Errorf("margins differ: %v", err)
	}
	for _, row := range []int{0, 4, 5, 10, 11} {
		at := dataOffset + int64(row)*200_000 + 199_999
		flip(t, filepath.Join(run.Path(), "test_margins.npy"), at, 7)
		report, err := Verify(run.Path())
		if err != nil || len(report.Problems) != 1 || report.Problems[0].Row != row {
			t.Errorf("row %d: %v %v", row, report.Problems, err)
		}
		if err := a.Margins(all, 0, 50_000, have); fault.KindOf(err) != fault.Malformed || !strings.Contains(err.Error(), fmt.Sprintf("row %d ", row)) {
			t.Errorf("row %d: %v", row, err)
		}
		flip(t, filepath.Join(run.Path(), "test_margins.npy"), at, 7)
	}
}
