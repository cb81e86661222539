package store

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"coar/internal/fault"
)

// Two writers on one directory are refused, in one process and in two.
func TestOneWriter(t *testing.T) {
	if dir := os.Getenv("COAR_TEST_LOCK"); dir != "" { // the second process
		if _, err := Open(dir); err != nil {
			t.Log(err)
		} else {
			t.Log("opened")
		}
		return
	}
	run := createTest(t, 3)
	other := func() string {
		cmd := exec.Command(os.Args[0], "-test.run=^TestOneWriter$", "-test.v")
		cmd.Env = append(os.Environ(), "COAR_TEST_LOCK="+run.Path())
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	want := run.Path() + " is in use"
	if out := other(); !strings.Contains(out, want) {
		t.Errorf("another process: %s", out)
	}
	_, openErr := Open(run.Path())
	_, prepareErr := Prepare(run.Path(), testManifest(3), false)
	_, createErr := Create(run.Path(), testManifest(3))
	_, lockErr := Lock(run.Path())
	for _, err := range []error{openErr, prepareErr, createErr, lockErr} {
		if err == nil || !strings.Contains(err.Error(), want) || fault.KindOf(err) != fault.Failed {
			t.Errorf("this process: %v", err)
		}
	}
	if _, err := OpenArrays(run.Path(), ""); err != nil {
		t.Errorf("reading meanwhile: %v", err)
	}
	if err := run.Close(); err != nil {
		t.Fatal(err)
	}
	if out := other(); !strings.Contains(out, "opened") {
		t.Errorf("after closing, another process: %s", out)
	}
}

// Reading works in a directory that cannot be written.
func TestReadOnlyDirectory(t *testing.T) {
	if os.Getuid() == 0 {
		t.Log("root writes everywhere: only that nothing is created is checked")
	}
	dir := filepath.Join(t.TempDir(), "run")
	if err := os.CopyFS(dir, os.DirFS("testdata/bare")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(dir, 0o777) })
	a, err := OpenArrays(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(a.Check(), a.Close()); err != nil {
		t.Error(err)
	}
	if _, err := Verify(dir); err != nil {
		t.Error(err)
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 3 {
		t.Errorf("%v %v", names, err)
	}
}

func TestCreateRefuses(t *testing.T) {
	run := createTest(t, 1)
	run.Close()
	if _, err := Create(run.Path(), testManifest(1)); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a run already: %v", err)
	}
	for _, name := range []string{"masks.npy", "train_margins.npy", "_completed.npy"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := Prepare(dir, testManifest(1), false); fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), name) {
			t.Errorf("%s without a manifest: %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(dir, ManifestName)); err == nil {
			t.Errorf("%s: a manifest was written all the same", name)
		}
	}
	if _, err := Open(t.TempDir()); fault.KindOf(err) != fault.Missing {
		t.Errorf("no run: %v", err)
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none")); fault.KindOf(err) != fault.Missing {
		t.Errorf("no directory: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(file, testManifest(1)); err == nil {
		t.Error("a file as a run: accepted")
	}
}

func TestPrepare(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	prepare := func(want Manifest, allow bool) (Manifest, error) {
		run, err := Prepare(dir, want, allow)
		if err != nil {
			return Manifest{}, err
		}
		rows := rowsOf(t, run)
		m := run.Manifest()
		if rows.NRows() != m.Masks {
			t.Errorf("%d rows, the manifest says %d", rows.NRows(), m.Masks)
		}
		if err := measure(rows, func(int) {}); err != nil {
			t.Fatal(err)
		}
		if onDisk, err := ReadManifest(dir); err != nil || !reflect.DeepEqual(onDisk, m) {
			t.Errorf("run.json says %+v, want %+v: %v", onDisk, m, err)
		}
		return m, run.Close()
	}
	if m, err := prepare(testManifest(3), false); err != nil || m.Masks != 3 || m.Format != formatVersion {
		t.Errorf("create: %+v %v", m, err)
	}
	if m, err := prepare(testManifest(5), false); err != nil || m.Masks != 5 {
		t.Errorf("extend: %+v %v", m, err)
	}
	if m, err := prepare(testManifest(2), false); err != nil || m.Masks != 5 {
		t.Errorf("ask for fewer: %+v %v", m, err)
	}
	other := testManifest(8)
	other.Fraction = 0.2
	if _, err := prepare(other, true); fault.KindOf(err) != fault.Conflict {
		t.Errorf("another fraction: %v", err)
	}
	newer := testManifest(6)
	newer.InstructionSet = "avx512"
	if _, err := prepare(newer, false); fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "--allow-isa-change") {
		t.Errorf("another instruction set: %v", err)
	}
	want := []InstructionSetChange{{5, "avx512"}}
	if m, err := prepare(newer, true); err != nil || m.Masks != 6 || !reflect.DeepEqual(m.InstructionSetChanges, want) {
		t.Errorf("another instruction set, allowed: %+v %v", m, err)
	}
	if m, err := prepare(newer, false); err != nil || !reflect.DeepEqual(m.InstructionSetChanges, want) {
		t.Errorf("the same again: %+v %v", m, err)
	}
	run, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	if err := run.Extend(3); fault.KindOf(err) != fault.Conflict {
		t.Errorf("shrink: %v", err)
	}
	if err := run.Extend(MaxRows + 1); fault.KindOf(err) != fault.Usage {
		t.Errorf("absurd: %v", err)
	}
	if m := run.Manifest(); m.Masks != 6 {
		t.Errorf("%d rows after refused extensions", m.Masks)
	}
}
