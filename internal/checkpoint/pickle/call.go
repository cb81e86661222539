package pickle

import (
	"errors"
	"slices"
)

// call carries out the opcodes that name classes, record calls and refer to the outside.
func (m *machine) call(op byte) (done bool, err error) {
	switch op {
	case 'c': // GLOBAL
		module, err := m.in.line()
		if err != nil {
			return true, err
		}
		name, err := m.in.line()
		if err != nil {
			return true, err
		}
		return true, m.push(&Class{module, name}, listBytes+len(module)+len(name))
	case 0x93: // STACK_GLOBAL
		name, err := m.popString()
		if err != nil {
			return true, err
		}
		module, err := m.popString()
		if err != nil {
			return true, err
		}
		return true, m.push(&Class{module, name}, listBytes)
	case 'R', 0x81: // REDUCE, NEWOBJ
		return true, m.record()
	case 0x92: // NEWOBJ_EX
		if _, err := m.pop(); err != nil { // keyword arguments
			return true, err
		}
		return true, m.record()
	case 'o': // OBJ
		items, err := m.popMark()
		if err != nil {
			return true, err
		}
		if len(items) == 0 {
			return true, errStack
		}
		if err := m.spend(itemBytes * len(items)); err != nil {
			return true, err
		}
		items = slices.Clone(items)
		return true, m.push(&Object{Callable: items[0], Args: items[1:]}, objectBytes)
	case 'b': // BUILD
		state, err := m.pop()
		if err != nil {
			return true, err
		}
		v, err := m.top()
		if err != nil {
			return true, err
		}
		if o, ok := v.(*Object); ok {
			o.State = state
			return true, nil
		}
		return true, errors.New("a state is given to what is not an object")
	case 'Q': // BINPERSID
		id, err := m.pop()
		if err != nil {
			return true, err
		}
		ref := &Ref{ID: id}
		m.refs = append(m.refs, ref)
		return true, m.push(ref, listBytes)
	}
	return false, nil
}

// record replaces a callable and its tuple of arguments on the stack by the call's record.
func (m *machine) record() error {
	v, err := m.pop()
	if err != nil {
		return err
	}
	args, ok := v.(Tuple)
	if !ok {
		return errors.New("a call's arguments are not a tuple")
	}
	callable, err := m.pop()
	if err != nil {
		return err
	}
	return m.push(&Object{Callable: callable, Args: args}, objectBytes)
}

// popString takes a string from the stack.
func (m *machine) popString() (string, error) {
	v, err := m.pop()
	if err != nil {
		return "", err
	}
	s, ok := v.(string)
	if !ok {
		return "", errors.New("a class's name is not a string")
	}
	return s, nil
}
