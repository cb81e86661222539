package main

import (
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/BurntSushi/toml"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"coar/internal/fault"
)

// applyConfig sets flags from a TOML file: keys at the top are flags of whatever command runs, keys in a table named
// after a command are flags of that one and win over those at the top. A flag on the command line wins over both; a key that
// is no flag is an error.
func applyConfig(cmd *cobra.Command, file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return fault.InFile(file, "--config: %v", err)
	}
	var keys map[string]any
	if err := toml.Unmarshal(b, &keys); err != nil {
		return fault.InFile(file, "--config: %v", err)
	}
	own, _ := keys[cmd.Name()].(map[string]any)
	flags := maps.Clone(own)
	if flags == nil {
		flags = map[string]any{}
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		_, nested := keys[key].(map[string]any)
		if nested && !isCommand(cmd.Root(), key) {
			return fault.Usagef("%s: table [%s] names no command", file, key)
		}
		if _, given := own[key]; !nested && !given {
			flags[key] = keys[key]
		}
	}
	for _, key := range slices.Sorted(maps.Keys(flags)) {
		if err := setFlag(cmd, file, key, flags[key]); err != nil {
			return err
		}
	}
	return nil
}

func isCommand(root *cobra.Command, name string) bool {
	for _, c := range root.Commands() {
		if c.Name() == name {
			return true
		}
	}
	return false
}

// setFlag gives a flag the value of the file unless the command line gave one.
func setFlag(cmd *cobra.Command, file, key string, value any) error {
	flag := cmd.Flags().Lookup(key)
	if flag == nil {
		return fault.Usagef("%s: %q is no flag of %s", file, key, cmd.CommandPath())
	}
	if flag.Changed {
		return nil
	}
	values, isList := value.([]any)
	if !isList {
		values = []any{value}
	}
	if _, takesMany := flag.Value.(pflag.SliceValue); isList && !takesMany {
		return fault.Usagef("%s: %s takes one value, not a list", file, key)
	}
	for _, v := range values {
		if err := cmd.Flags().Set(key, fmt.Sprint(v)); err != nil {
			return fault.Usagef("%s: %s = %v: %v", file, key, v, err)
		}
	}
	return nil
}
