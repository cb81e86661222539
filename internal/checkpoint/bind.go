package checkpoint

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"coar/internal/fault"
)

// Want is one tensor that an architecture expects.
type Want struct {
	Key      string
	Shape    []int
	Aliases  []string // other names of the same tensor: used if Key is absent; where present beside it, they must be identical
	Optional bool     // may be absent
}

// Bind checks the file against what an architecture expects and returns the tensors by Key, row-major.
//
// Every tensor that is not optional must be there with its shape, aliases must hold the same values, and there must be
// nothing else but integer num_batches_tracked buffers. Absent optional tensors are absent from the result.
//
// Cost:   four bytes of memory per element, read once.
// Errors: one fault.Conflict that names all missing, unexpected and misshapen keys; those of Float32.
func (f *File) Bind(wants []Want) (map[string][]float32, error) {
	bound, m := f.match(wants)
	if err := m.err(f.path); err != nil {
		return nil, err
	}
	values := make(map[string][]float32, len(bound))
	for _, b := range bound {
		v, err := f.float32(b.first)
		if err != nil {
			return nil, err
		}
		for _, other := range b.others {
			same, err := f.holds(other, v, b.first)
			if err != nil {
				return nil, err
			}
			if !same {
				m.differing = append(m.differing, fmt.Sprintf("%s from %s", other.key, b.first.key))
			}
		}
		values[b.want.Key] = v
	}
	if err := m.err(f.path); err != nil {
		return nil, err
	}
	return values, nil
}

// binding is a wanted tensor and the tensors of the file that it is stored as.
type binding struct {
	want   Want
	first  *tensor
	others []*tensor
}

// match finds the wanted tensors by name and shape.
func (f *File) match(wants []Want) ([]binding, *mismatch) {
	m := &mismatch{}
	used := make(map[*tensor]bool, len(f.tensors))
	var bound []binding
	for _, w := range wants {
		var found []*tensor
		for _, name := range append([]string{w.Key}, w.Aliases...) {
			if t := f.byKey[name]; t != nil {
				used[t] = true
				found = append(found, t)
				if !slices.Equal(t.shape, w.Shape) {
					m.misshapen = append(m.misshapen, fmt.Sprintf("%s is %s, expected %s", quote(t.key), formatShape(t.shape), formatShape(w.Shape)))
				}
			}
		}
		switch {
		case len(found) > 0:
			bound = append(bound, binding{w, found[0], found[1:]})
		case !w.Optional:
			m.missing = append(m.missing, w.Key)
		}
	}
	for _, t := range f.tensors {
		if !used[t] && !t.isBatchCount() {
			m.unexpected = append(m.unexpected, quote(t.key))
		}
	}
	return bound, m
}

// isBatchCount reports whether the tensor is BatchNorm's count of batches seen, which nothing in eval mode reads.
func (t *tensor) isBatchCount() bool {
	return t.dtype.isInteger() && (t.key == "num_batches_tracked" || strings.HasSuffix(t.key, ".num_batches_tracked"))
}

// holds reports whether t has the values v, which are those of like.
func (f *File) holds(t *tensor, v []float32, like *tensor) (bool, error) {
	if t.sameView(like) {
		return true, nil
	}
	same, at := true, 0
	err := f.eachFloat32(t, func(part []float32) {
		for _, x := range part {
			same = same && math.Float32bits(x) == math.Float32bits(v[at])
			at++
		}
	})
	return same, err
}

// mismatch collects how a file differs from what an architecture expects.
type mismatch struct {
	missing, unexpected, misshapen, differing []string
}

// shown is how many keys of a kind an error names.
const shown = 10

// err is nil where nothing was collected.
func (m *mismatch) err(path string) error {
	var parts []string
	for _, kind := range []struct {
		name  string
		items []string
	}{
		{"missing", m.missing}, {"unexpected", m.unexpected}, {"misshapen", m.misshapen}, {"aliases that differ", m.differing},
	} {
		if len(kind.items) == 0 {
			continue
		}
		slices.Sort(kind.items)
		list, sep := kind.items, ", "
		if kind.name == "misshapen" {
			sep = "; "
		}
		more := ""
		if len(list) > shown {
			list, more = list[:shown], fmt.Sprintf("%sand %d more", sep, len(list)-shown)
		}
		parts = append(parts, fmt.Sprintf("%d %s (%s%s)", len(kind.items), kind.name, strings.Join(list, sep), more))
	}
	if len(parts) == 0 {
		return nil
	}
	return fault.Conflictf("%s does not hold the tensors that this architecture expects: %s", path, strings.Join(parts, ", "))
}
