package store

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
)

const togetherFolder = "/run/edits/one/"

// writeGeneration writes three files that say in which round they were written, and seals them.
func writeGeneration(fsys fileSystem, generation string) error {
	d, err := lockDir(fsys, "/run")
	if err != nil {
		return err
	}
	var files []File
	var names []string
	for _, name := range []string{"edit.json", "curve.png", "edited.safetensors"} {
		files = append(files, File{name, func(w io.Writer) error { _, err := io.WriteString(w, generation); return err }})
		names = append(names, "edits/one/"+name)
	}
	err = d.WriteTogether("edits/one", files...)
	if err == nil {
		err = d.Seal(names...)
	}
	return errors.Join(err, d.Close())
}

// firstGeneration is a run that has the three files.
func firstGeneration(t *testing.T) *powerFS {
	t.Helper()
	fsys := newPowerFS()
	run, err := create(fsys, "/run", testManifest(4))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(run.Close(), writeGeneration(fsys, "first")); err != nil {
		t.Fatal(err)
	}
	return fsys
}

// checkGeneration checks that the first file, if it is there, is beside those it was written with, and that nothing counts as damaged.
func checkGeneration(t *testing.T, when string, fsys *powerFS) {
	t.Helper()
	contents := fsys.contents()
	if described, ok := contents[togetherFolder+"edit.json"]; ok {
		for _, name := range []string{"curve.png", "edited.safetensors"} {
			if have := contents[togetherFolder+name]; have != described {
				t.Fatalf("%s: edit.json is of the %s round, %s is %q", when, described, name, have)
			}
		}
	}
	if report, err := verify(fsys, "/run"); err != nil || report.State() == Damaged {
		t.Fatalf("%s: %v %v", when, report.Problems, err)
	}
	if err := writeGeneration(fsys, "third"); err != nil {
		t.Fatalf("%s: another round: %v", when, err)
	}
	for name, have := range fsys.contents() {
		if strings.HasPrefix(name, togetherFolder) && have != "third" {
			t.Fatalf("%s: %s is %q after another round", when, name, have)
		}
	}
}

// Wherever a kill, the power or a disk that fails stops the second round, the first file never describes others than those beside it.
func TestTogetherAnywhere(t *testing.T) {
	whole := firstGeneration(t)
	before := whole.ops
	if err := writeGeneration(whole, "second"); err != nil {
		t.Fatal(err)
	}
	for name, have := range whole.contents() {
		if strings.HasPrefix(name, togetherFolder) && have != "second" {
			t.Errorf("%s is %q", name, have)
		}
	}
	for k := before + 1; k <= whole.ops; k++ {
		losses := map[string]func() bool{"killed": killed, "blackout": blackout}
		for seed := range uint64(8) {
			losses[fmt.Sprint("brownout ", seed)] = brownout(seed*1000 + uint64(k))
		}
		for name, loss := range losses {
			fsys := firstGeneration(t)
			fsys.failAt, fsys.cause, fsys.lasts = k, errPower, true
			if err := writeGeneration(fsys, "second"); !errors.Is(err, errPower) {
				t.Fatalf("operation %d, %s: %v", k, name, err)
			}
			checkGeneration(t, fmt.Sprintf("operation %d, %s", k, name), fsys.survivor(loss))
		}
		for _, lasts := range []bool{false, true} {
			fsys := firstGeneration(t)
			fsys.failAt, fsys.cause, fsys.lasts = k, syscall.ENOSPC, lasts
			if err := writeGeneration(fsys, "second"); !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("operation %d: %v", k, err)
			}
			fsys.failAt = 0
			checkGeneration(t, fmt.Sprintf("operation %d fails, lasting %v", k, lasts), fsys)
		}
	}
}

// An error in filling any of the files leaves the earlier ones as they were, sealed.
func TestTogetherFailsWhole(t *testing.T) {
	fsys := firstGeneration(t)
	want := fsys.contents()
	broken := errors.New("broken")
	good := func(w io.Writer) error { _, err := io.WriteString(w, "second"); return err }
	for i := range 3 {
		files := []File{{"edit.json", good}, {"curve.png", good}, {"edited.safetensors", good}}
		files[i].Fill = func(w io.Writer) error { return errors.Join(good(w), broken) }
		d, err := lockDir(fsys, "/run")
		if err != nil {
			t.Fatal(err)
		}
		if err := d.WriteTogether("edits/one", files...); !errors.Is(err, broken) || !strings.Contains(err.Error(), files[i].Name) {
			t.Errorf("%s: %v", files[i].Name, err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		if diff := difference(fsys.contents(), want); diff != "" {
			t.Errorf("%s: %s", files[i].Name, diff)
		}
		if names, err := fsys.names("/run/edits/one"); err != nil || len(names) != 3 {
			t.Errorf("%s: left %v, %v", files[i].Name, names, err)
		}
	}
}
