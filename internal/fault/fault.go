// Package fault classifies errors by what the user has to do about them.
//
// Every package returns ordinary errors; those that a user can mend carry a Kind, which cmd/coar maps to an exit code.
package fault

import (
	"errors"
	"fmt"
)

// Kind says whose move is next. Its value is the process exit code.
type Kind int

const (
	// Failed is every error without another kind: the disk is full, the lock is held, no k was found.
	Failed Kind = 1
	// Usage is a flag, selection or source specification that cannot be meant.
	Usage Kind = 2
	// Missing is something that an earlier command has not produced yet.
	Missing Kind = 3
	// Conflict is two valid inputs that contradict each other.
	Conflict Kind = 4
	// Malformed is a file that cannot be read as what it claims to be.
	Malformed Kind = 5
)

// Error is an error of a known kind.
type Error struct {
	Kind Kind
	File string // the file at fault, where there is one
	Err  error
}

func (e *Error) Error() string {
	if e.File == "" {
		return e.Err.Error()
	}
	return e.File + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of the outermost Error in err's chain, Failed where there is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Failed
}

// InFile reports that file is malformed: format and args say where and how.
func InFile(file, format string, args ...any) error {
	return &Error{Kind: Malformed, File: file, Err: fmt.Errorf(format, args...)}
}

// Usagef reports a flag, selection or specification that cannot be meant.
func Usagef(format string, args ...any) error {
	return &Error{Kind: Usage, Err: fmt.Errorf(format, args...)}
}

// Missingf reports something that an earlier command should have produced.
func Missingf(format string, args ...any) error {
	return &Error{Kind: Missing, Err: fmt.Errorf(format, args...)}
}

// Conflictf reports valid inputs that contradict each other.
func Conflictf(format string, args ...any) error {
	return &Error{Kind: Conflict, Err: fmt.Errorf(format, args...)}
}
