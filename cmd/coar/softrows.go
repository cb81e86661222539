package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"coar/internal/ablate"
	"coar/internal/fault"
	"coar/internal/npy"
	"coar/internal/store"
)

// softSource is where a run's gradient rows come from: drawn from the seed, or read from the user's file.
type softSource struct {
	count    int // rows
	sha      string
	fraction float64 // ablated, on average; of a file
	sampler  ablate.SoftSampler
	file     *npy.File // nil where rows are drawn, or where a resumed run's file was not given
}

// softSource settles how many gradient rows there are and where they come from; heads is the model's, 0 for none.
func (o *ablateOptions) softSource(nComponents, heads int) (*softSource, error) {
	if o.softFile() {
		return openSoftFile(o.masksFile, nComponents, o.gradients, o.given("gradients"))
	}
	if o.until > 0 {
		o.gradients = o.firstGradients()
	}
	s := &softSource{count: o.gradients, sampler: ablate.SoftSampler{Seed: o.seed, Fraction: o.fraction}}
	if m, err := store.ReadManifest(o.run); err == nil {
		s.sha = m.SoftSHA
		have := m.GradientRows()
		if !o.given("gradients") && o.until == 0 {
			s.count = have
		}
		if s.count > have {
			if err := s.ready(); err != nil {
				return nil, err
			}
		}
		s.count = max(s.count, have)
	} else if !o.given("gradients") && o.until == 0 {
		s.count = 0
		if o.masks > 0 && o.masksFile == "" && o.fraction <= 0.5 {
			s.count = defaultGradients(heads)
		}
	}
	if s.count > 0 && s.sha == "" {
		return s, s.sampler.Check()
	}
	return s, nil
}

// softFile reports whether --masks-file holds float32 rows, which are gradient rows.
func (o *ablateOptions) softFile() bool {
	if o.masksFile == "" {
		return false
	}
	f, err := npy.Open(o.masksFile)
	if err != nil {
		return false // openRowFile says why
	}
	defer f.Close()
	return f.Header().DType == npy.Float32
}

// openSoftFile checks the file's shape and values.
func openSoftFile(name string, nComponents, rows int, rowsGiven bool) (*softSource, error) {
	f, err := openMasks(name)
	if err != nil {
		return nil, err
	}
	s := &softSource{file: f}
	fail := func(err error) (*softSource, error) {
		f.Close()
		return nil, err
	}
	h := f.Header()
	if len(h.Shape) != 2 || h.Shape[0] == 0 {
		return fail(fault.InFile(name, "--masks-file holds float32 %v, want [rows, %d]", h.Shape, nComponents))
	}
	if h.Shape[1] != nComponents {
		return fail(fault.Conflictf("%s: --masks-file has %d columns, the model has %d components", name, h.Shape[1], nComponents))
	}
	s.count = h.Shape[0]
	if rowsGiven {
		if rows > s.count {
			return fail(fault.Usagef("--gradients %d is more than the %d rows of %s", rows, s.count, name))
		}
		s.count = rows
	}
	keep, ablated, softened := make([]float32, nComponents), 0.0, false
	for i := range h.Shape[0] {
		if err := f.ReadRowsFloat32(i, 1, keep); err != nil {
			return fail(err)
		}
		for c, k := range keep {
			if !(k >= 0 && k <= 1) {
				return fail(fault.InFile(name, "row %d keeps %v of component %d; want values from 0 to 1", i, k, c))
			}
			ablated += 1 - float64(k)
			softened = softened || k > 0 && k < 1
		}
	}
	if !softened {
		slog.Warn("--masks-file holds float32, and so gradient rows, but no value between 0 and 1: coar fit can make nothing of them; rows of zeros and ones are bool or uint8", "file", name)
	}
	s.fraction = ablated / float64(h.Shape[0]*nComponents)
	if s.sha, err = fileSHA256(name); err != nil {
		return fail(err)
	}
	return s, nil
}

// ready refuses to measure rows whose file was not given.
func (s *softSource) ready() error {
	if s.sha != "" && s.file == nil {
		return fault.Usagef("this run's gradient rows come from a file; give it again with --masks-file")
	}
	return nil
}

// row writes the keep values of row i.
func (s *softSource) row(i int, keep []float32) error {
	if s.file == nil {
		s.sampler.Row(i, keep)
		return nil
	}
	return s.file.ReadRowsFloat32(i, 1, keep)
}

func (s *softSource) close() {
	if s.file != nil {
		s.file.Close()
	}
}

// gradientFile is what --save-gradients writes: float32 [rows, nExamples, nComponents]. It has its name once it is whole.
type gradientFile struct {
	name             string
	f                *os.File // nil once it is kept or dropped
	header           npy.Header
	examples, length int
}

func createGradientFile(name string, rows, nExamples, nComponents int) (*gradientFile, error) {
	f, err := os.Create(name + ".partial")
	if err != nil {
		return nil, fmt.Errorf("--save-gradients: %w", err)
	}
	g := &gradientFile{name: name, f: f, examples: nExamples, length: nComponents}
	w, err := npy.NewWriter(name, f, npy.Float32, rows, nExamples, nComponents)
	if err != nil {
		g.drop()
		return nil, err
	}
	g.header = w.Header()
	return g, nil
}

// put writes the derivatives of one row and example. It may be called concurrently.
func (g *gradientFile) put(row, example int, derivatives []float32) error {
	at := g.header.DataOffset + 4*int64(row*g.examples+example)*int64(g.length)
	if _, err := g.f.WriteAt(npy.AppendFloat32(nil, derivatives), at); err != nil {
		return fmt.Errorf("--save-gradients: %w", err)
	}
	return nil
}

// keep ends the file and gives it its name, durably.
func (g *gradientFile) keep() error {
	partial := g.f.Name()
	err := errors.Join(g.f.Sync(), g.f.Close())
	if g.f = nil; err == nil {
		err = os.Rename(partial, g.name)
	}
	if err == nil {
		err = store.SyncFolder(filepath.Dir(g.name))
	}
	if err != nil {
		return fmt.Errorf("--save-gradients: %w", err)
	}
	return nil
}

// drop removes what is not whole and was not kept. What it cannot remove is begun again anyway.
func (g *gradientFile) drop() {
	if g != nil && g.f != nil {
		_ = errors.Join(g.f.Close(), os.Remove(g.f.Name()))
		g.f = nil
	}
}
