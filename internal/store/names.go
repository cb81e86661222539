package store

import (
	"path"
	"regexp"
	"strconv"
	"strings"

	"coar/internal/fault"
)

// Names of the result files in a run.
const (
	BaseMarginsName     = "base_margins.npy"     // float32 [nExamples], nothing ablated
	BasePredictionsName = "base_predictions.npy" // int32 [nExamples], the model's answer, nothing ablated
	AttributionsName    = "attributions.npy"     // float32 [nExamples, nComponents], logits
	ErrorsName          = "attributions_se.npy"  // float32 [nExamples, nComponents], their standard errors, logits
	InterceptName       = "intercept.npy"        // float32 [nExamples], logits
	LambdaName          = "lambda.npy"           // float32 [nExamples]
	FitName             = "fit.json"             // what the fit was
	EvaluationName      = "evaluation/evaluation.json"
)

// madeBy says which command makes a result file.
func madeBy(name string) string {
	switch name {
	case AttributionsName, ErrorsName, InterceptName, LambdaName, FitName:
		return "coar fit"
	}
	if strings.HasPrefix(name, "evaluation/") {
		return "coar evaluate"
	}
	if path.Dir(path.Dir(name)) == "edits" {
		return "coar edit"
	}
	return "coar ablate"
}

// rowNames are the four files of a set of rows, relative to the run, with slashes.
type rowNames struct{ masks, margins, checksums, completed string }

// trainNames are the files of the rows that a run is fitted on.
func trainNames(split string) rowNames {
	return rowNames{"masks.npy", split + marginsSuffix, "_checksums.npy", "_completed.npy"}
}

// evaluationNames are the files of the rows measured for evaluation at one fraction and seed.
func evaluationNames(fraction float64, seed uint64) rowNames {
	dir := path.Join("evaluation", "rows-"+strconv.FormatFloat(fraction, 'g', -1, 64)+"-"+strconv.FormatUint(seed, 10))
	return evaluationNamesIn(dir)
}

func evaluationNamesIn(dir string) rowNames {
	return rowNames{
		path.Join(dir, "masks.npy"), path.Join(dir, "margins.npy"),
		path.Join(dir, "_checksums.npy"), path.Join(dir, "_completed.npy"),
	}
}

// isOwn reports whether a file is the store's own, not a result.
func isOwn(name string) bool {
	switch base := path.Base(name); base {
	case ManifestName, sealsName, lockName, "masks.npy", "margins.npy", "sum.npy", "sumsq.npy", "kept_sum.npy", "_checksums.npy", "_completed.npy":
		return true
	default:
		return isTemp(base) || (strings.HasSuffix(base, marginsSuffix) && base != BaseMarginsName)
	}
}

const marginsSuffix = "_margins.npy"

// MaxEditName is how many characters the name of an edit can have.
const MaxEditName = 100

var editPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// EditPath is the folder of the named edit, relative to the run, with slashes: edits/NAME.
//
// Errors: fault.Usage for a name that is not letters, digits, dots, - and _, or that starts with one of the last three,
// or that is longer than MaxEditName.
func EditPath(name string) (string, error) {
	if !editPattern.MatchString(name) || len(name) > MaxEditName {
		return "", fault.Usagef("--name %.80q: a name starts with a letter or digit and has at most %d letters, digits, '.', '-', '_'", name, MaxEditName)
	}
	return path.Join("edits", name), nil
}
