// Package pickle reads Python pickles as data. Nothing in them is imported, called or built: a class is its name, a
// call is recorded with its arguments, and the caller decides what any of it means.
//
// Pickles are untrusted: reading one allocates at most MaxBytes, whatever it claims, and takes time in proportion to
// its length. Values may be shared and may contain themselves, so whoever walks them must bound the walk.
package pickle

// A value is nil, bool, int64, Long, float64, string, []byte, Tuple, or a pointer to List, Dict, Class, Object or Ref.

// Long is an integer beyond int64: little-endian two's complement.
type Long []byte

// Tuple is a Python tuple.
type Tuple []any

// List is a Python list, set or frozenset.
type List struct{ Items []any }

// Dict is a Python dict. Keys come in the order of writing and may repeat.
type Dict struct{ Entries []Entry }

// Entry is one key of a Dict or Object with its value.
type Entry struct{ Key, Value any }

// Class is the name of a class or function.
type Class struct{ Module, Name string }

// Object is the result of a call that was recorded, not made, and what was later stored in it.
type Object struct {
	Callable any     // mostly *Class
	Args     Tuple   // positional arguments; keyword arguments are dropped
	State    any     // what __setstate__ would get, mostly a *Dict that becomes __dict__
	Items    []any   // appended, if the object is like a list
	Entries  []Entry // set, if the object is like a dict
}

// Is reports whether v is the result of calling this class or function.
func (o *Object) Is(module, name string) bool {
	class, ok := o.Callable.(*Class)
	return ok && class.Module == module && class.Name == name
}

// Ref is a reference to something stored outside the pickle.
type Ref struct{ ID any }
