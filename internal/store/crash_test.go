package store

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"

	"coar/internal/fault"
)

// Whatever operation a study is stopped at, by a kill or by the power, nothing that was completed is lost, nothing counts
// as damaged, and doing the study again ends in the files that an undisturbed one makes.
func TestCrashAnywhere(t *testing.T) {
	t.Parallel()
	whole := conducted(t)
	want := whole.contents()
	t.Logf("%d operations, %d files", whole.ops, len(want))
	for k := 1; k <= whole.ops; k++ {
		losses := map[string]func() bool{"killed": killed, "blackout": blackout}
		for seed := range uint64(2) {
			losses[fmt.Sprint("brownout ", seed)] = brownout(seed*1000 + uint64(k))
		}
		for name, loss := range losses {
			fsys := newPowerFS()
			fsys.failAt, fsys.cause, fsys.lasts = k, errPower, true
			done := map[string][]int{}
			if err := conduct(fsys, "/run", func(set string, row int) { done[set] = append(done[set], row) }); !errors.Is(err, errPower) {
				t.Fatalf("operation %d, %s: %v", k, name, err)
			}
			checkResumes(t, fmt.Sprintf("operation %d, %s", k, name), fsys.survivor(loss), done, want)
		}
	}
}

// A disk that is full from some operation on, or an operation that fails once, leaves a run that resumes.
func TestFullDiskAnywhere(t *testing.T) {
	t.Parallel()
	whole := conducted(t)
	want := whole.contents()
	for k := 1; k <= whole.ops; k++ {
		for _, lasts := range []bool{false, true} {
			fsys := newPowerFS()
			fsys.failAt, fsys.cause, fsys.lasts = k, syscall.ENOSPC, lasts
			done := map[string][]int{}
			if err := conduct(fsys, "/run", func(set string, row int) { done[set] = append(done[set], row) }); !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("operation %d: %v", k, err)
			}
			fsys.failAt = 0
			checkResumes(t, fmt.Sprintf("operation %d, lasting %v", k, lasts), fsys, done, want)
		}
	}
}

// A crash while resuming after a crash is no different.
func TestCrashTwice(t *testing.T) {
	t.Parallel()
	whole := conducted(t)
	want := whole.contents()
	for k := 3; k <= whole.ops; k += 13 {
		first := newPowerFS()
		first.failAt, first.cause, first.lasts = k, errPower, true
		conduct(first, "/run", func(string, int) {})
		for j := 1; j <= whole.ops; j += 11 {
			second := first.survivor(brownout(uint64(j*1000 + k)))
			second.failAt, second.cause, second.lasts = j, errPower, true
			done := map[string][]int{}
			if conduct(second, "/run", func(set string, row int) { done[set] = append(done[set], row) }) == nil {
				break
			}
			checkResumes(t, fmt.Sprintf("operations %d and %d", k, j), second.survivor(brownout(uint64(k*1000+j))), done, want)
		}
	}
}

// checkResumes checks that what is on the disk is sound, still has the rows that were done, and leads to want.
func checkResumes(t *testing.T, when string, fsys *powerFS, done map[string][]int, want map[string]string) {
	t.Helper()
	report, err := verify(fsys, "/run")
	if err != nil && fault.KindOf(err) != fault.Missing {
		t.Fatalf("%s: verify: %v", when, err)
	}
	if report.State() == Damaged {
		t.Fatalf("%s: counts as damaged: %v", when, report.Problems)
	}
	if rows := done["train"]; len(rows) > 0 {
		a, err := openArrays(fsys, "/run", "")
		if err != nil {
			t.Fatalf("%s: rows %v were completed: %v", when, rows, err)
		}
		checkRowsAre(t, when, a, rows)
	}
	if rows := done["evaluation"]; len(rows) > 0 {
		a, err := openEvaluationRows(fsys, "/run", 0.05, 1)
		if err != nil {
			t.Fatalf("%s: evaluation rows %v were completed: %v", when, rows, err)
		}
		checkRowsAre(t, when, a, rows)
	}
	checkLotsAre(t, when, fsys, done)
	if err := conduct(fsys, "/run", func(string, int) {}); err != nil {
		t.Fatalf("%s: resume: %v", when, err)
	}
	if d := difference(fsys.contents(), want); d != "" {
		t.Fatalf("%s: after resuming, %s", when, d)
	}
}

