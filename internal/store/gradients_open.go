package store

import (
	"bytes"
	"errors"
	"fmt"

	"coar/internal/fault"
	"coar/internal/npy"
)

// GradientSums reads the sums of a run's gradient rows: of all lots in which every example is completed.
// What it reads is checked against its checksums. Its methods may be called concurrently.
type GradientSums struct {
	Rows     int       // in those lots together
	Missing  int       // rows of lots that are not complete
	Softened []int     // [nComponents] rows in which a component is softened; nil, as the next two, where Rows is 0
	Kept     []int     // [nComponents] rows in which it is kept
	MeanKeep []float64 // [nComponents] over the rows

	lots []openLot
}

// openLot is a complete lot.
type openLot struct {
	GradientLot
	files  []*npy.File // as in the lot's layout
	sums   []byte
	opened []file
}

// OpenGradients opens the gradient sums of the run in dir for reading, without locking it: of the lots among its first most
// rows, MaxRows for all. Rows is 0 where there are none, or none that are complete.
//
// Errors: fault.Missing if there is no run, fault.Malformed.
func OpenGradients(dir string, most int) (*GradientSums, error) {
	return openGradients(osFS{}, dir, most)
}

func openGradients(fsys fileSystem, dir string, most int) (_ *GradientSums, err error) {
	m, err := readManifest(fsys, dir)
	if err != nil {
		return nil, err
	}
	g := &GradientSums{}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.Close())
		}
	}()
	for _, lot := range m.GradientLots() {
		if lot.First+lot.Rows > most {
			break
		}
		complete, err := g.open(fsys, dir, &m, lot)
		if err != nil && fault.KindOf(err) != fault.Missing {
			return nil, err
		}
		if !complete || err != nil {
			g.Missing += lot.Rows
			continue
		}
		if g.Softened == nil { // not before: a complete lot's files show that there are so many components
			p := m.NComponents()
			g.Softened, g.Kept, g.MeanKeep = make([]int, p), make([]int, p), make([]float64, p)
		}
		if err := g.describe(fsys, dir, lot); err != nil {
			return nil, err
		}
	}
	for c := range g.MeanKeep {
		g.MeanKeep[c] /= float64(max(1, g.Rows))
	}
	return g, nil
}

// open adds a lot if it is complete.
func (g *GradientSums) open(fsys fileSystem, dir string, m *Manifest, lot GradientLot) (complete bool, err error) {
	files, s, err := openUnits(fsys, dir, lot.layout(m), "coar ablate")
	l := openLot{GradientLot: lot, files: files, opened: s.files}
	defer func() {
		if !complete || err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	if err != nil {
		return false, err
	}
	flags, err := s.flags()
	if err != nil {
		return false, err
	}
	if p, bad := s.beyond(flags); bad {
		return false, p.err(dir)
	}
	if len(flags) < m.NExamples() {
		return false, nil
	}
	for _, done := range flags {
		if !done {
			return false, nil
		}
	}
	if l.sums, err = s.checksums(); err != nil {
		return false, err
	}
	g.lots = append(g.lots, l)
	g.Rows += lot.Rows
	return true, nil
}

// describe adds a lot's counts and keep values.
func (g *GradientSums) describe(fsys fileSystem, dir string, lot GradientLot) error {
	p := len(g.Softened)
	softened, kept, means := make([]int64, p), make([]int64, p), make([]float32, p)
	for _, a := range []struct {
		name  string
		dtype npy.DType
		read  func(f *npy.File) error
	}{
		{lot.shared()[0], npy.Int32, func(f *npy.File) error { return f.ReadInt64(0, softened) }},
		{lot.shared()[1], npy.Int32, func(f *npy.File) error { return f.ReadInt64(0, kept) }},
		{lot.shared()[2], npy.Float32, func(f *npy.File) error { return f.ReadFloat32(0, means) }},
	} {
		name := a.name
		f, err := fsys.open(inRun(dir, name), false)
		if isMissing(err) {
			return missing(fsys, dir, name)
		}
		if err != nil {
			return fmt.Errorf("store: %w", err)
		}
		if err := checkSealed(fsys, dir, name); err != nil {
			return errors.Join(err, f.Close())
		}
		size, err := f.size()
		var array *npy.File
		if err == nil {
			array, err = npy.NewFile(inRun(dir, name), f, size)
		}
		if err == nil {
			err = array.CheckDType(a.dtype)
		}
		if err == nil {
			err = array.CheckShape(p)
		}
		if err == nil {
			err = a.read(array)
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	rows := int64(lot.Rows)
	for c := range p {
		if softened[c] < 0 || kept[c] < 0 || softened[c] > rows || kept[c] > rows-softened[c] || !(means[c] >= 0 && means[c] <= 1) {
			return fault.InFile(inRun(dir, lot.shared()[0]), "component %d is softened in %d of %d rows, kept in %d, and keeps %v on average; that cannot be",
				c, softened[c], rows, kept[c], means[c])
		}
		g.Softened[c] += int(softened[c])
		g.Kept[c] += int(kept[c])
		g.MeanKeep[c] += float64(means[c]) * float64(lot.Rows)
	}
	return nil
}

// Read fills what the rows say of one example.
//
// Shape:  sum, sumSq, keptSum [nComponents], logits, logits² and logits; the result is the example's margins [Rows], lot by lot, in logits.
// Errors: fault.Malformed naming file and example.
func (g *GradientSums) Read(example int, sum, sumSq, keptSum []float64) (margins []float64, err error) {
	clear(sum)
	clear(sumSq)
	clear(keptSum)
	margins = make([]float64, g.Rows)
	first := 0
	for _, lot := range g.lots {
		for i, dst := range [][]float64{sumFile: sum, sumSqFile: sumSq, keptSumFile: keptSum, gradientMarginsFile: margins[first : first+lot.Rows]} {
			if err := lot.add(i, example, dst); err != nil {
				return nil, err
			}
		}
		first += lot.Rows
	}
	return margins, nil
}

// Numbers are those of the rows, [Rows], in the order in which Read returns their margins.
func (g *GradientSums) Numbers() []int {
	numbers := make([]int, 0, g.Rows)
	for _, lot := range g.lots {
		for i := range lot.Rows {
			numbers = append(numbers, lot.First+i)
		}
	}
	return numbers
}

// add adds one example's row of a file to dst.
func (l *openLot) add(which, example int, dst []float64) error {
	f := l.files[which]
	raw := make([]byte, 4*len(dst))
	if err := f.ReadRows(example, 1, raw); err != nil {
		return err
	}
	n := gradientMarginsFile + 1
	at := 4 * (example*n + which)
	if !bytes.Equal(checksumRows(1, [][]byte{raw}), l.sums[at:at+4]) {
		return fault.InFile(f.Name(), "example %d does not match its checksum; restore the file from a copy or start the run again", example)
	}
	values := make([]float32, len(dst))
	npy.DecodeFloat32(values, npy.Float32, raw)
	if c := npy.FirstNotFinite(values); c >= 0 {
		return fault.InFile(f.Name(), "example %d, element %d is %v", example, c, values[c])
	}
	for c, v := range values {
		dst[c] += float64(v)
	}
	return nil
}

// Close closes the files.
func (g *GradientSums) Close() error {
	var errs []error
	for i := range g.lots {
		errs = append(errs, g.lots[i].close())
	}
	return errors.Join(errs...)
}

func (l *openLot) close() error {
	var errs []error
	for _, f := range l.opened {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}
