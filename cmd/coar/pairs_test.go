package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"coar/internal/fault"
	"coar/internal/kernel"
	"coar/internal/store"
)

// A factor is something that a command may or may not say, or that may befall it.
type factor int

const (
	fRows factor = iota
	fGradients
	fSave
	fExamples
	fGroups
	fFraction
	fSeed
	fOutput
	fDType
	fPrecision
	fPixels
	fSplit
	fFirst // what happens to the first attempt
	fAgain // how it is gone on with
	nFactors
)

const (
	killed      = "killed"
	interrupted = "interrupted"
	fewerRows   = "fewer rows"
	sameCommand = "same command"
	onlyNeeded  = "only what a run does not remember"
)

var factorValues = [nFactors][]string{
	fRows:      {"-m 40", "-m 0", "--masks-file rows.npy", "--masks-file soft.npy"},
	fGradients: {"--gradients 30", "", "--gradients 0", "--until 0.95 --gradients 100"},
	fSave:      {"", "--save-gradients"},
	fExamples:  {"--examples every:3", "--examples 5-9,0", "--examples errors"},
	fGroups:    {"", "--exclude conv1.*", "--include layer.*.conv2.weight"},
	fFraction:  {"", "--fraction 0.3"},
	fSeed:      {"", "--seed 5"},
	fOutput:    {"", "--output logodds", "--output logit:1"},
	fDType:     {"", "--dtype float16"},
	fPrecision: {"", "--precision bf16"},
	fPixels:    {"", "--mean 0.5,0.5,0.5 --std 0.2,0.2,0.2"},
	fSplit:     {"", "--split train"},
	fFirst:     {killed, interrupted, fewerRows},
	fAgain:     {sameCommand, onlyNeeded},
}

// A choice has the index of a value for every factor, -1 where it is open.
type choice [nFactors]int

// value is the factor's, "" where it is open.
func (c choice) value(f factor) string {
	if c[f] < 0 {
		return ""
	}
	return factorValues[f][c[f]]
}

// impossible reports whether coar refuses the command, or the first attempt is not one, whatever is chosen for open factors.
func (c choice) impossible() bool {
	rows, slopes := c.value(fRows), c.value(fGradients)
	file, until, save := strings.HasPrefix(rows, "--masks-file"), strings.HasPrefix(slopes, "--until"), c.value(fSave) != ""
	fewer := c.value(fFirst) == fewerRows
	switch {
	case file && (c.value(fGroups) != "" || c.value(fFraction) != ""): // it has columns for all components, and its own fraction
		return true
	case until && (file || save || rows == "-m 0"):
		return true
	case rows == "--masks-file soft.npy" && slopes == "--gradients 30": // it has five
		return true
	case save && slopes == "--gradients 0":
		return true
	case save && c[fGradients] >= 0 && slopes == "" && (rows == "-m 0" || rows == "--masks-file rows.npy"): // there are none by default
		return true
	case c.value(fPrecision) != "" && !hasBF16():
		return true
	case fewer && (rows == "-m 0" || rows == "--masks-file soft.npy" || save || until): // none fewer; a new run; fewer looks
		return true
	}
	return false
}

func hasBF16() bool {
	set, err := kernel.Detect(true)
	return err == nil && set.BF16()
}

// A pair is two values of two factors, of which f is the first.
type pair struct {
	f, g factor
	a, b int
}

// pairs are those with f that c has.
func (c choice) pairs(f factor) []pair {
	var list []pair
	for g := range nFactors {
		if first, second := min(f, g), max(f, g); g != f && c[g] >= 0 {
			list = append(list, pair{first, second, c[first], c[second]})
		}
	}
	return list
}

// fill chooses what is open, each with the most pairs that are not covered; ok is false where that comes to nothing possible.
func (c choice) fill(covered map[pair]bool) (_ choice, ok bool) {
	for f := range nFactors {
		if c[f] >= 0 {
			continue
		}
		best, most := -1, -1
		for v := range factorValues[f] {
			c[f] = v
			fresh := len(slices.DeleteFunc(c.pairs(f), func(p pair) bool { return covered[p] }))
			if fresh > most && !c.impossible() {
				best, most = v, fresh
			}
		}
		if c[f] = best; best < 0 {
			return c, false
		}
	}
	return c, true
}

// allPairs lists the pairs of all factors' values.
func allPairs() []pair {
	var list []pair
	for f := range nFactors {
		for g := f + 1; g < nFactors; g++ {
			for a := range factorValues[f] {
				for b := range factorValues[g] {
					list = append(list, pair{f, g, a, b})
				}
			}
		}
	}
	return list
}

// open is nothing chosen.
func open() choice { return choice(slices.Repeat([]int{-1}, int(nFactors))) }

