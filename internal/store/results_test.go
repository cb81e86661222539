package store

import (
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"coar/internal/fault"
	"coar/internal/npy"
)

func TestResultsReadBack(t *testing.T) {
	run := createTest(t, 0)
	dir := run.Path()
	floats, ints := []float32{1.5, -2, 3e-40}, []int32{-1, 0, math.MaxInt32}
	for range 2 { // replacing is as good as writing
		if err := errors.Join(run.WriteFloat32(BaseMarginsName, floats, 3), run.WriteInt32(BasePredictionsName, ints, 3)); err != nil {
			t.Fatal(err)
		}
		f, err := ReadFloat32(dir, BaseMarginsName, 3)
		if err != nil || !slices.Equal(f, floats) {
			t.Errorf("%v %v", f, err)
		}
		i, err := ReadInt32(dir, BasePredictionsName, 3)
		if err != nil || !slices.Equal(i, ints) {
			t.Errorf("%v %v", i, err)
		}
	}
	type fit struct {
		Method string `json:"method"`
	}
	if err := writeJSON(run, FitName, fit{"lasso"}); err != nil {
		t.Fatal(err)
	}
	var have fit
	if err := ReadJSON(dir, FitName, &have); err != nil || have.Method != "lasso" {
		t.Errorf("%+v %v", have, err)
	}
	if err := ReadJSON(dir, FitName, &struct{}{}); fault.KindOf(err) != fault.Malformed {
		t.Errorf("an unknown member: %v", err)
	}
	if err := run.WriteFile("report.html", func(w io.Writer) error { _, err := io.WriteString(w, "<p>"); return err }); err != nil {
		t.Fatal(err)
	}
	names, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if isTemp(n.Name()) {
			t.Errorf("%s was left behind", n.Name())
		}
	}
}

// A large array is written row by row; nobody sees it before Commit, and Abort leaves what was there.
func TestArrayWriter(t *testing.T) {
	run := createTest(t, 0)
	write := func(v float32) *ArrayWriter {
		a, err := run.CreateArray(AttributionsName, npy.Float32, 3, 5)
		if err != nil {
			t.Fatal(err)
		}
		for row := 2; row >= 0; row-- {
			if err := a.WriteRowsFloat32(row, slices.Repeat([]float32{v + float32(row)}, 5)); err != nil {
				t.Fatal(err)
			}
		}
		return a
	}
	first := func() float32 {
		values, err := ReadFloat32(run.Path(), AttributionsName, 3, 5)
		if fault.KindOf(err) == fault.Missing {
			return -1
		}
		if err != nil {
			t.Fatal(err)
		}
		return values[0]
	}
	a := write(1)
	if v := first(); v != -1 {
		t.Errorf("seen before Commit: %v", v)
	}
	if err := a.Commit(); err != nil || first() != 1 {
		t.Errorf("after Commit: %v %v", first(), err)
	}
	if err := run.Seal(AttributionsName); err != nil {
		t.Fatal(err)
	}
	if err := write(7).Abort(); err != nil || first() != 1 {
		t.Errorf("after Abort: %v %v", first(), err)
	}
	if report, err := Verify(run.Path()); err != nil || report.State() == Damaged {
		t.Errorf("%+v %v", report, err)
	}
	f, err := OpenArray(run.Path(), AttributionsName, npy.Float32, -1, 5)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	row := make([]float32, 5)
	if err := f.ReadRowsFloat32(2, 1, row); err != nil || row[0] != 3 {
		t.Errorf("%v %v", row, err)
	}
}

func writeJSON(run *Run, name string, v any) error {
	staged, err := run.CreateJSON(name, v)
	if err != nil {
		return err
	}
	return staged.Commit()
}

