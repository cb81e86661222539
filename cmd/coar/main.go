// Command coar says which components of a trained network made a prediction, and which few to switch off to change it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
	_ "go4.org/unsafe/assume-no-moving-gc" // gorgonia does not start without this release of it

	"coar/internal/fault"
)

// exitInterrupted is the exit code after Ctrl-C, as shells have it.
const exitInterrupted = 130

// garbagePercent is how much garbage may pile up beside what is in use. Images and graphs are most of the memory and stay,
// so collecting often costs nothing, and a large heap does not grow to twice what it needs.
const garbagePercent = 15

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbagePercent)
	}
	os.Exit(execute(os.Args[1:]))
}

// execute runs the command line and returns the exit code: 0, a fault.Kind or exitInterrupted.
func execute(args []string) int {
	root := newRoot()
	root.SetArgs(args)
	ctx := context.Background()
	if !isReader(root, args) { // which can end anywhere
		var stop func()
		ctx, stop = signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
		defer stop()
		context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait for the first
	}
	cmd, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "coar: interrupted;", afterInterrupt(cmd))
		return exitInterrupted
	}
	fmt.Fprintln(os.Stderr, "coar:", err)
	return int(fault.KindOf(err))
}

// onlyReads annotates commands that change nothing.
const onlyReads = "coar_only_reads"

func isReader(root *cobra.Command, args []string) bool {
	cmd, _, err := root.Find(args)
	if err != nil {
		return false
	}
	_, ok := cmd.Annotations[onlyReads]
	return ok
}

// goesOn annotates commands that keep what they have measured when they are interrupted.
const goesOn = "coar_goes_on"

// afterInterrupt says what the same command does next. Those that do not go on write nothing before all of it is there.
func afterInterrupt(cmd *cobra.Command) string {
	if f := cmd.Flags().Lookup("save-gradients"); f != nil && f.Changed {
		return "the same command goes on, but for gradient rows, which --save-gradients begins again"
	}
	if _, ok := cmd.Annotations[goesOn]; ok {
		return "the same command goes on where it stopped"
	}
	return "nothing was changed, the same command begins again"
}
