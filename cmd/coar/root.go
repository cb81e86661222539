package main

import (
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"coar/internal/fault"
)

// version is the program's version, recorded in every run.
const version = "0.4.7"

// globals are the flags that every command has.
type globals struct {
	json     bool
	quiet    bool
	logLevel string
	config   string
}

func newRoot() *cobra.Command {
	g := &globals{}
	root := &cobra.Command{
		Use:   "coar",
		Short: "Which parts of a network made this prediction, and which few would change it?",
		Long: `coar ablates random subsets of a trained network's components (convolution filters, rows of linear layers),
records each example's margin, and fits per-example attributions that predict what any ablation does.

  coar ablate RUN --weights resnet20.th --data cifar10:DIR --examples 0-99 -m 6000
  coar fit RUN
  coar evaluate RUN
  coar show RUN --example 42
  coar edit RUN --fix 42

coar demo does all of it on networks and images that it carries.`,
		Version:           version,
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		Args:              cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fault.Usagef("there is no command %q; coar --help lists them", args[0])
			}
			return cmd.Help()
		},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return g.apply(cmd) },
	}
	f := root.PersistentFlags()
	f.BoolVar(&g.json, "json", false, "print one JSON object instead of text")
	f.BoolVar(&g.quiet, "quiet", false, "no progress on standard error")
	f.StringVar(&g.logLevel, "log-level", "info", "debug, info, warn or error")
	f.StringVar(&g.config, "config", "", "TOML file with values for flags; flags on the command line win")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fault.Usagef("%v", err) })
	root.AddCommand(newAblate(g), newFit(g), newEvaluate(g), newShow(g), newEdit(g), newInspect(g), newDemo(g))
	return root
}

// apply reads the configuration file and sets up logging; it runs before every command.
func (g *globals) apply(cmd *cobra.Command) error {
	if g.config != "" {
		if err := applyConfig(cmd, g.config); err != nil {
			return err
		}
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(g.logLevel)); err != nil {
		return fault.Usagef("--log-level %q: want debug, info, warn or error", g.logLevel)
	}
	if g.quiet && level < slog.LevelWarn {
		level = slog.LevelWarn
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level, ReplaceAttr: dropTime})))
	return nil
}

// dropTime leaves the clock out of log lines: what is logged is progress, and it carries its own durations.
func dropTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// out is where a command prints its result.
func (g *globals) out(cmd *cobra.Command) io.Writer { return cmd.OutOrStdout() }

// oneRun is the argument check of commands on one run directory.
func oneRun(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fault.Usagef("%s takes one argument: %s", cmd.CommandPath(), strings.TrimPrefix(cmd.Use, cmd.Name()+" "))
	}
	if args[0] == "" {
		return fault.Usagef("%s: the name of the run is empty", cmd.CommandPath())
	}
	return nil
}
