package checkpoint

import (
	"fmt"
	"math/bits"
	"strings"
)

// tensor is a checked view of a storage: every element it names lies within.
type tensor struct {
	key      string // without a leading "module."
	original string // as in the file
	dtype    DType
	itemSize int
	shape    []int
	strides  []int // in elements, none negative
	offset   int   // of the first element, in elements
	length   int   // number of elements
	data     *storage
}

// maxDims is the number of dimensions that PyTorch allows.
const maxDims = 64

// freeBytes is what a tensor may hold although its storage holds less, which it can by repeating elements (stride 0).
const freeBytes = 1 << 20

// newTensor checks a view against its storage. Nil strides mean contiguous.
func newTensor(dtype DType, itemSize int, shape, strides []int, offset int, data *storage) (*tensor, error) {
	if strides == nil {
		strides = contiguousStrides(shape)
	}
	if len(shape) > maxDims || len(shape) != len(strides) {
		return nil, fmt.Errorf("it has %d dimensions and %d strides", len(shape), len(strides))
	}
	stored := int(data.size) / itemSize
	length, err := checkedLen(shape)
	if err != nil {
		return nil, err
	}
	if offset < 0 || offset > stored {
		return nil, fmt.Errorf("it starts at element %d, its storage has %d", offset, stored)
	}
	if length > 0 {
		last := offset
		for i, n := range shape {
			hi, step := bits.Mul64(uint64(n-1), uint64(strides[i]))
			if strides[i] < 0 || hi != 0 || step >= uint64(stored) && n > 1 {
				last = stored
				break
			}
			if last += int(step); last >= stored {
				break
			}
		}
		if last >= stored {
			return nil, fmt.Errorf("shape %s with strides %v from element %d reaches beyond its storage of %d elements",
				formatShape(shape), strides, offset, stored)
		}
	}
	if length > stored && length > freeBytes/itemSize {
		return nil, fmt.Errorf("shape %s claims %d elements, its storage has %d", formatShape(shape), length, stored)
	}
	return &tensor{dtype: dtype, itemSize: itemSize, shape: shape, strides: strides, offset: offset, length: length, data: data}, nil
}

// checkedLen is the number of elements of shape; negative sizes and numbers that do not fit int are errors.
func checkedLen(shape []int) (int, error) {
	length, empty := uint64(1), false
	for _, n := range shape {
		if n < 0 {
			return 0, fmt.Errorf("shape %s has a negative size", formatShape(shape))
		}
		empty = empty || n == 0
	}
	if empty {
		return 0, nil
	}
	for _, n := range shape {
		hi, lo := bits.Mul64(length, uint64(n))
		if hi != 0 || lo > 1<<56 {
			return 0, fmt.Errorf("shape %s claims more elements than any file holds", formatShape(shape))
		}
		length = lo
	}
	return int(length), nil
}

// contiguousStrides are the strides of a row-major array; they wrap silently where checkedLen would fail.
func contiguousStrides(shape []int) []int {
	strides := make([]int, len(shape))
	step := 1
	for i := len(shape) - 1; i >= 0; i-- {
		strides[i] = step
		step *= max(shape[i], 1)
	}
	return strides
}

// sameView reports whether two tensors are the same elements of the same storage.
func (t *tensor) sameView(o *tensor) bool {
	if t.data != o.data || t.offset != o.offset || t.dtype != o.dtype || len(t.shape) != len(o.shape) {
		return false
	}
	for i := range t.shape {
		if t.shape[i] != o.shape[i] || t.strides[i] != o.strides[i] {
			return false
		}
	}
	return true
}

// formatShape prints a shape as Python does a list; a long one is cut short.
func formatShape(shape []int) string {
	var b strings.Builder
	for i, n := range shape {
		if i == 8 && len(shape) > 9 {
			fmt.Fprintf(&b, ", … (%d dimensions)", len(shape))
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprint(&b, n)
	}
	return "[" + b.String() + "]"
}