func TestResultsRefuse(t *testing.T) {
	run := createTest(t, 0)
	dir := run.Path()
	for name, err := range map[string]error{
		"not finite":        run.WriteFloat32(LambdaName, []float32{1, float32(math.NaN())}, 2),
		"too few values":    run.WriteFloat32(LambdaName, []float32{1}, 2),
		"too many values":   run.WriteFloat32(LambdaName, []float32{1, 2, 3}, 2),
		"outside":           run.WriteFloat32("../lambda.npy", []float32{1}, 1),
		"absolute":          writeJSON(run, "/tmp/x.json", 1),
		"backslash":         writeJSON(run, `a\b`, 1),
		"the manifest":      writeJSON(run, ManifestName, 1),
		"the flags":         writeJSON(run, "evaluation/rows-0.1-1/_completed.npy", 1),
		"the margins":       run.WriteFloat32("test_margins.npy", []float32{1}, 1),
		"a temporary file":  writeJSON(run, ".x.tmp", 1),
		"seal the seals":    run.Seal(sealsName),
		"JSON of infinity":  writeJSON(run, FitName, math.Inf(1)),
		"seal outside":      run.Seal("../run.json"),
		"seal what is gone": run.Seal("none.npy"),
	} {
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for name, command := range map[string]string{
		AttributionsName: "coar fit", BaseMarginsName: "coar ablate", LambdaName: "coar fit", InterceptName: "coar fit",
		"evaluation/x.npy": "coar evaluate",
	} {
		_, err := ReadFloat32(dir, name, 3)
		if fault.KindOf(err) != fault.Missing || !strings.Contains(err.Error(), "run "+command+" first") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, command := range map[string]string{FitName: "coar fit", EvaluationName: "coar evaluate", "edits/a/edit.json": "coar edit"} {
		if err := ReadJSON(dir, name, new(int)); fault.KindOf(err) != fault.Missing || !strings.Contains(err.Error(), command) {
			t.Errorf("%s: %v", name, err)
		}
	}
	raw := []byte{0, 0, 0x80, 0x7f} // infinity
	saveArray(t, filepath.Join(dir, LambdaName), npy.Float32, raw, 1)
	if _, err := ReadFloat32(dir, LambdaName, 1); fault.KindOf(err) != fault.Malformed {
		t.Errorf("infinity: %v", err)
	}
	if _, err := ReadFloat32(dir, LambdaName, 3); fault.KindOf(err) != fault.Malformed {
		t.Errorf("another shape: %v", err)
	}
	if _, err := ReadInt32(dir, LambdaName, 1); fault.KindOf(err) != fault.Malformed {
		t.Errorf("another type: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, FitName), []byte("1 2"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := ReadJSON(dir, FitName, new(int)); fault.KindOf(err) != fault.Malformed {
		t.Errorf("two JSON values: %v", err)
	}
}

// Results can be written and sealed in a bare directory too.
func TestResultsInBareDirectory(t *testing.T) {
	dir := copyBare(t)
	d, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := errors.Join(d.WriteFloat32(LambdaName, []float32{1, 2, 3}, 3), d.Seal(LambdaName)); err != nil {
		t.Fatal(err)
	}
	if report, err := Verify(dir); err != nil || report.State() != Interrupted || !slices.Contains(report.Sealed, LambdaName) {
		t.Errorf("%+v %v", report, err)
	}
	flip(t, filepath.Join(dir, LambdaName), 130, 0)
	if report, err := Verify(dir); err != nil || report.State() != Damaged {
		t.Errorf("%+v %v", report, err)
	}
}

func TestEditNames(t *testing.T) {
	for _, name := range []string{"fix-7", "A", "v1.2_x"} {
		if p, err := EditPath(name); err != nil || p != "edits/"+name {
			t.Errorf("%s: %q %v", name, p, err)
		}
	}
	for _, name := range []string{"", ".", "..", "../x", "a/b", `a\b`, "-x", ".hidden", "a b", "ä", "a\x00", strings.Repeat("a", 101)} {
		if p, err := EditPath(name); fault.KindOf(err) != fault.Usage {
			t.Errorf("%q: %q %v", name, p, err)
		}
	}
}

// A removed result is gone with its digest; removing what is not there does nothing.
func TestRemove(t *testing.T) {
	run := createTest(t, 0)
	const name = "edits/one/edited.safetensors"
	for range 2 {
		if err := run.Remove(name); err != nil {
			t.Fatal(err)
		}
		if err := run.WriteFile(name, func(w io.Writer) error { _, err := io.WriteString(w, "x"); return err }); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(run.Seal(name), run.Remove(name)); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(run.Path(), name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", name, err)
		}
		report, err := Verify(run.Path())
		if err != nil || len(report.Problems) > 0 {
			t.Errorf("%v %v", report, err)
		}
	}
	if err := run.Remove(ManifestName); err == nil {
		t.Error("the manifest was removed")
	}
}
