package checkpoint

import (
	"errors"
	"fmt"
	"strings"

	"coar/internal/checkpoint/pickle"
)

// storageTypes are the element types and sizes of PyTorch's storage classes. A type under a name of its own is one that
// safetensors does not know.
var storageTypes = map[string]struct {
	dtype DType
	size  int
}{
	"DoubleStorage": {F64, 8}, "FloatStorage": {F32, 4}, "HalfStorage": {F16, 2}, "BFloat16Storage": {BF16, 2},
	"LongStorage": {"I64", 8}, "IntStorage": {"I32", 4}, "ShortStorage": {"I16", 2}, "CharStorage": {"I8", 1},
	"ByteStorage": {"U8", 1}, "BoolStorage": {"BOOL", 1}, "ComplexFloatStorage": {"C64", 8},
	"ComplexDoubleStorage": {"complex128", 16}, "QInt8Storage": {"qint8", 1}, "QUInt8Storage": {"quint8", 1},
	"QInt32Storage": {"qint32", 4}, "UntypedStorage": {"U8", 1}, "_UntypedStorage": {"U8", 1},
}

// torchTypes are the element types that a tensor over an untyped storage names.
var torchTypes = map[string]DType{
	"float64": F64, "float32": F32, "float16": F16, "bfloat16": BF16,
	"int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8",
	"uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8", "bool": "BOOL",
	"float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "complex64": "C64",
}

// storageRef is what a pickle says of a storage: the persistent id ("storage", class, key, location, elements[, view]).
type storageRef struct {
	key      string
	dtype    DType
	itemSize int
	length   int // elements

	isView               bool  // legacy files only: the storage is a part of the one under key, which is length long
	viewOffset, viewSize int64 // bytes
}

// size is the number of bytes of the storage under key.
func (s *storageRef) size() int64 { return int64(s.length) * int64(s.itemSize) }

// parseRef checks a reference to a storage.
func parseRef(ref *pickle.Ref) (storageRef, error) {
	var s storageRef
	id, _ := ref.ID.(pickle.Tuple)
	if len(id) < 5 || id[0] != "storage" {
		return s, errors.New("the pickle refers to something that is not a storage")
	}
	class, isClass := id[1].(*pickle.Class)
	key, isKey := id[2].(string)
	length, isLength := asSize(id[4])
	if !isClass || !isKey || !isLength {
		return s, errors.New("the pickle refers to a storage without a type, key or length")
	}
	kind, known := storageTypes[class.Name]
	if !known || class.Module != "torch" && !strings.HasPrefix(class.Module, "torch.") {
		return s, fmt.Errorf("storage %s has the unknown type %s", quote(key), quote(class.Module+"."+class.Name))
	}
	s = storageRef{key: key, dtype: kind.dtype, itemSize: kind.size, length: length}
	if len(id) > 5 && id[5] != nil { // (key, offset, length)
		view, _ := id[5].(pickle.Tuple)
		if len(view) != 3 {
			return s, fmt.Errorf("storage %s is a malformed view", quote(key))
		}
		offset, isOffset := asSize(view[1])
		n, isLength := asSize(view[2])
		if !isOffset || !isLength || offset > length || n > length-offset {
			return s, fmt.Errorf("storage %s is a view that reaches beyond %d elements", quote(key), length)
		}
		s.isView, s.viewOffset, s.viewSize = true, int64(offset)*int64(kind.size), int64(n)*int64(kind.size)
	}
	return s, nil
}

// rebuilder makes tensors of what torch.save recorded of them.
type rebuilder struct {
	// find returns the storage under ref.key, having checked that it has ref.length elements of ref.itemSize bytes.
	find func(ref storageRef) (*storage, error)
}

