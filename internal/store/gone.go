package store

import (
	"io/fs"

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
	return "the file was finished and is gone; " + remedy(string(name))
}

func (goneError) Is(target error) bool { return target == fs.ErrNotExist }

// remedy says what to do about a finished file that is gone or has changed.
func remedy(name string) string {
	if command := madeBy(name); command != "coar ablate" {
		return "run " + command + " again, or restore the file from a copy"
	}
	return "restore it from a copy or start the run again"
}
