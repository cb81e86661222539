package main

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"

	"coar/internal/ablate"
	"coar/internal/fault"
	"coar/internal/npy"
	"coar/internal/store"
)

// rowSource is where a run's keep-rows come from: drawn from the seed, or read from the user's file.
type rowSource struct {
	count    int     // rows
	fraction float64 // ablated, on average
	sha      string  // SHA-256 of the file, empty where rows are drawn
	sampler  ablate.Sampler
	file     *npy.File // nil where rows are drawn, or where a resumed run's file was not given
}

// rowSource opens the rows that the flags ask for. On an existing run whose rows came from a file, the file is needed
// only if rows are missing.
func (o *ablateOptions) rowSource(nComponents int) (*rowSource, error) {
	if o.softFile() {
		return &rowSource{}, nil
	}
	if o.masksFile != "" {
		return openRowFile(o.masksFile, nComponents, o.masks, o.given("masks"))
	}
	r := &rowSource{count: o.masks, fraction: o.fraction, sampler: ablate.Sampler{Seed: o.seed, Purpose: ablate.Train, Fraction: o.fraction}}
	if m, err := store.ReadManifest(o.run); err == nil {
		r.sha = m.MasksSHA
		if r.count > m.Masks {
			return r, r.ready()
		}
	}
	return r, nil
}

// ready refuses to measure rows whose file was not given.
func (r *rowSource) ready() error {
	if r.sha != "" && r.file == nil {
		return fault.Usagef("this run's rows come from a file; give it again with --masks-file")
	}
	return nil
}

// row writes row i, 1 where a component is kept.
func (r *rowSource) row(i int, keep []byte) error {
	if r.file == nil {
		r.sampler.Row(i, keep)
		return nil
	}
	return r.file.ReadBool(i*len(keep), keep)
}

func (r *rowSource) close() {
	if r.file != nil {
		r.file.Close()
	}
}

// openMasks opens the file of --masks-file.
func openMasks(name string) (*npy.File, error) {
	f, err := npy.Open(name)
	if err != nil && fault.KindOf(err) == fault.Failed {
		err = fault.InFile(name, "--masks-file: %v", err)
	}
	return f, err
}

// openRowFile checks the file's type, width and values and takes its mean as the fraction.
func openRowFile(name string, nComponents, masks int, masksGiven bool) (*rowSource, error) {
	f, err := openMasks(name)
	if err != nil {
		return nil, err
	}
	h := f.Header()
	fail := func(err error) (*rowSource, error) {
		f.Close()
		return nil, err
	}
	if (h.DType != npy.Bool && h.DType != npy.Uint8) || len(h.Shape) != 2 {
		return fail(fault.InFile(name, "--masks-file holds %s %v, want bool or uint8 [rows, %d], or float32 for gradient rows", h.DType, h.Shape, nComponents))
	}
	if h.Shape[1] != nComponents {
		return fail(fault.Conflictf("%s: --masks-file has %d columns, the model has %d components", name, h.Shape[1], nComponents))
	}
	r := &rowSource{count: h.Shape[0], file: f}
	if masksGiven {
		if masks > r.count {
			return fail(fault.Usagef("--masks %d is more than the %d rows of %s", masks, r.count, name))
		}
		r.count = masks
	}
	keep, ablated := make([]byte, nComponents), 0
	for i := range h.Shape[0] {
		if err := f.ReadBool(i*nComponents, keep); err != nil {
			return fail(err)
		}
		ablated += nComponents - sum(keep)
	}
	r.fraction = float64(ablated) / float64(max(1, h.Shape[0]*nComponents))
	if r.sha, err = fileSHA256(name); err != nil {
		return fail(err)
	}
	return r, nil
}

// missing lists the rows that are not completed.
func missing(completed []bool) []int {
	var todo []int
	for r, done := range completed {
		if !done {
			todo = append(todo, r)
		}
	}
	return todo
}

func sum(keep []byte) int {
	n := 0
	for _, k := range keep {
		n += int(k)
	}
	return n
}

func fileSHA256(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", fault.InFile(name, "%v", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fault.InFile(name, "%v", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
