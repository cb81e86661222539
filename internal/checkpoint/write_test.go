package checkpoint

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"coar/internal/fault"
)

// writeEdited writes an edited copy to path, which it replaces once the copy is whole.
func writeEdited(f *File, path string, zero map[string][]int, aliases map[string][]string) error {
	var copied bytes.Buffer
	if err := f.WriteEdited(&copied, zero, aliases); err != nil {
		return err
	}
	if err := os.WriteFile(path+".tmp", copied.Bytes(), 0o666); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}

// originals are the keys as in the file.
func originals(f *File) []string {
	var keys []string
	for _, t := range f.tensors {
		keys = append(keys, t.original)
	}
	return keys
}

func TestACopyHasTheSameTensorsByteForByte(t *testing.T) {
	for name, want := range goldens(t) {
		f := open(t, filepath.Join("testdata", name))
		path := filepath.Join(t.TempDir(), "copy.safetensors")
		if err := writeEdited(f, path, nil, nil); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		c := open(t, path)
		if c.Format() != "safetensors" || !slices.Equal(originals(c), originals(f)) {
			t.Errorf("%s: a copy of format %s with %v", name, c.Format(), originals(c))
		}
		for i, w := range want.Tensors {
			if c.tensors[i].dtype != w.DType || !slices.Equal(c.tensors[i].shape, w.Shape) || hex.EncodeToString(rawBytes(t, c, c.tensors[i].key)) != w.Raw {
				t.Errorf("%s: %s differs in the copy", name, w.Key)
			}
		}
		again := path + "2"
		if err := writeEdited(c, again, nil, nil); err != nil {
			t.Fatal(err)
		}
		if o := open(t, again); o.SHA256() != c.SHA256() {
			t.Errorf("%s: a copy of the copy differs", name)
		}
	}
}

func TestEveryTensorOfACopyIsAligned(t *testing.T) {
	path := filepath.Join(t.TempDir(), "copy.safetensors")
	if err := writeEdited(open(t, filepath.Join("testdata", "types_legacy.pt")), path, nil, nil); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	h := &headerReader{r: bytes.NewReader(b), dataSize: int64(len(b)), found: &contents{}}
	length := int64(b[0]) | int64(b[1])<<8
	if err := h.read(b[8 : 8+length]); err != nil {
		t.Fatal(err)
	}
	for i, tensor := range h.found.tensors {
		if begin := 8 + length + h.spans[i][0]; begin%int64(tensor.itemSize) != 0 {
			t.Errorf("%s of type %s begins at byte %d", tensor.original, tensor.dtype, begin)
		}
	}
}

func TestMetadataIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "copy.safetensors")
	if err := writeEdited(open(t, filepath.Join("testdata", "mixed.safetensors")), path, nil, nil); err != nil {
		t.Fatal(err)
	}
	if m := open(t, path).metadata; len(m) != 2 || m["format"] != "pt" || m["note"] != "kept" {
		t.Errorf("%v", m)
	}
}

func TestEditingZeroesTheRowsOfATensorAndItsAliasesAlone(t *testing.T) {
	f := open(t, filepath.Join("testdata", "wrapped_legacy.th"))
	path := filepath.Join(t.TempDir(), "edited.safetensors")
	alias := map[string][]string{"block0.conv.weight": {"layer.0.conv.weight", "absent"}, "other": {"head.bias"}}
	if err := writeEdited(f, path, map[string][]int{"block0.conv.weight": {2, 0}, "other": {1}}, alias); err != nil {
		t.Fatal(err)
	}
	e := open(t, path)
	for _, key := range f.Keys() {
		want, got := rawBytes(t, f, key), rawBytes(t, e, key)
		switch key {
		case "block0.conv.weight", "layer.0.conv.weight": // [3, 2, 2, 2] of F32
			clear(want[:32])
			clear(want[64:])
		case "head.bias":
			clear(want[4:])
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s holds %x, want %x", key, got, want)
		}
	}
	if !slices.Equal(originals(e), originals(f)) {
		t.Errorf("keys %v, want %v", originals(e), originals(f))
	}
}