// pairwise chooses cases so that any two values of two factors, if they are possible together, are in one of them.
func pairwise() []choice {
	var cases []choice
	covered := map[pair]bool{}
	for _, p := range allPairs() {
		c := open()
		c[p.f], c[p.g] = p.a, p.b
		c, ok := c.fill(covered)
		if covered[p] || !ok {
			continue
		}
		cases = append(cases, c)
		for f := range nFactors {
			for _, p := range c.pairs(f) {
				covered[p] = true
			}
		}
	}
	return cases
}

// args is the command for a run, in words.
func (c choice) args(run string) []string {
	return append([]string{"ablate", run, "--quiet", "--weights", "tiny.safetensors", "--data", "npy:images.npy,labels.npy"}, c.flags(run)...)
}

// flags are those that the factors stand for.
func (c choice) flags(run string) []string {
	var flags []string
	for f := range fFirst {
		flags = append(flags, strings.Fields(c.value(f))...)
		if f == fSave && c.value(f) != "" {
			flags = append(flags, run+".npy")
		}
	}
	return flags
}

// firstArgs is the command of the first attempt.
func (c choice) firstArgs(run string) []string {
	args := c.args(run)
	if c.value(fFirst) == fewerRows {
		args = append(args, "-m", "3")
	}
	return args
}

// againArgs is the command that goes on.
func (c choice) againArgs(run string) []string {
	if c.value(fAgain) == sameCommand {
		return c.args(run)
	}
	needed := open()
	needed[fSave] = c[fSave]
	if rows := c.value(fRows); c.value(fFirst) == fewerRows || strings.HasPrefix(rows, "--masks-file") {
		needed[fRows] = c[fRows]
	}
	if strings.HasPrefix(c.value(fGradients), "--until") {
		needed[fGradients] = c[fGradients]
	}
	return append([]string{"ablate", run, "--quiet"}, needed.flags(run)...)
}

// Whatever two flags are given together, and wherever the first attempt stopped, a run that is gone on with ends in the files of one
// that was not disturbed, and so do its fit and the derivatives that it saves; with other numbers of workers and examples per pass.
func TestPairsOfFlags(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for _, c := range pairwise() {
		t.Run(strings.Join(append(c.flags("RUN"), c.value(fFirst), c.value(fAgain)), " "), func(t *testing.T) { c.disturb(t, rng) })
	}
}

func (c choice) disturb(t *testing.T, rng *rand.Rand) {
	dir := t.TempDir()
	if err := writeTiny(dir); err != nil {
		t.Fatal(err)
	}
	succeed := func(args ...string) {
		t.Helper()
		cmd, stderr := child(t, dir, args...)
		if code := exitCode(cmd); code != 0 {
			t.Fatalf("coar %s: exit code %d: %s", strings.Join(args, " "), code, stderr)
		}
	}
	begun := time.Now()
	succeed(append(c.args("WHOLE"), "--workers", "1", "--batch", "1")...)
	took := time.Since(begun)

	cmd, stderr := child(t, dir, c.firstArgs("RUN")...)
	if signal, ok := map[string]os.Signal{killed: os.Kill, interrupted: os.Interrupt}[c.value(fFirst)]; ok {
		time.Sleep(time.Duration(rng.Int64N(int64(took))))
		_ = cmd.Process.Signal(signal) // it may have ended
	}
	code := exitCode(cmd)
	if code > 0 && code != exitInterrupted {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	run, whole := filepath.Join(dir, "RUN"), filepath.Join(dir, "WHOLE")
	report, err := store.Verify(run)
	if err != nil && fault.KindOf(err) != fault.Missing || len(report.Problems) > 0 {
		t.Fatal(err, report.Problems)
	}
	again := c.againArgs("RUN")
	if _, err := os.Stat(filepath.Join(run, store.ManifestName)); err != nil {
		again = c.args("RUN") // nothing is remembered
	}
	if _, err := os.Stat(run + ".npy"); err == nil {
		again = slices.DeleteFunc(again, func(arg string) bool { return arg == "--save-gradients" || arg == "RUN.npy" })
	}
	succeed(append(again, "--workers", "3", "--batch", "5")...)
	succeed("inspect", "RUN")
	t.Logf("exit code %d, of %v", code, took)

	left, _ := child(t, dir, "fit", "RUN", "--quiet", "--workers", "1")
	right, _ := child(t, dir, "fit", "WHOLE", "--quiet", "--workers", "3")
	if l, r := exitCode(left), exitCode(right); l != r {
		t.Errorf("fit: exit codes %d and %d", l, r)
	}
	if err := sameTrees(run, whole); err != nil {
		t.Error(err)
	}
	if c.value(fSave) != "" {
		if err := sameTrees(run+".npy", whole+".npy"); err != nil {
			t.Error(err)
		}
	}
}
