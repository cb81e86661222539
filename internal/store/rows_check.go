package store

import (
	"bytes"
	"fmt"
	"io"
	"path"
	"slices"

	"coar/internal/fault"
	"coar/internal/npy"
)

// Problem is one thing that is wrong with a run's files.
type Problem struct {
	File string // relative to the run, with slashes
	Row  int    // -1 where no row is at fault
	What string
}

// String is the problem in one line.
func (p Problem) String() string {
	if p.Row < 0 {
		return p.File + ": " + p.What
	}
	return fmt.Sprintf("%s: row %d: %s", p.File, p.Row, p.What)
}

// err is the problem as an error of kind fault.Malformed.
func (p Problem) err(dir string) error {
	if p.Row < 0 {
		return fault.InFile(inRun(dir, p.File), "%s", p.What)
	}
	return fault.InFile(inRun(dir, p.File), "row %d: %s; restore the file from a copy or start the run again", p.Row, p.What)
}

// rowSet is a set of rows as it lies on the disk, for checking. A file that is nil is missing and has no rows.
type rowSet struct {
	dir        string
	layout     layout
	names      rowNames
	files      [nRowFiles]file
	headerRows [nRowFiles]int
}

// flags reads _completed.npy: one flag for each row that it has, none if it is missing.
func (s *rowSet) flags() ([]bool, error) {
	f := s.files[completedFile]
	if f == nil {
		return nil, nil
	}
	raw := make([]byte, s.headerRows[completedFile])
	if _, err := f.ReadAt(raw, dataOffset); err != nil && len(raw) > 0 && err != io.EOF {
		return nil, fmt.Errorf("store: read %s: %w", inRun(s.dir, s.names.completed), err)
	}
	flags := make([]bool, len(raw))
	for i, b := range raw {
		if b > 1 {
			return nil, Problem{s.names.completed, i, fmt.Sprintf("the flag is %d, neither 0 nor 1", b)}.err(s.dir)
		}
		flags[i] = b == 1
	}
	return flags, nil
}

// checkBytes bounds the buffer that rows are checked through, unless one row is larger.
const checkBytes = 1 << 20

// beyond finds a row that is marked completed though one of the files lacks it.
func (s *rowSet) beyond(completed []bool) (Problem, bool) {
	for i, a := range s.layout.arrays(s.names) {
		have := min(s.headerRows[i], len(completed))
		row := slices.Index(completed[have:], true)
		switch {
		case row < 0:
		case s.files[i] == nil:
			return Problem{a.name, -1, fmt.Sprintf("the file is gone, but row %d is marked completed", have+row)}, true
		default:
			return Problem{a.name, -1, fmt.Sprintf("the file has %d rows, but row %d is marked completed", have, have+row)}, true
		}
	}
	return Problem{}, false
}

// check reads every completed row and hands each problem to report, stopping at its first error.
func (s *rowSet) check(completed []bool, report func(p Problem) error) error {
	if p, bad := s.beyond(completed); bad {
		return report(p)
	}
	perRow := s.layout.nComponents + s.layout.nExamples*s.layout.margins.Size() + checksumBytes
	step := max(1, checkBytes/perRow)
	var b rowBuffers
	for first := 0; first < len(completed); {
		if !completed[first] {
			first++
			continue
		}
		n := 1
		for n < step && first+n < len(completed) && completed[first+n] {
			n++
		}
		if err := s.checkRows(first, n, &b, report); err != nil {
			return err
		}
		first += n
	}
	return nil
}

// rowBuffers are reused from one batch of rows to the next.
type rowBuffers [nRowFiles][]byte

// checkRows checks n completed rows from row number first on.
func (s *rowSet) checkRows(first, n int, b *rowBuffers, report func(p Problem) error) error {
	arrays := s.layout.arrays(s.names)
	for i, a := range arrays[:completedFile] {
		if need := n * a.rowBytes(); cap(b[i]) < need {
			b[i] = make([]byte, need)
		}
		b[i] = b[i][:n*a.rowBytes()]
		if _, err := s.files[i].ReadAt(b[i], a.offset(first)); err != nil && err != io.EOF {
			return fmt.Errorf("store: read %s: %w", inRun(s.dir, a.name), err)
		}
	}
	want := checksumRows(n, b[masksFile], b[marginsFile])
	if bytes.Equal(want, b[checksumsFile]) {
		return s.checkValues(first, n, b, report)
	}
	for row := range n {
		for half, i := range []int{masksFile, marginsFile} {
			at := row*checksumBytes + 4*half
			if !bytes.Equal(want[at:at+4], b[checksumsFile][at:at+4]) {
				what := "it does not match its checksum in " + path.Base(s.names.checksums)
				if err := report(Problem{arrays[i].name, first + row, what}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// checkValues checks that rows which match their checksums hold what coar would write: a file made to do harm can match.
func (s *rowSet) checkValues(first, n int, b *rowBuffers, report func(p Problem) error) error {
	if i := slices.IndexFunc(b[masksFile], func(v byte) bool { return v > 1 }); i >= 0 {
		return report(Problem{s.names.masks, first + i/s.layout.nComponents, "a keep value is neither 0 nor 1"})
	}
	if i := npy.FirstNotFiniteRaw(s.layout.margins, b[marginsFile]); i >= 0 {
		return report(Problem{s.names.margins, first + i/s.layout.nExamples,
			fmt.Sprintf("the margin of example %d is not finite", i%s.layout.nExamples)})
	}
	return nil
}
