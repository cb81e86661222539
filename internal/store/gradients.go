package store

import (
	"fmt"
	"path"
	"slices"
	"sync"

	"coar/internal/fault"
	"coar/internal/npy"
)

// Gradients is a lot of gradient rows being measured: for each example and component the sums of the derivatives of its
// margin and of their squares over the rows that soften the component, the sum over those that keep it, and its margins. The unit of work is an example under all rows of the
// lot; Hold keeps part of one. Its methods may be called concurrently.
type Gradients struct {
	*units
	Lot GradientLot

	holding sync.Mutex
	held    map[int]*Held // by example
}

// GradientLot is a run of consecutive gradient rows whose sums stand in one folder.
type GradientLot struct {
	First, Rows int
}

// folder is where the lot lies, relative to the run, with slashes: most runs have one lot, whose files stand where one looks first.
func (l GradientLot) folder() string {
	if l.First == 0 {
		return "gradient"
	}
	return path.Join("gradient", fmt.Sprintf("%d-%d", l.First, l.First+l.Rows-1))
}

// The places of an example's data in the layout of a lot.
const (
	sumFile = iota
	sumSqFile
	keptSumFile
	gradientMarginsFile
)

// layout lists the files of the lot.
func (l GradientLot) layout(m *Manifest) layout {
	name := func(base string) string { return path.Join(l.folder(), base) }
	p := m.NComponents()
	units := newLayout(m.NExamples(), name("_checksums.npy"), name("_completed.npy"),
		array{name("sum.npy"), npy.Float32, p, finite}, array{name("sumsq.npy"), npy.Float32, p, finite},
		array{name("kept_sum.npy"), npy.Float32, p, finite},
		array{name("margins.npy"), npy.Float32, l.Rows, finite})
	units.unit = "examples"
	return units
}

// GradientLots lists the lots of gradient rows that the run is to have.
func (m *Manifest) GradientLots() []GradientLot {
	var lots []GradientLot
	first := 0
	for _, rows := range m.Gradients {
		lots = append(lots, GradientLot{first, rows})
		first += rows
	}
	return lots
}

// GradientRows is the number of gradient rows that the run is to have.
func (m *Manifest) GradientRows() int {
	n := 0
	for _, rows := range m.Gradients {
		n += rows
	}
	return n
}

// GradientBytes is what rows more gradient rows take on the disk, in a lot of their own.
func (m *Manifest) GradientBytes(rows int) int64 {
	if rows == 0 {
		return 0
	}
	n, p := int64(m.NExamples()), int64(m.NComponents())
	return 12*n*p + 4*n*int64(rows) + 12*p + 17*n
}

// RowBytes is what rows hard rows take on the disk.
func (m *Manifest) RowBytes(rows int) int64 {
	return int64(rows) * int64(m.NComponents()+m.NExamples()*m.marginsDType().Size()+rowSums+1)
}

// AddGradients makes room for gradient rows, in a lot of their own, until there are rows of them; what is there stays. A
// crash before the lot's files are there is made good when they are opened.
func (r *Run) AddGradients(rows int) error {
	more := rows - r.manifest.GradientRows()
	if more <= 0 {
		return nil
	}
	m := r.manifest
	m.Gradients = append(slices.Clone(m.Gradients), more)
	return r.writeManifest(m)
}

// Gradients opens the lots of gradient rows, creating what is missing and checking every completed example.
//
// describe says what is to be written beside the sums of a new lot.
// Cost: the first call reads all completed examples once. Errors: fault.Malformed naming file and example.
func (r *Run) Gradients(describe func(lot GradientLot) (LotRows, error)) ([]*Gradients, error) {
	var lots []*Gradients
	for _, lot := range r.manifest.GradientLots() {
		u, err := r.openOnce(lot.layout(&r.manifest), false)
		if err != nil {
			return nil, err
		}
		if err := r.describeLot(lot, describe); err != nil {
			return nil, err
		}
		g := &Gradients{units: u, Lot: lot}
		if err := g.openHeld(); err != nil {
			return nil, err
		}
		lots = append(lots, g)
	}
	return lots, nil
}

// LotRows is what all examples share of a lot's rows.
type LotRows struct {
	Softened, Kept []int32   // [nComponents] rows in which a component is softened, and in which it is kept
	MeanKeep       []float32 // [nComponents] over all rows of the lot
}

// shared names the files of LotRows.
func (l GradientLot) shared() []string {
	return []string{path.Join(l.folder(), "count.npy"), path.Join(l.folder(), "kept_count.npy"), path.Join(l.folder(), "mean_keep.npy")}
}

// describeLot writes what does not depend on the examples, if it is not there.
func (r *Run) describeLot(lot GradientLot, describe func(lot GradientLot) (LotRows, error)) error {
	for i, name := range lot.shared() {
		there, err := exists(r.fs, inRun(r.path, lot.folder()), path.Base(name))
		if err != nil {
			return fmt.Errorf("store: %w", err)
		}
		if there {
			continue
		}
		if r.isSealed(name) {
			return fault.InFile(inRun(r.path, name), "the file is gone, but checksums.json lists it as finished; restore it from a copy")
		}
		rows, err := describe(lot)
		if err != nil {
			return err
		}
		if i < 2 {
			counts := [][]int32{rows.Softened, rows.Kept}[i]
			err = r.WriteInt32(name, counts, len(counts))
		} else {
			err = r.WriteFloat32(name, rows.MeanKeep, len(rows.MeanKeep))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Files names the lot's files relative to the run, as Seal takes them.
func (g *Gradients) Files() []string {
	return append(g.units.Files(), g.Lot.shared()...)
}

// Commit stores the sums of consecutive examples from number first on and marks them completed, durably, in the order of
// Rows.Commit.
//
// Shape:  sum, sumSq, keptSum [examples, nComponents], logits, logits² and logits; margins [examples, rows of the lot], logits.
// Errors: a value that is not finite, naming example and component; an example that is completed already; those of the
// disk, after which the set takes no more.
func (g *Gradients) Commit(first int, sum, sumSq, keptSum, margins []float32) error {
	files := g.layout.files
	n := len(margins) / g.Lot.Rows
	encoded := make([][]byte, gradientMarginsFile+1)
	for i, values := range [][]float32{sumFile: sum, sumSqFile: sumSq, keptSumFile: keptSum, gradientMarginsFile: margins} {
		a := files[i]
		if len(values) != n*a.rowLen {
			return fmt.Errorf("store: commit gradients of example %d: %s has %d values for %d examples of %d", first, a.name, len(values), n, a.rowLen)
		}
		if at := npy.FirstNotFinite(values); at >= 0 {
			return fmt.Errorf("store: commit gradients of example %d: element %d of %s is %v", first+at/a.rowLen, at%a.rowLen, a.name, values[at])
		}
		encoded[i] = npy.AppendFloat32(nil, values)
	}
	if n == 0 {
		return nil
	}
	if err := g.units.commit(first, n, encoded...); err != nil {
		return fmt.Errorf("store: commit gradients of examples from %d: %w", first, err)
	}
	return g.drop(first, n)
}
