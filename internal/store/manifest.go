package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"syscall"

	"coar/internal/fault"
	"coar/internal/npy"
)

// formatVersion is the version of the run directory's format, described in FORMAT.md.
const formatVersion = 1

// ManifestName is the file that makes a directory a run.
const ManifestName = "run.json"

// Manifest is run.json: what a run is about, fixed when the run is created. Only Masks and Gradients
// grow, and InstructionSetChanges with them. A Manifest that the store returns must not be modified.
type Manifest struct {
	Format  int    `json:"format"`  // set by Create
	Program string `json:"program"` // name and version of the program that created the run

	Arch    string  `json:"arch"`
	Heads   int     `json:"heads"` // attention heads, 0 where the architecture has none
	Weights Weights `json:"weights"`
	Data    Data    `json:"data"`

	// The run's examples, in the order of the margins' columns.
	ExampleIDs []string `json:"example_ids"` // [nExamples], distinct
	Positions  []int    `json:"positions"`   // [nExamples], positions in the data source
	Labels     []int    `json:"labels"`      // [nExamples], the model's output that is right
	Classes    []string `json:"classes"`     // names of the model's outputs, empty where unknown

	Preprocessing Preprocessing `json:"preprocessing"`

	// The components, numbered group by group.
	Groups  []Group  `json:"groups"`
	Include []string `json:"include"` // the globs that chose the groups
	Exclude []string `json:"exclude"`

	Fraction  float64 `json:"fraction"` // probability that a component is ablated
	Seed      uint64  `json:"seed"`
	Masks     int     `json:"masks"`                // nRows, the rows asked for
	MasksSHA  string  `json:"masks_file_sha256"`    // of the keep-rows given from outside, empty where sampled
	Gradients []int   `json:"gradients"`            // gradient rows asked for, lot by lot
	SoftSHA   string  `json:"gradient_rows_sha256"` // of the gradient rows given from outside, empty where sampled
	Output    string  `json:"output"`               // the output function: margin, logodds, logit or logit:K
	Split     string  `json:"split"`                // names <split>_margins.npy
	DType     string  `json:"dtype"`                // of the margins on disk: float16 or float32
	Precision string  `json:"precision"`            // of the arithmetic: f32 or bf16

	InstructionSet        string                 `json:"instruction_set"` // that the first row was computed with
	InstructionSetChanges []InstructionSetChange `json:"instruction_set_changes"`
}

// Weights identifies a checkpoint.
type Weights struct {
	SHA256 string `json:"sha256"` // the identity
	Path   string `json:"path"`   // absolute, a hint
}

// Data identifies a data source.
type Data struct {
	SHA256 string `json:"sha256"` // the identity
	Spec   string `json:"spec"`   // as --data takes it, with absolute paths, a hint
	Layout string `json:"layout"` // of a .npy file's images as --layout takes it, empty where the shape says it
	// ClassesFile is what --classes named, empty where it did not: absolute, a hint.
	ClassesFile string `json:"classes_file"`
}

// Preprocessing says how an image becomes a model's input.
type Preprocessing struct {
	Resize        int       `json:"resize"` // pixels of the shorter side, 0 for none
	Crop          int       `json:"crop"`   // pixels of the central square, 0 for none
	Interpolation string    `json:"interpolation"`
	Mean          []float64 `json:"mean"` // per channel, of values in [0,1]
	Std           []float64 `json:"std"`
}

// Group is one component group.
type Group struct {
	Key  string `json:"key"`  // the tensor's key in the checkpoint
	Rows int    `json:"rows"` // its components
}

// InstructionSetChange says that the rows computed later used another instruction set.
type InstructionSetChange struct {
	Row            int    `json:"row"` // how many rows were completed before the change
	InstructionSet string `json:"isa"`
}

// NExamples is the number of examples, the margins' columns.
func (m *Manifest) NExamples() int { return len(m.ExampleIDs) }

// NComponents is the number of components, the columns of masks.npy.
func (m *Manifest) NComponents() int {
	p := 0
	for _, g := range m.Groups {
		p += g.Rows
	}
	return p
}

// CurrentInstructionSet is the instruction set that the run's next rows are to be computed with.
func (m *Manifest) CurrentInstructionSet() string {
	if n := len(m.InstructionSetChanges); n > 0 {
		return m.InstructionSetChanges[n-1].InstructionSet
	}
	return m.InstructionSet
}

// marginsDType is DType as npy knows it.
func (m *Manifest) marginsDType() npy.DType {
	if m.DType == "float16" {
		return npy.Float16
	}
	return npy.Float32
}

// parseManifest reads a run.json.
func parseManifest(b []byte) (Manifest, error) {
	var m Manifest
	if err := decodeRecord(b, &m); err != nil {
		return Manifest{}, err
	}
	return m, m.validate()
}

// ReadManifest reads the manifest of the run in dir, without locking it.
//
// Errors: fault.Missing where there is no run; fault.Malformed for a damaged one.
func ReadManifest(dir string) (Manifest, error) { return readManifest(osFS{}, dir) }

func readManifest(fsys fileSystem, dir string) (Manifest, error) {
	path := filepath.Join(dir, ManifestName)
	b, err := readBounded(fsys, path, maxManifestBytes)
	switch {
	case errors.Is(err, syscall.ENOTDIR): // dir is a file
		return Manifest{}, noRun(dir)
	case isMissing(err):
		return Manifest{}, gone(fsys, dir, ManifestName, noRun(dir))
	case err != nil:
		return Manifest{}, fmt.Errorf("store: read manifest: %w", err)
	}
	m, err := parseManifest(b)
	if err != nil {
		return Manifest{}, fault.InFile(path, "%w", err)
	}
	return m, nil
}

func noRun(dir string) error {
	return fault.Missingf("%s holds no run (it has no run.json); coar ablate makes one", dir)
}

// writeManifest replaces run.json atomically.
func writeManifest(fsys fileSystem, dir string, m Manifest) error {
	b, err := encodeRecord(m)
	if err == nil {
		err = writeAtomic(fsys, dir, ManifestName, func(f file) error {
			_, err := f.WriteAt(b, 0)
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("store: write %s: %w", filepath.Join(dir, ManifestName), err)
	}
	return nil
}