// checkLotsAre checks that a lot of which all examples were completed is read, and holds what testSums gives.
func checkLotsAre(t *testing.T, when string, fsys *powerFS, done map[string][]int) {
	t.Helper()
	const p, nExamples = 5, 3
	if len(done["gradients 0"]) < nExamples {
		return
	}
	g, err := openGradients(fsys, "/run", MaxRows)
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	lots := []GradientLot{{0, 2}}
	if len(done["gradients 1"]) == nExamples {
		lots = append(lots, GradientLot{2, 3})
	}
	if len(g.lots) < len(lots) {
		t.Fatalf("%s: %d complete lots, want %d", when, len(g.lots), len(lots))
	}
	sum, sumSq, keptSum := make([]float64, p), make([]float64, p), make([]float64, p)
	for example := range nExamples {
		got, err := g.Read(example, sum, sumSq, keptSum)
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		wantSum, wantSumSq, wantKept := make([]float64, p), make([]float64, p), make([]float64, p)
		var wantMargins []float64
		for _, lot := range g.lots {
			a, b, kept, margins := testSums(lot.GradientLot, example, p)
			for c := range p {
				wantSum[c] += float64(a[c])
				wantSumSq[c] += float64(b[c])
				wantKept[c] += float64(kept[c])
			}
			for _, v := range margins {
				wantMargins = append(wantMargins, float64(v))
			}
		}
		if !slices.Equal(sum, wantSum) || !slices.Equal(sumSq, wantSumSq) || !slices.Equal(keptSum, wantKept) || !slices.Equal(got, wantMargins) {
			t.Fatalf("%s: example %d has sums %v and %v and margins %v, want %v, %v and %v", when, example, sum, sumSq, got, wantSum, wantSumSq, wantMargins)
		}
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
}

// checkRowsAre checks that rows are completed and hold what testRow gives.
func checkRowsAre(t *testing.T, when string, a *Arrays, rows []int) {
	t.Helper()
	for _, row := range rows {
		wantKeep, wantMargins := testRow(row, a.NComponents(), a.NExamples())
		keep, margins := make([]byte, len(wantKeep)), make([]float32, len(wantMargins))
		if err := errors.Join(a.KeepRow(row, keep), a.Margins([]int{row}, 0, len(margins), margins)); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		if string(keep) != string(wantKeep) {
			t.Fatalf("%s: row %d keeps %v, want %v", when, row, keep, wantKeep)
		}
		for i, m := range margins {
			if d := m - wantMargins[i]; d > 1e-3 || d < -1e-3 { // float16
				t.Fatalf("%s: row %d has margins %v, want %v", when, row, margins, wantMargins)
			}
		}
	}
}

// A failed write stops the set for good: later commits are refused, so that nothing is written over what may be lost.
func TestBrokenSetTakesNoMoreRows(t *testing.T) {
	fsys := newPowerFS()
	run, err := create(fsys, "/run", testManifest(4))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := run.Rows()
	if err != nil {
		t.Fatal(err)
	}
	fsys.failAt, fsys.cause = fsys.ops+2, syscall.EIO // the sync after the first write
	keep, margins := testRow(0, 5, 3)
	for range 3 {
		if err := rows.Commit(0, keep, margins); !errors.Is(err, syscall.EIO) {
			t.Fatalf("commit: %v", err)
		}
	}
	if rows.Completed()[0] {
		t.Error("the row counts as completed")
	}
}
