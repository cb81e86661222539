package store

import (
	"fmt"
	"slices"

	"coar/internal/fault"
)

// Conflicts says what keeps a run with manifest have from being resumed by a command that wants the manifest want: the
// first field that differs, with both values. It returns nil if nothing does.
//
// Paths, the data source's spelling, and a layout and class names that one side leaves open are hints and may differ, as may the program's
// version, the number of rows (a run grows, it never shrinks) and the globs, as long as they choose the same groups. The
// instruction set is Prepare's business.
//
// Errors: fault.Conflict.
func Conflicts(have, want Manifest) error {
	for _, f := range []struct {
		name       string
		have, want any
	}{
		{"arch", have.Arch, want.Arch},
		{"heads", have.Heads, want.Heads},
		{"weights.sha256", have.Weights.SHA256, want.Weights.SHA256},
		{"data.sha256", have.Data.SHA256, want.Data.SHA256},
		{"split", have.Split, want.Split},
		{"masks_file_sha256", have.MasksSHA, want.MasksSHA}, // before the fraction, which follows from the file
		{"gradient_rows_sha256", have.SoftSHA, want.SoftSHA},
		{"fraction", have.Fraction, want.Fraction},
		{"seed", have.Seed, want.Seed},
		{"output", have.Output, want.Output},
		{"dtype", have.DType, want.DType},
		{"precision", have.Precision, want.Precision},
		{"preprocessing.resize", have.Preprocessing.Resize, want.Preprocessing.Resize},
		{"preprocessing.crop", have.Preprocessing.Crop, want.Preprocessing.Crop},
		{"preprocessing.interpolation", have.Preprocessing.Interpolation, want.Preprocessing.Interpolation},
	} {
		if f.have != f.want {
			return conflict(f.name, f.have, f.want)
		}
	}
	if h, w := have.Data.Layout, want.Data.Layout; h != w && h != "" && w != "" {
		return conflict("data.layout", h, w)
	}
	for _, err := range []error{
		conflictIn("preprocessing.mean", have.Preprocessing.Mean, want.Preprocessing.Mean),
		conflictIn("preprocessing.std", have.Preprocessing.Std, want.Preprocessing.Std),
		conflictIn("example_ids", have.ExampleIDs, want.ExampleIDs),
		conflictIn("positions", have.Positions, want.Positions),
		conflictIn("labels", have.Labels, want.Labels),
		conflictIn("groups", have.Groups, want.Groups),
	} {
		if err != nil {
			return err
		}
	}
	if len(have.Classes) > 0 && len(want.Classes) > 0 {
		return conflictIn("classes", have.Classes, want.Classes)
	}
	return nil
}

// conflictIn compares two lists and names their first different entry.
func conflictIn[T comparable](name string, have, want []T) error {
	if len(have) != len(want) {
		return conflict("the number of "+name, len(have), len(want))
	}
	for i := range have {
		if have[i] != want[i] {
			return conflict(fmt.Sprintf("%s[%d]", name, i), have[i], want[i])
		}
	}
	return nil
}

// conflict is the error for one field.
func conflict(field string, have, want any) error {
	return fault.Conflictf("run.json: %s is %s, this command says %s; use another directory", field, short(have), short(want))
}

// short prints a value in at most 70 characters.
func short(v any) string {
	s := fmt.Sprint(v)
	if text, ok := v.(string); ok {
		if text == "" {
			return "empty"
		}
		s = fmt.Sprintf("%q", text)
	}
	if r := []rune(s); len(r) > 70 {
		s = string(slices.Concat(r[:67], []rune("...")))
	}
	return s
}
