package models

import (
	"runtime"
	"testing"
	"time"

	"coar/internal/kernel"
)

// rowAllocations is the number of allocations of one row, the program warm.
func rowAllocations(t *testing.T, w *synthetic, bf16 bool, batch, side int) float64 {
	t.Helper()
	m, err := Open(w, Options{})
	if err != nil {
		t.Fatal(err)
	}
	set, err := kernel.Detect(bf16)
	if err != nil {
		t.Fatal(err)
	}
	prog, err := m.NewProgram(Build{Set: set, BF16: bf16, Batch: batch, Height: side, Width: side})
	if err != nil {
		t.Fatal(err)
	}
	defer prog.Close()
	keep := make([]float32, m.Components())
	prog.Load()
	row := 0
	run := func() {
		row++
		for c := range keep {
			keep[c] = float32((c + row) % 3 % 2)
		}
		prog.SetKeep(keep)
		if _, err := prog.Run(); err != nil {
			t.Fatal(err)
		}
	}
	for range 6 { // lists of rows and channels grow to what the patterns of ablations need
		run()
	}
	least := testing.AllocsPerRun(20, run)
	for range 4 { // other goroutines of the runtime allocate now and then
		least = min(least, testing.AllocsPerRun(20, run))
	}
	return least
}

func TestARowAllocatesNothing(t *testing.T) {
	for what, c := range map[string]struct {
		net  *synthetic
		side int
	}{
		"mini ResNet":        {mini("layer.%d", 40, 1), 32},
		"vision transformer": {transformer(128, 320, 1, 4, 28, "0", "3"), 28},
	} {
		for _, bf16 := range precisions(t) {
			if n := rowAllocations(t, c.net, bf16, 4, c.side); n > 0 {
				t.Errorf("%s, bfloat16 %t: %g allocations per row", what, bf16, n)
			}
		}
	}
}

// precisions are the values of Build.BF16 that the kernels have.
func precisions(t *testing.T) []bool {
	t.Helper()
	set, err := kernel.Detect(true)
	if err != nil {
		t.Fatal(err)
	}
	if set.BF16() {
		return []bool{false, true}
	}
	return []bool{false}
}

// Engines close programs to make room for others, so that what a closed one held must be free again.
func TestAClosedProgramHoldsNoMemory(t *testing.T) {
	m, err := Open(mini("layer.%d", 40, 1), Options{})
	if err != nil {
		t.Fatal(err)
	}
	set, err := kernel.Detect(false)
	if err != nil {
		t.Fatal(err)
	}
	for _, gradients := range []bool{false, true} {
		inUse := func() int64 {
			var s runtime.MemStats
			for range 3 { // finalizers run after the first collection, and what they held is freed by a later one
				runtime.GC()
				time.Sleep(10 * time.Millisecond)
			}
			runtime.ReadMemStats(&s)
			return int64(s.HeapAlloc)
		}
		before, bytes := inUse(), int64(0)
		for range 8 {
			prog, err := m.NewProgram(Build{Set: set, Batch: 8, Height: 32, Width: 32, Gradients: gradients})
			if err != nil {
				t.Fatal(err)
			}
			bytes = prog.Bytes()
			prog.Close()
		}
		if held := inUse() - before; held > 2*bytes {
			t.Errorf("gradients %t: 8 closed programs of %d bytes hold %d", gradients, bytes, held)
		}
	}
}
