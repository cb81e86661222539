package dataset

import (
	"bufio"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"coar/internal/fault"
)

// Select resolves a selection to ascending dataset positions.
//
// Grammar: `all`; positions and ranges such as `0-99,120`; `class:NAME` or `class:NUMBER`; `every:N`, which is every
// N-th position from 0; `file:PATH`, a text file of one id per line; `errors` and `correct`, for which correct is asked
// about all positions and answers in their order.
//
// Errors: fault.Usage for a selection that cannot be meant, reaches beyond the source or selects nothing; correct's own.
func Select(sel string, s *Source, correct func(positions []int) ([]bool, error)) ([]int, error) {
	picked, err := pick(sel, s, correct)
	if err != nil {
		return nil, err
	}
	slices.Sort(picked)
	picked = slices.Compact(picked)
	if len(picked) == 0 {
		return nil, fault.Usagef("selection %q: none of the %d examples is in it", sel, s.Len())
	}
	return picked, nil
}

// pick resolves a selection to positions in any order, repeated ones included.
func pick(sel string, s *Source, correct func([]int) ([]bool, error)) ([]int, error) {
	kind, rest, _ := strings.Cut(sel, ":")
	switch {
	case sel == "all":
		return where(s.Len(), func(int) bool { return true }), nil
	case sel == "errors" || sel == "correct":
		return pickByOutcome(sel, s, correct)
	case kind == "class":
		label, err := labelNamed(s.classNames, rest)
		if err != nil {
			return nil, err
		}
		return where(s.Len(), func(i int) bool { return s.labels[i] == label }), nil
	case kind == "every":
		step, err := strconv.Atoi(rest)
		if err != nil || step < 1 {
			return nil, fault.Usagef("selection %q: every:N wants a whole number from 1 on", sel)
		}
		return where(s.Len(), func(i int) bool { return i%step == 0 }), nil
	case kind == "file":
		return pickFromFile(rest, s)
	}
	return pickPositions(sel, s)
}

// where lists the positions below n that pass.
func where(n int, pass func(i int) bool) []int {
	var picked []int
	for i := range n {
		if pass(i) {
			picked = append(picked, i)
		}
	}
	return picked
}

// pickByOutcome picks what the model gets right, or wrong for "errors".
func pickByOutcome(sel string, s *Source, correct func([]int) ([]bool, error)) ([]int, error) {
	if correct == nil {
		return nil, fault.Usagef("selection %q needs the model's predictions, which are not known here", sel)
	}
	right, err := correct(where(s.Len(), func(int) bool { return true }))
	if err != nil {
		return nil, err
	}
	if len(right) != s.Len() {
		return nil, fmt.Errorf("dataset: %d outcomes for %d examples", len(right), s.Len())
	}
	return where(s.Len(), func(i int) bool { return right[i] == (sel == "correct") }), nil
}

// labelNamed finds a class by its name, else by its number.
func labelNamed(classNames []string, name string) (int, error) {
	if i := slices.Index(classNames, name); i >= 0 && name != "" {
		return i, nil
	}
	if label, err := strconv.Atoi(name); err == nil && label >= 0 {
		return label, nil
	}
	known := slices.DeleteFunc(slices.Clone(classNames), func(n string) bool { return n == "" })
	if len(known) == 0 {
		return 0, fault.Usagef("selection class:%s: the classes have no names here, only numbers", name)
	}
	list := strings.Join(known[:min(len(known), 10)], ", ")
	if len(known) > 10 {
		list += ", …"
	}
	return 0, fault.Usagef("selection class:%s: there is no such class; there are %s", name, list)
}

// pickFromFile picks the ids that the file at path lists.
func pickFromFile(path string, s *Source) ([]int, error) {
	ids, err := readIDs(path)
	if err != nil {
		return nil, err
	}
	var picked []int
	for _, id := range ids {
		i, ok := s.IndexOf(id)
		if !ok {
			return nil, fault.Usagef("selection file:%s: there is no example %q", path, id)
		}
		picked = append(picked, i)
	}
	return picked, nil
}

// readIDs reads one id a line; blank lines are skipped.
func readIDs(path string) ([]string, error) {
	f, _, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var ids []string
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if id := lines.Text(); strings.TrimSpace(id) != "" {
			ids = append(ids, id)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, unreadable(path, err)
	}
	return ids, nil
}

// pickPositions picks positions and ranges separated by commas.
func pickPositions(sel string, s *Source) ([]int, error) {
	ranges, err := parseRanges(sel)
	if err != nil {
		return nil, err
	}
	for _, r := range ranges {
		if r.last >= s.Len() {
			return nil, fault.Usagef("selection %q: there is no example %d; the last is %d", sel, r.last, s.Len()-1)
		}
	}
	return where(s.Len(), func(i int) bool { return contains(ranges, i) }), nil
}

// positionRange is first to last, both included.
type positionRange struct{ first, last int }

func contains(ranges []positionRange, i int) bool {
	return slices.ContainsFunc(ranges, func(r positionRange) bool { return r.first <= i && i <= r.last })
}

// parseRanges reads positions and ranges separated by commas.
func parseRanges(sel string) ([]positionRange, error) {
	var ranges []positionRange
	for part := range strings.SplitSeq(sel, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		first, err1 := strconv.ParseUint(from, 10, 31)
		last, err2 := strconv.ParseUint(to, 10, 31)
		if err1 != nil || err2 != nil {
			return nil, fault.Usagef("selection %q: expected all, positions such as 0-99,120, class:NAME, errors, "+
				"correct, every:N or file:PATH", sel)
		}
		if first > last {
			return nil, fault.Usagef("selection %q: the range %s runs backwards", sel, part)
		}
		ranges = append(ranges, positionRange{int(first), int(last)})
	}
	return ranges, nil
}
