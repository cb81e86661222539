package store

// Report is what Verify found.
type Report struct {
	Manifest  *Manifest // nil for a bare directory, or where run.json cannot be read
	NRows     int       // rows asked for
	Completed int       // rows that are completed
	// Gradients lists the lots of gradient rows.
	Gradients []GradientState
	// Evaluation lists the sets of evaluation rows.
	Evaluation []EvaluationState
	// Sealed and Unsealed name the files that are as checksums.json says, and those that it does not list.
	Sealed, Unsealed []string
	// Problems is the damage: what resuming does not mend. Empty for a sound run.
	Problems []Problem
	// Unfinished says what an interrupted command left to do. Running it again finishes it.
	Unfinished []string
}

// GradientState is the state of one lot of gradient rows.
type GradientState struct {
	GradientLot
	Completed int // examples
}

// EvaluationState is the state of one set of evaluation rows.
type EvaluationState struct {
	Folder           string // relative to the run, with slashes
	NRows, Completed int
}

// State sums a report up.
type State int

const (
	// Finished: every row is completed, every array is sealed, nothing is wrong.
	Finished State = iota
	// Interrupted: sound, but something is left to do; running the command again goes on where it stopped.
	Interrupted
	// Damaged: a file is not what was written.
	Damaged
)

// String names the state in a word.
func (s State) String() string {
	return [...]string{"finished", "interrupted", "damaged"}[s]
}

// State is Damaged if there is any problem, else Interrupted if anything is unfinished, else Finished.
func (r *Report) State() State {
	switch {
	case len(r.Problems) > 0:
		return Damaged
	case len(r.Unfinished) > 0:
		return Interrupted
	}
	return Finished
}
