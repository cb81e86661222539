package store

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"unicode/utf8"
)

// MaxRows is how many rows of a kind a run may have: far above any use, and a row costs a byte of memory.
const MaxRows = 1 << 26

// Bounds on what a manifest may claim, far above any use. Products of two of them, in bytes, fit 64 bits.
const (
	maxManifestBytes = 256 << 20
	maxCount         = math.MaxInt32 // components, labels
	maxLots          = 1000          // of gradient rows
	maxText          = 4096          // bytes of one id, key, name or path
)

var (
	sha256Pattern = regexp.MustCompile(`^[0-9a-f]{64}$`)
	splitPattern  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)
)

// validate checks that every field can be meant and that the fields agree.
func (m *Manifest) validate() error {
	if m.Format != formatVersion {
		return fmt.Errorf("format is %d, this program reads %d", m.Format, formatVersion)
	}
	if err := m.validateTexts(); err != nil {
		return err
	}
	if err := m.validateExamples(); err != nil {
		return err
	}
	if err := m.validateGroups(); err != nil {
		return err
	}
	switch {
	case m.Heads < 0 || m.Heads > maxCount:
		return fmt.Errorf("heads is %d", m.Heads)
	case !sha256Pattern.MatchString(m.Weights.SHA256):
		return fmt.Errorf("weights.sha256 is %.80q, not 64 hex digits", m.Weights.SHA256)
	case !sha256Pattern.MatchString(m.Data.SHA256):
		return fmt.Errorf("data.sha256 is %.80q, not 64 hex digits", m.Data.SHA256)
	case m.MasksSHA != "" && !sha256Pattern.MatchString(m.MasksSHA):
		return fmt.Errorf("masks_file_sha256 is %.80q, not 64 hex digits", m.MasksSHA)
	case m.SoftSHA != "" && !sha256Pattern.MatchString(m.SoftSHA):
		return fmt.Errorf("gradient_rows_sha256 is %.80q, not 64 hex digits", m.SoftSHA)
	case !(m.Fraction >= 0 && m.Fraction <= 1):
		return fmt.Errorf("fraction is %v, not between 0 and 1", m.Fraction)
	case m.Masks < 0 || m.Masks > MaxRows:
		return fmt.Errorf("masks is %d", m.Masks)
	case !validSplit(m.Split):
		return fmt.Errorf("split is %.80q; letters, digits, - and _ make one, and base is taken", m.Split)
	case m.DType != "float16" && m.DType != "float32":
		return fmt.Errorf("dtype is %.80q, not float16 or float32", m.DType)
	case m.Preprocessing.Resize < 0 || m.Preprocessing.Crop < 0:
		return errors.New("preprocessing has a negative size")
	case len(m.Preprocessing.Mean) != len(m.Preprocessing.Std):
		return fmt.Errorf("preprocessing has %d means and %d standard deviations",
			len(m.Preprocessing.Mean), len(m.Preprocessing.Std))
	}
	total := 0
	for i, rows := range m.Gradients {
		if rows < 1 || rows > MaxRows-total || i == maxLots {
			return fmt.Errorf("gradients[%d] is %d", i, rows)
		}
		total += rows
	}
	for i, c := range m.InstructionSetChanges {
		if c.Row < 0 || c.Row > m.Masks || c.InstructionSet == "" {
			return fmt.Errorf("instruction_set_changes[%d] is at row %d, to %q", i, c.Row, c.InstructionSet)
		}
	}
	return nil
}

// validSplit reports whether a split may name <split>_margins.npy, which base_margins.npy must not be mistaken for.
func validSplit(split string) bool { return splitPattern.MatchString(split) && split != "base" }

// validateTexts checks the fields that are one short text.
func (m *Manifest) validateTexts() error {
	for _, field := range []struct {
		name, value string
		required    bool
	}{
		{"program", m.Program, true}, {"arch", m.Arch, true}, {"weights.path", m.Weights.Path, false},
		{"data.spec", m.Data.Spec, false}, {"data.layout", m.Data.Layout, false},
		{"data.classes_file", m.Data.ClassesFile, false},
		{"output", m.Output, true}, {"precision", m.Precision, true},
		{"instruction_set", m.InstructionSet, true}, {"preprocessing.interpolation", m.Preprocessing.Interpolation, false},
	} {
		if field.required && field.value == "" {
			return fmt.Errorf("%s is empty", field.name)
		}
		if err := checkText(field.value); err != nil {
			return fmt.Errorf("%s %w", field.name, err)
		}
	}
	for i, name := range m.Classes {
		if err := checkText(name); err != nil {
			return fmt.Errorf("classes[%d] %w", i, err)
		}
	}
	for i, glob := range append(append([]string{}, m.Include...), m.Exclude...) {
		if err := checkText(glob); err != nil {
			return fmt.Errorf("include and exclude: glob %d %w", i, err)
		}
	}
	return nil
}

// checkText refuses what JSON would not give back as it was, and what is unreasonably long.
func checkText(s string) error {
	if !utf8.ValidString(s) {
		return fmt.Errorf("is %.80q, which is not valid UTF-8; rename it", s)
	}
	if len(s) > maxText {
		return fmt.Errorf("has %d bytes, at most %d are kept", len(s), maxText)
	}
	return nil
}

// validateExamples checks the ids, positions and labels.
func (m *Manifest) validateExamples() error {
	n := len(m.ExampleIDs)
	if n == 0 {
		return errors.New("example_ids is empty; a run needs an example")
	}
	if len(m.Positions) != n || len(m.Labels) != n {
		return fmt.Errorf("example_ids, positions and labels have %d, %d and %d entries", n, len(m.Positions), len(m.Labels))
	}
	seen := make(map[string]int, n)
	for i, id := range m.ExampleIDs {
		if err := checkText(id); err != nil {
			return fmt.Errorf("example_ids[%d] %w", i, err)
		}
		if j, ok := seen[id]; ok {
			return fmt.Errorf("example_ids[%d] and [%d] are both %q", j, i, id)
		}
		seen[id] = i
		if m.Positions[i] < 0 {
			return fmt.Errorf("positions[%d] is %d", i, m.Positions[i])
		}
		if l := m.Labels[i]; l < 0 || l > maxCount || (len(m.Classes) > 0 && l >= len(m.Classes)) {
			return fmt.Errorf("labels[%d] is %d, there are %d classes", i, l, len(m.Classes))
		}
	}
	return nil
}

// validateGroups checks the component groups.
func (m *Manifest) validateGroups() error {
	p := 0
	seen := make(map[string]bool, len(m.Groups))
	for i, g := range m.Groups {
		if err := checkText(g.Key); err != nil {
			return fmt.Errorf("groups[%d].key %w", i, err)
		}
		if g.Key == "" || seen[g.Key] {
			return fmt.Errorf("groups[%d].key is %q, empty or there before", i, g.Key)
		}
		seen[g.Key] = true
		if g.Rows <= 0 || g.Rows > maxCount-p {
			return fmt.Errorf("groups[%d].rows is %d", i, g.Rows)
		}
		p += g.Rows
	}
	if p == 0 {
		return errors.New("groups is empty; a run needs a component")
	}
	return nil
}
