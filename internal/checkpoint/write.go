package checkpoint

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"

	"coar/internal/fault"
)

// WriteEdited writes a copy of the checkpoint to w as .safetensors, with rows of some tensors set to zero.
//
// The copy has every tensor of the file, buffers included, under its original key (with "module." where the file has
// it), in the same order and with the same element type, shape and bytes; views become contiguous. zero lists rows,
// that is indices of dimension 0, by normalised key; they are zeroed in the tensor of that key and in those of its
// aliases, so far as the file has them.
//
// Cost:   a buffer of 256 kB; see each for tensors that are not contiguous.
// Errors: fault.Conflict for a key that the file has under no name, for a row that it does not have, and for an element
// type that safetensors does not know; those of reading and writing.
func (f *File) WriteEdited(w io.Writer, zero map[string][]int, aliases map[string][]string) error {
	rows, err := f.zeroRows(zero, aliases)
	if err != nil {
		return err
	}
	entries := make([]headerLine, len(f.tensors))
	for i, t := range f.tensors {
		if dtypeSizes[t.dtype] == 0 {
			return fault.Conflictf("%s: tensor %s has elements of type %s, which .safetensors cannot hold", f.path, quote(t.key), t.dtype)
		}
		entries[i] = headerLine{t.original, t.dtype, t.shape, t.length * t.itemSize}
	}
	metadata := f.metadata
	if metadata == nil {
		metadata = map[string]string{"format": "pt"}
	}
	header, err := marshalHeader(metadata, entries)
	if err != nil {
		return err
	}
	buffered := bufio.NewWriterSize(w, chunkBytes)
	if _, err := buffered.Write(header); err != nil {
		return err
	}
	for _, i := range dataOrder(entries) {
		t := f.tensors[i]
		if err := t.writeZeroing(buffered, rows[t]); err != nil {
			return fmt.Errorf("tensor %s: %w", quote(t.key), err)
		}
	}
	return buffered.Flush()
}

// zeroRows resolves the rows to be zeroed to the tensors that hold them, sorted.
func (f *File) zeroRows(zero map[string][]int, aliases map[string][]string) (map[*tensor][]int, error) {
	rows := make(map[*tensor][]int)
	for key, list := range zero {
		found := false
		for _, name := range append([]string{key}, aliases[key]...) {
			t := f.byKey[name]
			if t == nil {
				continue
			}
			found = true
			for _, row := range list {
				if len(t.shape) == 0 || row < 0 || row >= t.shape[0] {
					return nil, fault.Conflictf("%s: tensor %s has shape %s, no row %d", f.path, quote(name), formatShape(t.shape), row)
				}
			}
			rows[t] = append(rows[t], list...)
		}
		if !found {
			return nil, fault.Conflictf("%s has no tensor %s", f.path, quote(key))
		}
	}
	for _, list := range rows {
		slices.Sort(list)
	}
	return rows, nil
}

// writeZeroing writes t's elements, row-major, those of the listed rows as zero; rows must be sorted.
func (t *tensor) writeZeroing(w io.Writer, rows []int) error {
	rowBytes := 0
	if len(rows) > 0 {
		rowBytes = t.length * t.itemSize / t.shape[0]
	}
	at := 0
	return t.each(func(raw []byte) error {
		for len(rows) > 0 && rows[0]*rowBytes < at+len(raw) {
			from, to := max(rows[0]*rowBytes-at, 0), min((rows[0]+1)*rowBytes-at, len(raw))
			clear(raw[from:to])
			if (rows[0]+1)*rowBytes > at+len(raw) {
				break // the row goes on in the next part
			}
			rows = rows[1:]
		}
		at += len(raw)
		_, err := w.Write(raw)
		return err
	})
}

// Tensor is a tensor to be written. Data is row-major and has as many elements as Shape says.
type Tensor struct {
	Key   string
	Shape []int
	Data  []float32
}

// WriteSafetensors writes tensors of float32 to w as .safetensors, in the order given.
func WriteSafetensors(w io.Writer, tensors []Tensor) error {
	entries := make([]headerLine, len(tensors))
	for i, t := range tensors {
		if n, err := checkedLen(t.Shape); err != nil || n != len(t.Data) {
			return fmt.Errorf("checkpoint: tensor %s has %d elements, not shape %s", t.Key, len(t.Data), formatShape(t.Shape))
		}
		entries[i] = headerLine{t.Key, F32, t.Shape, 4 * len(t.Data)}
	}
	header, err := marshalHeader(map[string]string{"format": "pt"}, entries)
	if err != nil {
		return err
	}
	buffered := bufio.NewWriterSize(w, chunkBytes)
	if _, err := buffered.Write(header); err != nil {
		return err
	}
	var b [4]byte
	for _, t := range tensors {
		for _, v := range t.Data {
			binary.LittleEndian.PutUint32(b[:], math.Float32bits(v))
			if _, err := buffered.Write(b[:]); err != nil {
				return err
			}
		}
	}
	return buffered.Flush()
}

// dataOrder is the order in which the data of entries is laid out: larger elements first, so that every tensor begins
// at a multiple of its element size, as PyTorch's loader requires.
func dataOrder(entries []headerLine) []int {
	order := make([]int, len(entries))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(dtypeSizes[entries[b].dtype], dtypeSizes[entries[a].dtype])
	})
	return order
}