func TestRowsAcrossPartsAreZeroedWhole(t *testing.T) {
	const rows, columns = 7, chunkBytes/4/2 - 3 // a row ends in nearly every part that is read
	f := saved(t, counting("w", 1, rows, columns))
	for _, zero := range [][]int{{0}, {6}, {1, 2, 5}, {3, 3}, {0, 1, 2, 3, 4, 5, 6}} {
		path := filepath.Join(t.TempDir(), "edited.safetensors")
		if err := writeEdited(f, path, map[string][]int{"w": zero}, nil); err != nil {
			t.Fatal(err)
		}
		got, err := open(t, path).Float32("w")
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range got {
			want := 1 + float32(i)
			if slices.Contains(zero, i/columns) {
				want = 0
			}
			if v != want {
				t.Fatalf("rows %v zeroed: element %d is %v, want %v", zero, i, v, want)
			}
		}
	}
}

func TestEditsThatCannotBeMeantAreRefused(t *testing.T) {
	f := open(t, filepath.Join("testdata", "types_zip.pt"))
	path := filepath.Join(t.TempDir(), "edited.safetensors")
	for _, zero := range []map[string][]int{{"absent": {0}}, {"f16": {2}}, {"f16": {-1}}, {"f32": {0}}, {"empty": {0}}} {
		if err := writeEdited(f, path, zero, nil); fault.KindOf(err) != fault.Conflict {
			t.Errorf("%v: %v", zero, err)
		}
	}
	double := zipBytes(t, pickled(pDict(pText("z"), pTensor(pStorage("ComplexDoubleStorage", "0", 1), 0, pInts(1), pInts(1)))), map[string][]byte{"data/0": make([]byte, 16)})
	c := open(t, write(t, "c.pt", double))
	if err := writeEdited(c, path, nil, nil); fault.KindOf(err) != fault.Conflict {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a refused edit left a file: %v", err)
	}
}

// A reader that fails and a writer that is full are errors.
func TestACopyThatFailsSaysSo(t *testing.T) {
	f := saved(t, counting("w", 1, 4))
	if err := os.Truncate(f.Path(), 100); err != nil { // the data can no longer be read
		t.Fatal(err)
	}
	if err := f.WriteEdited(io.Discard, nil, nil); err == nil {
		t.Error("a truncated file was copied")
	}
	tensor := counting("w", 1, 4)
	for room := range 100 {
		for what, err := range map[string]error{"a copy": saved(t, tensor).WriteEdited(&full{room}, nil, nil), "a file": WriteSafetensors(&full{room}, []Tensor{tensor})} {
			if !errors.Is(err, errFull) {
				t.Errorf("%s where there is room for %d bytes: %v", what, room, err)
			}
		}
	}
}

var errFull = errors.New("full")

// full is a disk with room for so many bytes.
type full struct{ room int }

func (w *full) Write(b []byte) (int, error) {
	n := min(len(b), w.room)
	w.room -= n
	if n < len(b) {
		return n, errFull
	}
	return n, nil
}

func TestAFileCanBeReplacedByItsEdit(t *testing.T) {
	f := saved(t, counting("w", 1, 2, 2))
	if err := writeEdited(f, f.Path(), map[string][]int{"w": {0}}, nil); err != nil {
		t.Fatal(err)
	}
	if v, err := open(t, f.Path()).Float32("w"); err != nil || !slices.Equal(v, []float32{0, 0, 3, 4}) {
		t.Errorf("%v, %v", v, err)
	}
}

func TestWriteSafetensorsChecksShapes(t *testing.T) {
	for _, shape := range [][]int{{3}, {-2}, {1 << 40, 1 << 40}} {
		if err := WriteSafetensors(io.Discard, []Tensor{{"w", shape, make([]float32, 2)}}); err == nil {
			t.Errorf("two elements were written as %v", shape)
		}
	}
}
