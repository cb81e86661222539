package checkpoint

import (
	"errors"
	"fmt"
	"io"
	"strconv"

	"coar/internal/fault"
)

// NotFiniteError reports a weight that is NaN, infinite or beyond float32's range.
type NotFiniteError struct {
	Key   string  // the tensor
	Index int     // the element's number in row-major order
	Value float64 // as stored
}

func (e *NotFiniteError) Error() string {
	what := strconv.FormatFloat(e.Value, 'g', -1, 64)
	if e.Value-e.Value == 0 {
		what += ", which is beyond the range of float32"
	}
	return fmt.Sprintf("tensor %s: element %d is %s", quote(e.Key), e.Index, what)
}

// Float32 reads a tensor, row-major whatever its strides in the file.
//
// Errors: fault.Conflict for an unknown key; fault.Malformed for a type that is not F64, F32, F16 or BF16, for a value
// that is not finite (NotFiniteError), and where the file can no longer be read.
func (f *File) Float32(key string) ([]float32, error) {
	t := f.byKey[key]
	if t == nil {
		return nil, fault.Conflictf("%s has no tensor %s", f.path, quote(key))
	}
	return f.float32(t)
}

// float32 reads t.
func (f *File) float32(t *tensor) ([]float32, error) {
	var values []float32
	err := f.eachFloat32(t, func(part []float32) {
		if values == nil {
			values = make([]float32, 0, t.length)
		}
		values = append(values, part...)
	})
	if err != nil {
		return nil, err
	}
	return values, nil
}

// eachFloat32 calls visit with t's values in row-major order, a part at a time; visit must not keep part.
func (f *File) eachFloat32(t *tensor, visit func(part []float32)) error {
	decode := float32Decoder(t.dtype)
	if decode == nil {
		return fault.InFile(f.path, "tensor %s has elements of type %s where floats are expected", quote(t.key), t.dtype)
	}
	part, at := make([]float32, chunkBytes/t.itemSize), 0
	err := t.each(func(raw []byte) error {
		dst := part[:len(raw)/t.itemSize]
		decode(dst, raw)
		if i := firstNotFinite(dst); i < len(dst) {
			return &NotFiniteError{Key: t.key, Index: at + i, Value: float64At(t.dtype, raw, i)}
		}
		at += len(dst)
		visit(dst)
		return nil
	})
	var notFinite *NotFiniteError
	switch {
	case errors.As(err, &notFinite):
		return fault.InFile(f.path, "%w", err)
	case err != nil:
		return cannotRead(f.path, fmt.Errorf("tensor %s: %w", quote(t.key), err))
	}
	return nil
}

// chunkBytes is how much of a tensor is in hand at a time.
const chunkBytes = 1 << 18

// each calls visit with t's elements as stored, in row-major order, at most chunkBytes at a time; visit may change raw
// but not keep it.
func (t *tensor) each(visit func(raw []byte) error) error {
	if t.length == 0 {
		return nil
	}
	r, err := t.data.open()
	if err != nil {
		return err
	}
	g := &gatherer{t: t, r: r, out: make([]byte, 0, min(chunkBytes, t.length*t.itemSize)), visit: visit}
	if err := g.gather(0, t.offset, t.length); err != nil {
		return err
	}
	return g.flush()
}

// gatherer puts the elements of a view into row-major order.
type gatherer struct {
	t     *tensor
	r     io.ReaderAt
	out   []byte // full up to len
	visit func(raw []byte) error
}

// gather emits the length elements of the sub-view that starts at element offset and has the dimensions from dim on.
//
// The stretch of storage under a sub-view is read at once where it is small or mostly wanted, otherwise one slice of
// dim after another: memory stays below twice the tensor's bytes or 1 MB.
func (g *gatherer) gather(dim, offset, length int) error {
	t := g.t
	span, contiguous, step := 1, true, 1
	for i := len(t.shape) - 1; i >= dim; i-- {
		if t.shape[i] > 1 {
			span += (t.shape[i] - 1) * t.strides[i]
			contiguous = contiguous && t.strides[i] == step
			step *= t.shape[i]
		}
	}
	switch {
	case contiguous:
		return g.copy(offset, length)
	case span <= 2*length || span <= freeBytes/t.itemSize:
		stretch := make([]byte, span*t.itemSize)
		if err := readFull(g.r, stretch, int64(offset)*int64(t.itemSize)); err != nil {
			return err
		}
		return g.pick(stretch, dim, 0)
	}
	for i := range t.shape[dim] {
		if err := g.gather(dim+1, offset+i*t.strides[dim], length/t.shape[dim]); err != nil {
			return err
		}
	}
	return nil
}

// copy emits length adjacent elements from number offset on.
func (g *gatherer) copy(offset, length int) error {
	size := g.t.itemSize
	for length > 0 {
		if err := g.makeRoom(); err != nil {
			return err
		}
		n := min(length, (cap(g.out)-len(g.out))/size)
		part := g.out[len(g.out) : len(g.out)+n*size]
		if err := readFull(g.r, part, int64(offset)*int64(size)); err != nil {
			return err
		}
		g.out = g.out[:len(g.out)+n*size]
		offset, length = offset+n, length-n
	}
	return nil
}

// pick emits the sub-view of the dimensions from dim on, its first element being number at of stretch.
func (g *gatherer) pick(stretch []byte, dim, at int) error {
	size := g.t.itemSize
	if dim == len(g.t.shape) {
		if err := g.makeRoom(); err != nil {
			return err
		}
		g.out = append(g.out, stretch[at*size:(at+1)*size]...)
		return nil
	}
	for i := range g.t.shape[dim] {
		if err := g.pick(stretch, dim+1, at+i*g.t.strides[dim]); err != nil {
			return err
		}
	}
	return nil
}

// makeRoom leaves space for at least one element.
func (g *gatherer) makeRoom() error {
	if cap(g.out)-len(g.out) >= g.t.itemSize {
		return nil
	}
	return g.flush()
}

// flush hands over what was gathered.
func (g *gatherer) flush() error {
	raw := g.out
	g.out = g.out[:0]
	if len(raw) == 0 {
		return nil
	}
	return g.visit(raw)
}

// readFull fills p from offset on; a file that ends before is io.ErrUnexpectedEOF.
func readFull(r io.ReaderAt, p []byte, offset int64) error {
	n, err := r.ReadAt(p, offset)
	if n == len(p) {
		return nil
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}
