package main

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"coar/internal/fault"
	"coar/internal/store"
)

// Ctrl-C ends the program with its own exit code and leaves a run that goes on where it stopped. While it is measured,
// nobody else can write to it.
func TestInterruptAndSecondWriter(t *testing.T) {
	const rows = 50_000 // more than are measured before the interrupt
	dir := t.TempDir()
	if err := writeTiny(dir); err != nil {
		t.Fatal(err)
	}
	run := filepath.Join(dir, "RUN")
	done := 0
	for range 2 {
		first, said := child(t, dir, ablateArgs("RUN", rows)...)
		ended := make(chan int, 1)
		go func() { ended <- exitCode(first) }()
		for completed(t, run) <= done {
			select {
			case code := <-ended:
				t.Fatalf("exit code %d before the interrupt: %s", code, said)
			case <-time.After(5 * time.Millisecond):
			}
		}
		for _, args := range [][]string{ablateArgs("RUN", rows), {"fit", "RUN", "--quiet"}} {
			second, stderr := child(t, dir, args...)
			if code := exitCode(second); code != 1 || !strings.Contains(stderr.String(), "another process") {
				t.Errorf("coar %s on a run that is being written: exit code %d, %q", args[0], code, stderr)
			}
		}
		if err := first.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if code := <-ended; code != exitInterrupted || !strings.Contains(said.String(), "the same command goes on where it stopped") {
			t.Errorf("after an interrupt: exit code %d, %q", code, said)
		}
		now := completed(t, run)
		if now <= done || now == rows {
			t.Errorf("%d of %d rows are completed after an interrupt, %d before", now, rows, done)
		}
		done = now
	}
}

// interruptWhen interrupts a child once begun says so, and wants the exit code and words of an interrupt. It is false where the
// child was done sooner.
func interruptWhen(t *testing.T, dir string, begun func() bool, words string, args ...string) bool {
	t.Helper()
	cmd, said := child(t, dir, args...)
	ended := make(chan int, 1)
	go func() { ended <- exitCode(cmd) }()
	for !begun() {
		select {
		case code := <-ended:
			if code != 0 {
				t.Fatalf("coar %s: exit code %d before the interrupt: %s", args[0], code, said)
			}
			return false
		case <-time.After(5 * time.Millisecond):
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	code := <-ended
	if code != 0 && (code != exitInterrupted || said.String() != "coar: interrupted; "+words+"\n") {
		t.Errorf("coar %s after an interrupt: exit code %d, %q", args[0], code, said)
	}
	return code != 0
}

// After an interrupt a fit has left everything as it was, and says so; an evaluation has kept what it measured.
func TestInterruptSaysWhatIsLeft(t *testing.T) {
	dir := t.TempDir()
	if err := writeTiny(dir); err != nil {
		t.Fatal(err)
	}
	run := filepath.Join(dir, "RUN")
	for _, args := range [][]string{ablateArgs("RUN", 100), {"fit", "RUN", "--quiet"}} {
		cmd, stderr := child(t, dir, args...)
		if code := exitCode(cmd); code != 0 {
			t.Fatalf("coar %s: exit code %d: %s", args[0], code, stderr)
		}
	}
	writing := func() bool {
		_, err := os.Stat(filepath.Join(run, "."+store.AttributionsName+".tmp"))
		return err == nil
	}
	for interrupted := false; !interrupted; { // the fit is half a second's work
		before, err := contents(run)
		if err != nil {
			t.Fatal(err)
		}
		interrupted = interruptWhen(t, dir, writing, "nothing was changed, the same command begins again", "fit", "RUN", "--quiet", "--prior", "none", "--path-length", "10000")
		after, err := contents(run)
		if err != nil {
			t.Fatal(err)
		}
		if interrupted && !maps.EqualFunc(before, after, bytes.Equal) {
			t.Error("an interrupted fit has changed the run")
		}
	}
	const rows = 50_000 // more than are measured before the interrupt
	measured := func() int {
		a, err := store.OpenEvaluationRows(run, 0.1, 1)
		if fault.KindOf(err) == fault.Missing {
			return 0
		}
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		return len(a.CompletedRows())
	}
	for range 2 {
		done := measured()
		if !interruptWhen(t, dir, func() bool { return measured() > done }, "the same command goes on where it stopped", "evaluate", "RUN", "--quiet", "--rows", strconv.Itoa(rows)) {
			t.Error("coar evaluate was not interrupted")
		}
		if now := measured(); now <= done || now == rows {
			t.Errorf("%d of %d rows are measured after an interrupt, %d before", now, rows, done)
		}
	}
}

// Every command says of itself what it does after an interrupt.
func TestAfterInterrupt(t *testing.T) {
	var goOn []string
	for _, c := range newRoot().Commands() {
		if strings.Contains(afterInterrupt(c), "goes on") {
			goOn = append(goOn, c.Name())
		}
	}
	if want := []string{"ablate", "demo", "evaluate"}; !slices.Equal(goOn, want) {
		t.Errorf("%v go on, want %v", goOn, want)
	}
}
