package store

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"coar/internal/fault"
)

// In a finished run no byte of any file can change unnoticed. Of each byte two bits are flipped, others in each.
func TestEveryBitFlipIsDamage(t *testing.T) {
	t.Parallel()
	fsys := conducted(t)
	if report, err := verify(fsys, "/run"); err != nil || report.State() != Finished || len(report.Unsealed) != 0 {
		t.Fatalf("%+v %v", report, err)
	}
	flips := 0
	for path, d := range fsys.dirs {
		for name, f := range d.entries {
			if f == nil || name == lockName {
				continue
			}
			for at := range f.data {
				for _, bit := range []int{at % 8, (at + 3) % 8} {
					f.data[at] ^= 1 << bit
					report, err := verify(fsys, "/run")
					if err != nil || report.State() != Damaged {
						t.Fatalf("%s/%s, byte %d, bit %d: %v, %v", path, name, at, bit, report.State(), err)
					}
					f.data[at] ^= 1 << bit
					flips++
				}
			}
		}
	}
	t.Logf("%d flips", flips)
	// Nor can a file be cut, or be gone.
	for path, d := range fsys.dirs {
		for name, f := range d.entries {
			if f == nil || name == lockName || name == sealsName {
				continue
			}
			data := f.data
			for _, n := range []int{0, len(data) / 2, len(data) - 1} {
				f.data = data[:n]
				if report, err := verify(fsys, "/run"); err != nil || report.State() != Damaged {
					t.Errorf("%s/%s, %d bytes of it: %v, %v", path, name, n, report.State(), err)
				}
			}
			f.data = data
			delete(d.entries, name)
			if report, err := verify(fsys, "/run"); err != nil || report.State() != Damaged {
				t.Errorf("%s/%s gone: %v, %v", path, name, report.State(), err)
			}
			d.entries[name] = f
		}
	}
}

// An interrupted run is told from a damaged one, and says what is left.
func TestInterruptedRun(t *testing.T) {
	run := createTest(t, 4)
	rows := rowsOf(t, run)
	keep, margins := testRow(2, 5, 3)
	if err := rows.Commit(2, keep, margins); err != nil {
		t.Fatal(err)
	}
	report, err := Verify(run.Path()) // while the run is locked
	if err != nil {
		t.Fatal(err)
	}
	if report.State() != Interrupted || report.Completed != 1 || report.NRows != 4 || report.Manifest == nil {
		t.Errorf("%+v", report)
	}
	if !slices.Contains(report.Unfinished, "masks.npy: 3 of 4 rows are not completed; coar ablate resumes") {
		t.Errorf("unfinished: %q", report.Unfinished)
	}
	if !slices.Contains(report.Unsealed, "masks.npy") {
		t.Errorf("unsealed: %q", report.Unsealed)
	}
	if err := os.WriteFile(filepath.Join(run.Path(), ".run.json.tmp"), []byte("half"), 0o666); err != nil {
		t.Fatal(err)
	}
	if report, err := Verify(run.Path()); err != nil || report.State() != Interrupted {
		t.Errorf("with a temporary file left behind: %+v %v", report, err)
	}
	flip(t, filepath.Join(run.Path(), "test_margins.npy"), 128+2*6, 3)
	report, err = Verify(run.Path())
	if err != nil || report.State() != Damaged {
		t.Fatalf("%+v %v", report, err)
	}
	if p := report.Problems[0]; p.File != "test_margins.npy" || p.Row != 2 ||
		p.String() != "test_margins.npy: row 2: it does not match its checksum in _checksums.npy" {
		t.Errorf("%v", p)
	}
}

// All damaged rows are listed, up to a bound, in evaluation rows too.
func TestVerifyListsDamagedRows(t *testing.T) {
	run := createTest(t, 0)
	rows, err := run.EvaluationRows(0.1, 1, 150)
	if err != nil {
		t.Fatal(err)
	}
	if err := measure(rows, func(int) {}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(run.Path(), "evaluation/rows-0.1-1/margins.npy")
	for _, row := range []int64{3, 77} {
		flip(t, path, 128+12*row, 0)
	}
	report, err := Verify(run.Path())
	if err != nil || len(report.Problems) != 2 || report.Problems[0].Row != 3 || report.Problems[1].Row != 77 {
		t.Errorf("%+v %v", report.Problems, err)
	}
	if len(report.Evaluation) != 1 || report.Evaluation[0] != (EvaluationState{"evaluation/rows-0.1-1", 150, 150}) {
		t.Errorf("%+v", report.Evaluation)
	}
	for row := range int64(150) {
		flip(t, path, 128+12*row, 1)
	}
	report, err = Verify(run.Path())
	if err != nil || len(report.Problems) != maxRowProblems+1 {
		t.Errorf("%d problems, %v", len(report.Problems), err)
	}
}

// Results of a shape that the run does not have are damage even where they are not sealed.
func TestVerifyChecksResults(t *testing.T) {
	run := createTest(t, 0)
	if err := run.WriteFloat32(AttributionsName, make([]float32, 10), 2, 5); err != nil {
		t.Fatal(err)
	}
	report, err := Verify(run.Path())
	if err != nil || len(report.Problems) != 1 || report.Problems[0].File != AttributionsName {
		t.Errorf("%+v %v", report.Problems, err)
	}
}

func TestVerifyBareDirectory(t *testing.T) {
	for _, dir := range []string{"testdata/bare", "testdata/twosplits"} {
		report, err := Verify(dir)
		if err != nil || report.State() != Interrupted || report.NRows != 6 || report.Completed != 4 || report.Manifest != nil {
			t.Errorf("%s: %+v %v", dir, report, err)
		}
	}
	if _, err := Verify(t.TempDir()); fault.KindOf(err) != fault.Missing {
		t.Errorf("an empty directory: %v", err)
	}
	if _, err := Verify(filepath.Join(t.TempDir(), "none")); fault.KindOf(err) != fault.Missing {
		t.Errorf("no directory: %v", err)
	}
	dir := copyBare(t)
	raw := make([]byte, 30)
	raw[29] = 2
	saveArray(t, dir+"/masks.npy", 3, raw, 6, 5)
	report, err := Verify(dir)
	if err != nil || report.State() != Damaged || !strings.Contains(report.Problems[0].String(), "masks.npy") {
		t.Errorf("%+v %v", report, err)
	}
}

// A run whose arrays are folders, links or pipes is reported, not waited for.
func TestVerifyOddFiles(t *testing.T) {
	run := createTest(t, 1)
	path := filepath.Join(run.Path(), "masks.npy")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o777); err != nil {
		t.Fatal(err)
	}
	if report, err := Verify(run.Path()); err != nil || report.State() != Damaged {
		t.Errorf("%+v %v", report, err)
	}
}
