package checkpoint

import (
	"errors"
	"fmt"
	"strings"

	"coar/internal/checkpoint/pickle"
)

// wrapperNames are the keys under which training scripts keep the state dict or the module in what they save; the first
// that leads to tensors is taken, and everything beside it (epoch, optimizer, args) is ignored.
var wrapperNames = []string{"state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights"}

const (
	maxWrappers = 2       // wrappers within wrappers
	maxDepth    = 64      // modules within modules
	maxEntries  = 1 << 20 // attributes looked at, those of shared modules each time: sharing can make a small pickle a huge tree
)

// collect finds the tensors in what a file holds: a state dict, a module, or a wrapper around either.
func (b *rebuilder) collect(root any) ([]*tensor, error) {
	tensors, err := b.unwrap(root, maxWrappers)
	if err != nil {
		return nil, err
	}
	if len(tensors) > 0 {
		return tensors, nil
	}
	entries, ok := dictEntries(root)
	if !ok {
		return nil, errors.New("it holds neither a state dict nor a module; save model.state_dict()")
	}
	var names []string
	for _, e := range entries {
		if name, ok := e.Key.(string); ok && len(names) < shown {
			names = append(names, quote(name))
		}
	}
	return nil, fmt.Errorf("it holds no tensors by name, neither at the top (keys: %s) nor under %s; save model.state_dict()",
		strings.Join(names, ", "), strings.Join(wrapperNames, ", "))
}

// unwrap finds the tensors in v, none being no error.
func (b *rebuilder) unwrap(v any, depth int) ([]*tensor, error) {
	if attributes, ok := moduleAttributes(v); ok {
		w := &walker{rebuilder: b, left: maxEntries}
		err := w.walk("", attributes, maxDepth)
		return w.tensors, err
	}
	entries, ok := dictEntries(v)
	if !ok {
		return nil, nil
	}
	if depth > 0 {
		for _, name := range wrapperNames {
			inner, err := b.unwrap(lookup(entries, name), depth-1)
			if err != nil || len(inner) > 0 {
				return inner, err
			}
		}
	}
	return b.named(nil, "", entries)
}

// named appends the tensors among entries, their keys prefixed; other values are left out.
func (b *rebuilder) named(tensors []*tensor, prefix string, entries []pickle.Entry) ([]*tensor, error) {
	for _, e := range entries {
		name, ok := e.Key.(string)
		if !ok {
			continue
		}
		t, err := b.tensor(e.Value)
		if err != nil {
			return nil, fmt.Errorf("tensor %s: %w", quote(prefix+name), err)
		}
		if t != nil {
			if len(tensors) == maxTensors {
				return nil, fmt.Errorf("it holds more than %d tensors", maxTensors)
			}
			t.original = prefix + name
			tensors = append(tensors, t)
		}
	}
	return tensors, nil
}

// walker collects the tensors of a module tree in the order of PyTorch's state_dict().
type walker struct {
	*rebuilder
	tensors []*tensor
	left    int // attributes that may still be looked at
}

// walk collects the parameters, persistent buffers and submodules of the module with these attributes.
func (w *walker) walk(prefix string, attributes []pickle.Entry, depth int) error {
	parameters, _ := dictEntries(lookup(attributes, "_parameters"))
	buffers, _ := dictEntries(lookup(attributes, "_buffers"))
	modules, _ := dictEntries(lookup(attributes, "_modules"))
	if w.left -= 1 + len(attributes) + len(parameters) + len(buffers) + len(modules); w.left < 0 || depth == 0 {
		return errors.New("its modules are nested too deeply or are too many")
	}
	var err error
	if w.tensors, err = w.named(w.tensors, prefix, parameters); err != nil {
		return err
	}
	if w.tensors, err = w.named(w.tensors, prefix, without(buffers, lookup(attributes, "_non_persistent_buffers_set"))); err != nil {
		return err
	}
	for _, e := range modules {
		name, isName := e.Key.(string)
		inner, isModule := moduleAttributes(e.Value)
		if !isName || !isModule {
			continue
		}
		if err := w.walk(prefix+name+".", inner, depth-1); err != nil {
			return err
		}
	}
	return nil
}

// without drops the entries whose keys are in set, as Python pickles one.
func without(entries []pickle.Entry, set any) []pickle.Entry {
	if o, ok := set.(*pickle.Object); ok && len(o.Args) == 1 { // protocols below 4: set([…])
		set = o.Args[0]
	}
	list, ok := set.(*pickle.List)
	if !ok || len(list.Items) == 0 {
		return entries
	}
	drop := make(map[string]bool, len(list.Items))
	for _, item := range list.Items {
		if name, ok := item.(string); ok {
			drop[name] = true
		}
	}
	var kept []pickle.Entry
	for _, e := range entries {
		if name, ok := e.Key.(string); !ok || !drop[name] {
			kept = append(kept, e)
		}
	}
	return kept
}

// moduleAttributes is the __dict__ of v if v is a pickled torch.nn.Module, whatever its class.
func moduleAttributes(v any) ([]pickle.Entry, bool) {
	o, ok := v.(*pickle.Object)
	if !ok {
		return nil, false
	}
	state := o.State
	if t, ok := state.(pickle.Tuple); ok && len(t) == 2 { // (__dict__, __slots__)
		state = t[0]
	}
	d, ok := state.(*pickle.Dict)
	if !ok || lookup(d.Entries, "_parameters") == nil || lookup(d.Entries, "_modules") == nil {
		return nil, false
	}
	return d.Entries, true
}

// dictEntries are the entries of a dict, OrderedDict or the like.
func dictEntries(v any) ([]pickle.Entry, bool) {
	switch v := v.(type) {
	case *pickle.Dict:
		return v.Entries, true
	case *pickle.Object:
		if v.Is("collections", "OrderedDict") && len(v.Args) == 1 { // as Python 2 wrote it: OrderedDict([[key, value], …])
			return append(pairs(v.Args[0]), v.Entries...), true
		}
		return v.Entries, len(v.Entries) > 0 || v.Is("collections", "OrderedDict")
	}
	return nil, false
}

// pairs are the entries of a list of key and value pairs.
func pairs(v any) []pickle.Entry {
	list, ok := v.(*pickle.List)
	if !ok {
		return nil
	}
	var entries []pickle.Entry
	for _, item := range list.Items {
		var pair []any
		switch item := item.(type) {
		case *pickle.List:
			pair = item.Items
		case pickle.Tuple:
			pair = item
		}
		if len(pair) == 2 {
			entries = append(entries, pickle.Entry{Key: pair[0], Value: pair[1]})
		}
	}
	return entries
}

// lookup is the value of a key, nil where it is absent. The last entry counts, as in Python.
func lookup(entries []pickle.Entry, name string) any {
	for i := len(entries) - 1; i >= 0; i-- {
		if entries[i].Key == name {
			return entries[i].Value
		}
	}
	return nil
}
