package store

import (
	"io/fs"
	"strings"

	"coar/internal/fault"
)

// gone is otherwise, or what is to be said of a file that was there once: checksums.json lists it.
func gone(fsys fileSystem, dir, name string, otherwise error) error {
	sealed, err := readSeals(fsys, dir)
	if err != nil {
		return err
	}
	if _, ok := sealed[name]; ok {
		return &fault.Error{Kind: fault.Malformed, File: inRun(dir, name), Err: goneError(name)}
	}
	return otherwise
}

// goneError names a file that was finished and is gone: to errors.Is, one that does not exist.
type goneError string

func (name goneError) Error() string {
	return "the file is gone, but checksums.json lists it as finished; " + remedy(string(name))
}

func (goneError) Is(target error) bool { return target == fs.ErrNotExist }

// remedy says what to do about a finished file that is gone or has changed.
func remedy(name string) string {
	switch {
	case strings.HasPrefix(name, "evaluation/rows-"):
		return "restore it from a copy, or evaluate with another --seed"
	case name == BaseMarginsName || name == BasePredictionsName || madeBy(name) != "coar ablate":
		return "restore it from a copy, or remove it if it is there and run " + madeBy(name) + " again"
	}
	return "restore it from a copy or start the run again"
}
