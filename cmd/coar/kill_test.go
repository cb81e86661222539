package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"coar/internal/fault"
	"coar/internal/kernel"
	"coar/internal/store"
)

// child is coar as its own process; TestMain has put this test binary into the PATH under that name.
func child(t *testing.T, dir string, args ...string) (cmd *exec.Cmd, stderr *bytes.Buffer) {
	t.Helper()
	cmd = exec.Command("coar", args...)
	stderr = &bytes.Buffer{}
	cmd.Dir, cmd.Stderr = dir, stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it has ended already, unless the test failed
		_ = cmd.Wait()
	})
	return cmd, stderr
}

// exitCode waits for a child; -1 says that a signal ended it.
func exitCode(cmd *exec.Cmd) int {
	_ = cmd.Wait() // its state says all that there is to know
	return cmd.ProcessState.ExitCode()
}

// ablateArgs is the command that all tests here give, but for the number of rows.
func ablateArgs(run string, rows int) []string {
	return []string{"ablate", run, "--weights", "tiny.safetensors", "--data", "npy:images.npy,labels.npy", "--quiet", "-m", fmt.Sprint(rows), "--gradients", "40"}
}

// completed is how many rows of the run are completed, all of which must pass their checksums. A run that was stopped
// before its files were there has none.
func completed(t *testing.T, run string) int {
	t.Helper()
	a, err := store.OpenArrays(run, "")
	if fault.KindOf(err) == fault.Missing {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if err := a.Check(); err != nil {
		t.Fatal(err)
	}
	return len(a.CompletedRows())
}

// A run that is killed again and again loses no completed row, and ends in the files that an undisturbed one has.
func TestKill(t *testing.T) {
	const kills, step = 20, 250
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	if err := writeTiny(dir); err != nil {
		t.Fatal(err)
	}
	run := filepath.Join(dir, "RUN")
	rows, done, killed := step, 0, 0
	for killed < kills {
		cmd, stderr := child(t, dir, ablateArgs("RUN", rows)...)
		time.Sleep(time.Duration(rng.Int64N(int64(200 * time.Millisecond))))
		if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
		switch code := exitCode(cmd); code {
		case -1: // by the signal
			killed++
		case 0: // it was done sooner: go on with more rows, so that growing is interrupted, too
			rows += step
		default:
			t.Fatalf("exit code %d: %s", code, stderr)
		}
		now := completed(t, run)
		if now < done {
			t.Fatalf("%d rows were completed before kill %d, %d after it", done, killed, now)
		}
		done = now
	}
	t.Logf("%d of %d rows after %d kills", done, rows, killed)
	endsAsUndisturbed(t, dir, func(run string) []string { return ablateArgs(run, rows) })
}

// endsAsUndisturbed finishes RUN, and fails where its files are not those that the same command makes without a break.
func endsAsUndisturbed(t *testing.T, dir string, args func(run string) []string) {
	t.Helper()
	for _, name := range []string{"RUN", "WHOLE"} {
		cmd, stderr := child(t, dir, args(name)...)
		if code := exitCode(cmd); code != 0 {
			t.Fatalf("%s: exit code %d: %s", name, code, stderr)
		}
	}
	if err := sameTrees(filepath.Join(dir, "RUN"), filepath.Join(dir, "WHOLE")); err != nil {
		t.Error(err)
	}
}

// gradientRows is n, or a tenth of that with portable kernels, which take ten times as long for each.
func gradientRows(n int) string {
	if os.Getenv(kernel.EnvISA) == "portable" {
		n /= 10
	}
	return strconv.Itoa(n)
}

// Gradient rows that are killed again and again lose no example that is completed, count no row twice, and end in the
// files that an undisturbed run has.
func TestKillGradients(t *testing.T) {
	const kills = 6
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	if err := writeTiny(dir); err != nil {
		t.Fatal(err)
	}
	args := func(run string) []string {
		return []string{"ablate", run, "--weights", "tiny.safetensors", "--data", "npy:images.npy,labels.npy", "--quiet", "-m", "0", "--gradients", gradientRows(1500), "--batch", "1"}
	}
	done := 0
	for killed := 0; killed < kills; killed++ {
		cmd, stderr := child(t, dir, args("RUN")...)
		time.Sleep(time.Duration(rng.Int64N(int64(2 * time.Second))))
		if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
		if code := exitCode(cmd); code > 0 {
			t.Fatalf("exit code %d: %s", code, stderr)
		}
		report, err := store.Verify(filepath.Join(dir, "RUN"))
		if err != nil && fault.KindOf(err) != fault.Missing {
			t.Fatal(err)
		}
		now := 0
		if len(report.Gradients) > 0 {
			now = report.Gradients[0].Completed
		}
		if len(report.Problems) > 0 || now < done {
			t.Fatalf("%d examples were completed before kill %d, %d after it; %v", done, killed, now, report.Problems)
		}
		done = now
	}
	t.Logf("%d of %d examples after %d kills", done, tinyImages, kills)
	endsAsUndisturbed(t, dir, args)
}

// Gradient rows that are interrupted again and again lose nothing, though no example has had all its rows, and end in the files
// that an undisturbed run has.
func TestInterruptGradients(t *testing.T) {
	dir := t.TempDir()
	if err := writeTiny(dir); err != nil {
		t.Fatal(err)
	}
	args := func(run string) []string {
		return []string{"ablate", run, "--weights", "tiny.safetensors", "--data", "npy:images.npy,labels.npy", "--quiet", "-m", "0", "--gradients", gradientRows(2000)}
	}
	run := filepath.Join(dir, "RUN")
	var held int64
	for grown, wait := 0, 300*time.Millisecond; grown < 3; wait += 100 * time.Millisecond {
		if wait > 3*time.Second {
			t.Fatalf("%d bytes are held, and were after %d interrupts", held, grown)
		}
		cmd, stderr := child(t, dir, args("RUN")...)
		time.Sleep(wait)
		if err := cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
		if code := exitCode(cmd); code != 0 && code != exitInterrupted && code != -1 { // -1: before it listens
			t.Fatalf("exit code %d: %s", code, stderr)
		}
		report, err := store.Verify(run)
		if err != nil && fault.KindOf(err) != fault.Missing || len(report.Problems) > 0 {
			t.Fatal(err, report.Problems)
		}
		if len(report.Gradients) > 0 && report.Gradients[0].Completed > 0 {
			if held == 0 {
				t.Skip("examples had all their rows before the first interrupt")
			}
			break
		}
		now := heldBytes(t, run)
		if now < held {
			t.Fatalf("%d bytes were held before an interrupt, %d after it", held, now)
		}
		if now > held {
			grown++
		}
		held = now
	}
	endsAsUndisturbed(t, dir, args)
}

// Derivatives that are saved have their name once they are whole. A run that was stopped before begins them again.
func TestStoppedSaveBeginsAgain(t *testing.T) {
	dir := t.TempDir()
	if err := writeTiny(dir); err != nil {
		t.Fatal(err)
	}
	args := func(run string) []string {
		return []string{"ablate", run, "--weights", "tiny.safetensors", "--data", "npy:images.npy,labels.npy", "--quiet", "--batch", "2", "-m", "0",
			"--gradients", gradientRows(600), "--save-gradients", run + ".npy"}
	}
	saved := filepath.Join(dir, "RUN.npy")
	for _, signal := range []os.Signal{os.Interrupt, os.Kill} {
		cmd, stderr := child(t, dir, args("RUN")...)
		for begun := time.Now(); ; time.Sleep(5 * time.Millisecond) {
			if info, err := os.Stat(saved + ".partial"); err == nil && info.Size() > 0 {
				break
			}
			if time.Since(begun) > time.Minute {
				t.Fatal("no derivatives are being saved")
			}
		}
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		if code := exitCode(cmd); code != exitInterrupted && code != -1 {
			t.Fatalf("exit code %d: %s", code, stderr)
		}
		if _, err := os.Stat(saved); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("after %v there is a %s: %v", signal, saved, err)
		}
	}
	endsAsUndisturbed(t, dir, args)
	got, err := os.ReadFile(saved)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join(dir, "WHOLE.npy"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("the saved derivatives differ from those of an undisturbed run")
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*.partial")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// heldBytes is the size of what is held of examples: it grows with every row.
func heldBytes(t *testing.T, run string) int64 {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(run, "gradient", "held-*.npy"))
	if err != nil {
		t.Fatal(err)
	}
	var n int64
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		n += info.Size()
	}
	return n
}
