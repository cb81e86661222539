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
// is no flag is an error, in another command's table, too: who misspells one should not learn of it from that command's results.
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
		table, nested := keys[key].(map[string]any)
		if nested {
			if err := checkTable(cmd.Root(), file, key, table); err != nil {
				return err
			}
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

// checkTable refuses a table that is named after no command, and keys in it that are no flags of its command.
func checkTable(root *cobra.Command, file, name string, table map[string]any) error {
	for _, c := range root.Commands() {
		if c.Name() != name {
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(table)) {
			if c.Flag(key) == nil {
				return notAFlag(c, file, key)
			}
		}
		return nil
	}
	return fault.Usagef("%s: table [%s] names no command", file, name)
}

func notAFlag(cmd *cobra.Command, file, key string) error {
	return fault.Usagef("%s: %q is no flag of %s", file, key, cmd.CommandPath())
}

// setFlag gives a flag the value of the file unless the command line gave one.
func setFlag(cmd *cobra.Command, file, key string, value any) error {
	flag := cmd.Flags().Lookup(key)
	if flag == nil {
		return notAFlag(cmd, file, key)
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
	return cmd.Flags().SetAnnotation(key, fromConfig, nil)
}

// fromConfig annotates flags whose value is a configuration file's.
const fromConfig = "coar_from_config"

// onCommandLine says whether the command line gave a flag. What a configuration file says is meant for every use of its command,
// so of flags that have no meaning in one of them only these are a mistake.
func onCommandLine(cmd *cobra.Command, name string) bool {
	flag := cmd.Flags().Lookup(name)
	_, config := flag.Annotations[fromConfig]
	return flag.Changed && !config
}
