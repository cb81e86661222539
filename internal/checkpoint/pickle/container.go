package pickle

import (
	"errors"
	"slices"
)

// container carries out the opcodes that make and fill tuples, lists, sets and dicts.
func (m *machine) container(op byte) (done bool, err error) {
	switch op {
	case ')': // EMPTY_TUPLE
		return true, m.push(Tuple{}, listBytes)
	case 0x85, 0x86, 0x87: // TUPLE1, TUPLE2, TUPLE3
		n := int(op - 0x84)
		if len(m.stack)-m.floor() < n {
			return true, errStack
		}
		return true, m.pushTuple(m.take(n))
	case 't': // TUPLE
		items, err := m.popMark()
		if err != nil {
			return true, err
		}
		return true, m.pushTuple(items)
	case ']', 0x8f: // EMPTY_LIST, EMPTY_SET
		return true, m.push(&List{}, listBytes)
	case 'l', 0x91: // LIST, FROZENSET
		items, err := m.popMark()
		if err != nil {
			return true, err
		}
		if err := m.spend(itemBytes * len(items)); err != nil {
			return true, err
		}
		return true, m.push(&List{Items: slices.Clone(items)}, listBytes)
	case '}': // EMPTY_DICT
		return true, m.push(&Dict{}, listBytes)
	case 'd': // DICT
		items, err := m.popMark()
		if err != nil {
			return true, err
		}
		d := &Dict{}
		if err := m.set(&d.Entries, items); err != nil {
			return true, err
		}
		return true, m.push(d, listBytes)
	case 'a': // APPEND
		item, err := m.pop()
		if err != nil {
			return true, err
		}
		return true, m.appendTo([]any{item})
	case 'e', 0x90: // APPENDS, ADDITEMS
		items, err := m.popMark()
		if err != nil {
			return true, err
		}
		return true, m.appendTo(items)
	case 's': // SETITEM
		if len(m.stack)-m.floor() < 2 {
			return true, errStack
		}
		return true, m.setIn(m.take(2))
	case 'u': // SETITEMS
		items, err := m.popMark()
		if err != nil {
			return true, err
		}
		return true, m.setIn(items)
	}
	return false, nil
}

// take removes the n topmost values, which must exist. The result is good until the next push.
func (m *machine) take(n int) []any {
	items := m.stack[len(m.stack)-n:]
	m.stack = m.stack[:len(m.stack)-n]
	return items
}

// pushTuple pushes a tuple of items.
func (m *machine) pushTuple(items []any) error {
	if err := m.spend(itemBytes * len(items)); err != nil {
		return err
	}
	return m.push(append(Tuple{}, items...), listBytes)
}

// appendTo appends to the list or object on top of the stack.
func (m *machine) appendTo(items []any) error {
	v, err := m.top()
	if err != nil {
		return err
	}
	if err := m.spend(itemBytes * len(items)); err != nil {
		return err
	}
	switch v := v.(type) {
	case *List:
		v.Items = append(v.Items, items...)
	case *Object:
		v.Items = append(v.Items, items...)
	default:
		return errors.New("items are appended to what is not a list")
	}
	return nil
}

// setIn sets keys of the dict or object on top of the stack to values, which alternate in items.
func (m *machine) setIn(items []any) error {
	v, err := m.top()
	if err != nil {
		return err
	}
	switch v := v.(type) {
	case *Dict:
		return m.set(&v.Entries, items)
	case *Object:
		return m.set(&v.Entries, items)
	}
	return errors.New("keys are set in what is not a dict")
}

// set appends the keys and values that alternate in items to entries.
func (m *machine) set(entries *[]Entry, items []any) error {
	if len(items)%2 != 0 {
		return errors.New("a key has no value")
	}
	if err := m.spend(entryBytes * len(items) / 2); err != nil {
		return err
	}
	for i := 0; i < len(items); i += 2 {
		*entries = append(*entries, Entry{items[i], items[i+1]})
	}
	return nil
}
