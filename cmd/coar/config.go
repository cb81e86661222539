package main

import (
	"fmt"
	"os"

	"github.com/BurntSushi/toml"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"coar/internal/fault"
)

// applyConfig sets flags from a TOML file: keys at the top are flags of whatever command runs, keys in a table named
// after a command are flags of that one. A flag on the command line wins; a key that is no flag is an error.
func applyConfig(cmd *cobra.Command, file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return fault.InFile(file, "--config: %v", err)
	}
	var keys map[string]any
	if err := toml.Unmarshal(b, &keys); err != nil {
		return fault.InFile(file, "--config: %v", err)
	}
	for key, value := range keys {
		table, nested := value.(map[string]any)
		switch {
		case !nested:
			if err := setFlag(cmd, file, key, value); err != nil {
				return err
			}
		case key == cmd.Name():
			for k, v := range table {
				if err := setFlag(cmd, file, k, v); err != nil {
					return err
				}
			}
		case !isCommand(cmd.Root(), key):
			return fault.Usagef("%s: table [%s] names no command", file, key)
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
