package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"

	"coar/internal/fault"
	"coar/internal/npy"
)

// Held is what the first rows of a lot say of one example, exactly, while others are still to come: work that a run which is
// stopped keeps.
//
// On the disk it is a float64 vector held-EXAMPLE.npy in the lot's folder: Sum, SumSq, KeptSum, Margins, and the CRC32C of their bytes.
type Held struct {
	Sum, SumSq, KeptSum []float64 // [nComponents]
	Margins             []float32 // [rows so far]
}

const heldPrefix, heldSuffix = "held-", ".npy"

func (l GradientLot) heldName(example int) string {
	return path.Join(l.folder(), heldPrefix+strconv.Itoa(example)+heldSuffix)
}

// Held says what is held of an example, nil where that is nothing. It must not be modified.
func (g *Gradients) Held(example int) *Held {
	g.holding.Lock()
	defer g.holding.Unlock()
	return g.held[example]
}

// HeldRows is the number of pairs of row and example that are held.
func (g *Gradients) HeldRows() int {
	g.holding.Lock()
	defer g.holding.Unlock()
	n := 0
	for _, h := range g.held {
		n += len(h.Margins)
	}
	return n
}

// Hold keeps what the first rows say of an example, durably, in place of what was held of it before. Commit drops it.
//
// Memory: h is kept until then, 24 bytes per component, so h must not be modified. Errors: a value that is not finite; those of the disk.
func (g *Gradients) Hold(example int, h *Held) error {
	values := slices.Concat(h.Sum, h.SumSq, h.KeptSum)
	for _, m := range h.Margins {
		values = append(values, float64(m))
	}
	raw := make([]byte, 0, 8*len(values)+8)
	for i, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("store: hold gradients of example %d: element %d is %v", example, i, v)
		}
		raw = binary.LittleEndian.AppendUint64(raw, math.Float64bits(v))
	}
	raw = binary.LittleEndian.AppendUint64(raw, math.Float64bits(float64(crc32.Checksum(raw, castagnoli))))
	n := len(raw) / 8
	name := g.Lot.heldName(example)
	if err := g.dir.writeArray(name, npy.Float64, []int{n}, n, func(w *npy.Writer) error { return w.WriteRows(0, raw) }); err != nil {
		return err
	}
	g.holding.Lock()
	defer g.holding.Unlock()
	g.held[example] = h
	return nil
}

// drop forgets what is held of examples, which are completed.
func (g *Gradients) drop(first, n int) error {
	g.holding.Lock()
	defer g.holding.Unlock()
	for e := first; e < first+n; e++ {
		if g.held[e] == nil {
			continue
		}
		if err := ignoreMissing(g.dir.fs.remove(inRun(g.dir.path, g.Lot.heldName(e)))); err != nil {
			return fmt.Errorf("store: %w", err)
		}
		delete(g.held, e)
	}
	return nil
}

// openHeld reads what is held. Of examples that are completed, a crash may have left it, and of any a part: that goes.
func (g *Gradients) openHeld() error {
	names, err := g.dir.fs.names(inRun(g.dir.path, g.Lot.folder()))
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	completed := g.Completed()
	g.held = map[int]*Held{}
	for _, base := range names {
		if isTemp(base) && strings.HasPrefix(base, tempPrefix+heldPrefix) {
			if err := ignoreMissing(g.dir.fs.remove(inRun(g.dir.path, path.Join(g.Lot.folder(), base)))); err != nil {
				return fmt.Errorf("store: %w", err)
			}
		}
		if !strings.HasPrefix(base, heldPrefix) {
			continue
		}
		example, h, err := readHeld(g.dir.fs, g.dir.path, path.Join(g.Lot.folder(), base), g.Lot.Rows, g.layout.files[sumFile].rowLen, len(completed))
		if err != nil {
			return err
		}
		if !completed[example] {
			g.held[example] = h
		} else if err := ignoreMissing(g.dir.fs.remove(inRun(g.dir.path, g.Lot.heldName(example)))); err != nil {
			return fmt.Errorf("store: %w", err)
		}
	}
	return nil
}

// readHeld reads what is held of an example under a lot of nRows rows of the run in dir.
func readHeld(fsys fileSystem, dir, name string, nRows, nComponents, nExamples int) (example int, h *Held, err error) {
	file, base := inRun(dir, name), path.Base(name)
	number := strings.TrimSuffix(strings.TrimPrefix(base, heldPrefix), heldSuffix)
	if example, err = strconv.Atoi(number); err != nil || example < 0 || example >= nExamples || base != heldPrefix+strconv.Itoa(example)+heldSuffix {
		return 0, nil, fault.InFile(file, "this is of none of the run's %d examples; remove the file", nExamples)
	}
	h, err = decodeHeld(fsys, file, nRows, nComponents)
	return example, h, err
}

// decodeHeld reads a file of Hold.
func decodeHeld(fsys fileSystem, name string, nRows, p int) (_ *Held, err error) {
	damaged := func(format string, args ...any) error {
		return fault.InFile(name, format+"; remove the file, and the example is measured anew", args...)
	}
	file, err := fsys.open(name, false)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	size, err := file.size()
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	f, err := npy.NewFile(name, file, size)
	if err == nil {
		err = f.CheckDType(npy.Float64)
	}
	if err == nil {
		err = f.CheckShape(-1)
	}
	if err != nil {
		return nil, err
	}
	n := f.Header().Rows()
	rows := n - 3*p - 1
	if rows < 1 || rows >= nRows {
		return nil, damaged("%d values are not those of some, but not all, of %d rows and %d components", n, nRows, p)
	}
	raw := make([]byte, 8*n)
	if err := f.ReadRows(0, n, raw); err != nil {
		return nil, err
	}
	values := make([]float64, n)
	for i := range values {
		values[i] = math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:]))
		if math.IsNaN(values[i]) || math.IsInf(values[i], 0) {
			return nil, damaged("element %d is %v", i, values[i])
		}
	}
	if values[n-1] != float64(crc32.Checksum(raw[:8*(n-1)], castagnoli)) {
		return nil, damaged("it does not match its checksum")
	}
	h := &Held{Sum: values[:p], SumSq: values[p : 2*p], KeptSum: values[2*p : 3*p]}
	for _, m := range values[3*p : n-1] {
		h.Margins = append(h.Margins, float32(m))
	}
	return h, nil
}