// tensor interprets a value of a state dict. It returns nil for what is not a tensor.
func (b *rebuilder) tensor(v any) (*tensor, error) {
	for range maxWraps {
		call, ok := v.(*pickle.Object)
		if !ok {
			return nil, nil
		}
		f, ok := call.Callable.(*pickle.Class)
		if !ok || !strings.HasPrefix(f.Name, "_rebuild_") || f.Module != "torch._utils" && f.Module != "torch._tensor" {
			return nil, nil
		}
		args := call.Args
		switch f.Name {
		case "_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3":
			return b.view(f.Name, args)
		case "_rebuild_parameter", "_rebuild_parameter_with_state": // (tensor, requires_grad, …)
			if len(args) == 0 {
				return nil, fmt.Errorf("%s has no arguments", f.Name)
			}
			v = args[0]
		case "_rebuild_from_type", "_rebuild_from_type_v2": // (function, type, arguments, state)
			if len(args) < 3 {
				return nil, fmt.Errorf("%s has %d arguments", f.Name, len(args))
			}
			inner, _ := args[2].(pickle.Tuple)
			v = &pickle.Object{Callable: args[0], Args: inner}
		default:
			return nil, fmt.Errorf("it is stored through %s, which is not supported; save plain dense tensors", quote(f.Name))
		}
	}
	return nil, errors.New("it is wrapped too often")
}

// maxWraps bounds how often a tensor may be wrapped in a parameter or subclass.
const maxWraps = 4

// view interprets the arguments (storage, offset, size, stride[, requires_grad, hooks[, metadata or dtype[, metadata]]]).
func (b *rebuilder) view(function string, args pickle.Tuple) (*tensor, error) {
	if len(args) < 4 {
		return nil, fmt.Errorf("%s has %d arguments", function, len(args))
	}
	ref, isRef := args[0].(*pickle.Ref)
	offset, isOffset := asSize(args[1])
	shape, isShape := asSizes(args[2])
	strides, isStrides := asSizes(args[3])
	if !isRef || !isOffset || !isShape || !isStrides {
		return nil, errors.New("its storage, offset, shape or strides are malformed")
	}
	s, err := parseRef(ref)
	if err != nil {
		return nil, err
	}
	metadata := 6
	if function == "_rebuild_tensor_v3" {
		metadata = 7
		if err := s.retype(args); err != nil {
			return nil, err
		}
	}
	if len(args) > metadata && hasEntries(args[metadata]) {
		return nil, errors.New("it is a lazily negated or conjugated view; save a clone of it")
	}
	data, err := b.find(s)
	if err != nil {
		return nil, err
	}
	if s.isView {
		data = data.part(s.viewOffset, s.viewSize)
	}
	return newTensor(s.dtype, s.itemSize, shape, strides, offset, data)
}

// retype sets the element type that a tensor over an untyped storage names as its seventh argument.
func (s *storageRef) retype(args pickle.Tuple) error {
	if len(args) < 7 {
		return fmt.Errorf("_rebuild_tensor_v3 has %d arguments", len(args))
	}
	class, ok := args[6].(*pickle.Class)
	if !ok || torchTypes[class.Name] == "" {
		return errors.New("its element type is not known")
	}
	size := int(s.size())
	s.dtype = torchTypes[class.Name]
	s.itemSize = dtypeSizes[s.dtype]
	if size%s.itemSize != 0 {
		return fmt.Errorf("its storage of %d bytes is not whole elements of type %s", size, s.dtype)
	}
	s.length = size / s.itemSize
	return nil
}

// hasEntries reports whether v is a dict that is not empty.
func hasEntries(v any) bool {
	entries, _ := dictEntries(v)
	return len(entries) > 0
}

// maxSize bounds every size and offset in a pickle, so that products with an element's size cannot overflow.
const maxSize = 1 << 56

// asSize is a size, offset or stride.
func asSize(v any) (int, bool) {
	n, ok := v.(int64)
	return int(n), ok && n >= 0 && n <= maxSize
}

// asSizes is a shape or strides.
func asSizes(v any) ([]int, bool) {
	if o, ok := v.(*pickle.Object); ok && o.Is("torch", "Size") && len(o.Args) == 1 {
		v = o.Args[0]
	}
	var items []any
	switch v := v.(type) {
	case pickle.Tuple:
		items = v
	case *pickle.List:
		items = v.Items
	default:
		return nil, false
	}
	if len(items) > maxDims {
		return nil, false
	}
	sizes := make([]int, len(items))
	for i, item := range items {
		n, ok := asSize(item)
		if !ok {
			return nil, false
		}
		sizes[i] = n
	}
	return sizes, true
}
