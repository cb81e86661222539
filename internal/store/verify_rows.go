package store

import (
	"errors"
	"fmt"
)

// maxRowProblems bounds how many damaged rows of one set are listed.
const maxRowProblems = 100

var errEnough = errors.New("enough problems")

// checkRows checks a set of rows. For evaluation rows the number of rows is what the files say. command is what makes or
// resumes them.
func (v *verifier) checkRows(l layout, evaluation bool, command string) (nRows, completed int, err error) {
	s := unitFiles{dir: v.dir, files: make([]file, len(l.files)), headerRows: make([]int, len(l.files))}
	defer func() {
		for _, f := range s.files {
			if f != nil {
				f.Close() // only read
			}
		}
	}()
	sound, err := v.openRowSet(&s, &l, evaluation, command)
	if err != nil || !sound {
		return l.nRows, 0, err
	}
	s.layout = l
	flags, err := s.flags()
	if err != nil {
		return l.nRows, 0, v.damage(s.completedName(), err)
	}
	listed := 0
	err = s.check(flags, func(p Problem) error {
		if listed++; listed > maxRowProblems {
			p = Problem{p.File, -1, "more rows are damaged; the check of rows stopped here"}
		}
		v.report.Problems = append(v.report.Problems, p)
		if listed > maxRowProblems {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return l.nRows, 0, err
	}
	for _, done := range flags {
		if done {
			completed++
		}
	}
	if completed < l.nRows {
		v.unfinished("%s: %d of %d %s are not completed; %s resumes", l.files[0].name, l.nRows-completed, l.nRows, l.unit, command)
		return l.nRows, completed, nil
	}
	for _, name := range l.names() {
		if !v.isSealed(name) {
			v.unfinished("%s is not sealed; %s does that", name, command)
		}
	}
	return l.nRows, completed, nil
}

// openRowSet opens the four files and checks their headers; sound says whether their rows can be looked at.
func (v *verifier) openRowSet(s *unitFiles, l *layout, evaluation bool, command string) (sound bool, err error) {
	sound = true
	sizeRows := make([]int, len(l.files))
	for i, a := range l.files {
		f, err := v.fs.open(inRun(v.dir, a.name), false)
		if isMissing(err) {
			continue
		}
		if err != nil {
			return false, v.damage(a.name, fmt.Errorf("store: %w", err))
		}
		s.files[i] = f
		if s.headerRows[i], sizeRows[i], err = a.inspect(v.dir, f); err != nil {
			if err := v.damage(a.name, err); err != nil {
				return false, err
			}
			sound = false
		} else if evaluation {
			l.nRows = max(l.nRows, sizeRows[i])
		} else if sizeRows[i] > l.nRows {
			v.problem(a.name, "the file has %d rows, %s says %d", sizeRows[i], ManifestName, l.nRows)
			sound = false
		}
	}
	if !sound {
		return false, nil
	}
	for i, name := range l.names() {
		switch {
		case s.files[i] == nil && v.isSealed(name): // checkSeals has said that it is gone
		case s.files[i] == nil:
			v.unfinished("%s is not there yet; %s resumes", name, command)
		case s.headerRows[i] < l.nRows:
			v.unfinished("%s has %d of %d rows, adding the others was cut short; %s resumes", name, s.headerRows[i], l.nRows, command)
		}
	}
	return true, nil
}
