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

// unitFiles are a set of units as they lie on the disk, for checking. A file that is nil is missing and has no rows.
type unitFiles struct {
	dir        string
	layout     layout
	files      []file
	headerRows []int
}

// flags reads _completed.npy: one flag for each row that it has, none if it is missing.
func (s *unitFiles) flags() ([]bool, error) {
	f := s.files[s.layout.completed()]
	if f == nil {
		return nil, nil
	}
	raw := make([]byte, s.headerRows[s.layout.completed()])
	if _, err := f.ReadAt(raw, dataOffset); err != nil && len(raw) > 0 && err != io.EOF {
		return nil, fmt.Errorf("store: read %s: %w", inRun(s.dir, s.completedName()), err)
	}
	flags := make([]bool, len(raw))
	for i, b := range raw {
		if b > 1 {
			return nil, Problem{s.completedName(), i, fmt.Sprintf("the flag is %d, neither 0 nor 1", b)}.err(s.dir)
		}
		flags[i] = b == 1
	}
	return flags, nil
}

func (s *unitFiles) completedName() string { return s.layout.files[s.layout.completed()].name }

// checksums reads _checksums.npy.
func (s *unitFiles) checksums() ([]byte, error) {
	i := s.layout.checksums()
	a := s.layout.files[i]
	raw := make([]byte, s.headerRows[i]*a.rowBytes())
	if _, err := s.files[i].ReadAt(raw, dataOffset); err != nil && len(raw) > 0 && err != io.EOF {
		return nil, fmt.Errorf("store: read %s: %w", inRun(s.dir, a.name), err)
	}
	return raw, nil
}

// checkBytes bounds the buffer that rows are checked through, unless one row is larger.
const checkBytes = 1 << 20

// beyond finds a row that is marked completed though one of the files lacks it.
func (s *unitFiles) beyond(completed []bool) (Problem, bool) {
	for i, a := range s.layout.files {
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
func (s *unitFiles) check(completed []bool, report func(p Problem) error) error {
	if p, bad := s.beyond(completed); bad {
		return report(p)
	}
	step := max(1, checkBytes/s.layout.rowBytes())
	b := make([][]byte, s.layout.completed()) // reused from one batch of units to the next
	for first := 0; first < len(completed); {
		if !completed[first] {
			first++
			continue
		}
		n := 1
		for n < step && first+n < len(completed) && completed[first+n] {
			n++
		}
		if err := s.checkRows(first, n, b, report); err != nil {
			return err
		}
		first += n
	}
	return nil
}

// checkRows checks n completed rows from row number first on.
func (s *unitFiles) checkRows(first, n int, b [][]byte, report func(p Problem) error) error {
	arrays, nData := s.layout.files, s.layout.nData()
	for i, a := range arrays[:len(b)] {
		if need := n * a.rowBytes(); cap(b[i]) < need {
			b[i] = make([]byte, need)
		}
		b[i] = b[i][:n*a.rowBytes()]
		if _, err := s.files[i].ReadAt(b[i], a.offset(first)); err != nil && err != io.EOF {
			return fmt.Errorf("store: read %s: %w", inRun(s.dir, a.name), err)
		}
	}
	have := b[nData]
	want := checksumRows(n, b[:nData])
	if bytes.Equal(want, have) {
		return s.checkValues(first, b, report)
	}
	for row := range n {
		for i := range nData {
			at := 4 * (row*nData + i)
			if !bytes.Equal(want[at:at+4], have[at:at+4]) {
				what := "it does not match its checksum in " + path.Base(arrays[nData].name)
				if err := report(Problem{arrays[i].name, first + row, what}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// checkValues checks that rows which match their checksums hold what coar would write: a file made to do harm can match.
func (s *unitFiles) checkValues(first int, b [][]byte, report func(p Problem) error) error {
	for i, a := range s.layout.files[:s.layout.nData()] {
		switch a.values {
		case keepValue:
			if at := slices.IndexFunc(b[i], func(v byte) bool { return v > 1 }); at >= 0 {
				return report(Problem{a.name, first + at/a.rowLen, "a keep value is neither 0 nor 1"})
			}
		case finite:
			if at := npy.FirstNotFiniteRaw(a.dtype, b[i]); at >= 0 {
				return report(Problem{a.name, first + at/a.rowLen, fmt.Sprintf("value %d is not finite", at%a.rowLen)})
			}
		}
	}
	return nil
}
