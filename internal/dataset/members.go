package dataset

import (
	"slices"
	"strconv"
	"strings"

	"coar/internal/fault"
)

// Members are the examples of a run, selectable without opening the data that they came from.
type Members struct {
	Positions  []int    // in the data source
	IDs        []string // likewise; nil: the positions as text
	Labels     []int    // nil: unknown
	ClassNames []string
	Right      []bool // whether the intact model classifies each correctly; nil: unknown
}

// Select resolves a selection to ascending indices into the members: those of the selected dataset positions that
// are members at all.
//
// Errors: fault.Usage for a selection that cannot be meant, asks for what is unknown, or has no member.
func (m Members) Select(sel string) ([]int, error) {
	is, err := m.matcher(sel)
	if err != nil {
		return nil, err
	}
	picked := where(len(m.Positions), is)
	if len(picked) == 0 {
		return nil, fault.Usagef("selection %q: none of the run's %d examples is in it", sel, len(m.Positions))
	}
	return picked, nil
}

// matcher returns whether member i is selected.
func (m Members) matcher(sel string) (func(i int) bool, error) {
	kind, rest, _ := strings.Cut(sel, ":")
	switch {
	case sel == "all":
		return func(int) bool { return true }, nil
	case sel == "errors" || sel == "correct":
		if m.Right == nil {
			return nil, fault.Usagef("selection %q needs the model's predictions, which are not known here", sel)
		}
		return func(i int) bool { return m.Right[i] == (sel == "correct") }, nil
	case kind == "class":
		if m.Labels == nil {
			return nil, fault.Usagef("selection %q needs labels, which are not known here", sel)
		}
		label, err := labelNamed(m.ClassNames, rest)
		return func(i int) bool { return m.Labels[i] == label }, err
	case kind == "every":
		step, err := strconv.Atoi(rest)
		if err != nil || step < 1 {
			return nil, fault.Usagef("selection %q: every:N wants a whole number from 1 on", sel)
		}
		return func(i int) bool { return m.Positions[i]%step == 0 }, nil
	case kind == "file":
		ids, err := readIDs(rest)
		return func(i int) bool { return slices.Contains(ids, m.ID(i)) }, err
	}
	ranges, err := parseRanges(sel)
	return func(i int) bool { return contains(ranges, m.Positions[i]) }, err
}

// ID is member i's stable name.
func (m Members) ID(i int) string {
	if m.IDs == nil {
		return strconv.Itoa(m.Positions[i])
	}
	return m.IDs[i]
}
