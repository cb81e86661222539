package checkpoint

import (
	"archive/zip"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"coar/internal/fault"
)

// goldenBytes is a file of testdata.
func goldenBytes(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEveryTruncationIsRefused(t *testing.T) {
	for name := range goldens(t) {
		whole := goldenBytes(t, name)
		for n := range whole {
			if err := readAll(name, whole[:n]); err == nil || fault.KindOf(err) != fault.Malformed {
				t.Errorf("%s, first %d of %d bytes: %v", name, n, len(whole), err)
			}
		}
	}
}

// values are all tensors of a checkpoint in memory, as stored.
func values(name string, b []byte) (map[string]string, error) {
	f, err := load(name, bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for _, tensor := range f.tensors {
		var bytes []byte
		if err := tensor.each(func(raw []byte) error { bytes = append(bytes, raw...); return nil }); err != nil {
			return nil, err
		}
		all[string(tensor.dtype)+formatShape(tensor.shape)+tensor.original] = string(bytes)
	}
	return all, nil
}

// TestBitFlipsInZip flips every bit. Within entries' bytes that must be refused; elsewhere (names, dates, the padding
// after compressed data) the file must be refused or hold exactly what it held.
func TestBitFlipsInZip(t *testing.T) {
	for _, name := range []string{"protocol2_zip.pt", "views_zip.pt", "deflated_zip.pt"} {
		b := goldenBytes(t, name)
		intact, err := values(name, b)
		if err != nil {
			t.Fatal(err)
		}
		payload := payloadOf(t, b)
		for i := range 8 * len(b) {
			b[i/8] ^= 1 << (i % 8)
			got, err := values(name, b)
			b[i/8] ^= 1 << (i % 8)
			switch {
			case err == nil && payload[i/8]:
				t.Errorf("%s: bit %d of byte %d within an entry went unnoticed", name, i%8, i/8)
			case err == nil && !sameValues(got, intact):
				t.Errorf("%s: bit %d of byte %d changed the tensors unnoticed", name, i%8, i/8)
			}
		}
	}
}

// payloadOf tells which bytes of an archive are those of an entry that is not compressed.
func payloadOf(t *testing.T, b []byte) []bool {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	within := make([]bool, len(b))
	for _, f := range z.File {
		if f.Method != zip.Store {
			continue
		}
		at, err := f.DataOffset()
		if err != nil {
			t.Fatal(err)
		}
		for i := range f.CompressedSize64 {
			within[uint64(at)+i] = true
		}
	}
	return within
}

func sameValues(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for key, v := range a {
		if w, ok := b[key]; !ok || v != w {
			return false
		}
	}
	return true
}

// TestBitFlipsElsewhere flips every bit of files that carry no checksum: they are refused or read, without NaN or
// infinity, and nothing panics.
func TestBitFlipsElsewhere(t *testing.T) {
	for _, name := range []string{"mixed.safetensors", "protocol4_legacy.pt", "gpu_views_legacy.pth", "types_legacy.pt"} {
		b := goldenBytes(t, name)
		for i := range 8 * len(b) {
			b[i/8] ^= 1 << (i % 8)
			checkReads(t, name, b)
			b[i/8] ^= 1 << (i % 8)
		}
	}
}

// checkReads reads a checkpoint in memory; errors are well, values that are not finite are not.
func checkReads(t testing.TB, name string, b []byte) {
	t.Helper()
	f, err := load(name, bytes.NewReader(b), int64(len(b)))
	if err != nil {
		if fault.KindOf(err) != fault.Malformed {
			t.Errorf("%s: %v", name, err)
		}
		return
	}
	for _, key := range f.Keys() {
		v, err := f.Float32(key)
		shape, _ := f.Shape(key)
		if n, _ := checkedLen(shape); err == nil && len(v) != n {
			t.Errorf("%s: %s of shape %v has %d values", name, key, shape, len(v))
		}
		if i := firstNotFinite(v); i < len(v) {
			t.Errorf("%s: %s has %v at %d", name, key, v[i], i)
		}
		if err != nil && fault.KindOf(err) != fault.Malformed {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNotFiniteValuesAreRefusedWithTheirPlace(t *testing.T) {
	for _, c := range []struct {
		dtype DType
		raw   string // the fourth of six elements, row-major
		want  string
	}{
		{F32, "\x00\x00\xc0\x7f", "element 3 is NaN"},
		{F32, "\x00\x00\x80\xff", "element 3 is -Inf"},
		{F64, "\x00\x00\x00\x00\x00\x00\xf0\x7f", "element 3 is +Inf"},
		{F64, "\x9c\x75\x00\x88\x3c\xe4\x37\x7e", "element 3 is 1e+300, which is beyond the range of float32"},
		{F16, "\x00\x7c", "element 3 is +Inf"},
		{BF16, "\xc0\x7f", "element 3 is NaN"},
	} {
		class := map[DType]string{F32: "FloatStorage", F64: "DoubleStorage", F16: "HalfStorage", BF16: "BFloat16Storage"}[c.dtype]
		size := len(c.raw)
		data := make([]byte, 6*size)
		copy(data[4*size:], c.raw) // row 1, column 1 of a view whose strides are 1 and 3
		tensor := pTensor(pStorage(class, "0", 6), 0, pInts(3, 2), pInts(1, 3))
		err := readAll("w.pt", zipBytes(t, pickled(pDict(pText("fc.weight"), tensor)), map[string][]byte{"data/0": data}))
		checkMalformed(t, err, "w.pt", "tensor fc.weight: "+c.want)
		var notFinite *NotFiniteError
		if !errors.As(err, &notFinite) || notFinite.Key != "fc.weight" || notFinite.Index != 3 {
			t.Errorf("%s: %#v", c.dtype, notFinite)
		}
	}
}

func TestPlaceOfANotFiniteValueInALargeTensor(t *testing.T) {
	const at = 3*chunkBytes/4 + 5
	data := make([]byte, 4*chunkBytes)
	copy(data[4*at:], "\x00\x00\xc0\x7f")
	tensor := pTensor(pStorage("FloatStorage", "0", chunkBytes), 0, pInts(chunkBytes), pInts(1))
	var notFinite *NotFiniteError
	err := readAll("w.pt", zipBytes(t, pickled(pDict(pText("w"), tensor)), map[string][]byte{"data/0": data}))
	if !errors.As(err, &notFinite) || notFinite.Index != at {
		t.Errorf("%v, want element %d", err, at)
	}
}

func TestWhatIsNotAFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	_, err := Open(dir)
	checkMalformed(t, err, dir, "this is not a regular file")
	missing := filepath.Join(dir, "missing.pt")
	_, err = Open(missing)
	checkMalformed(t, err, missing, "cannot be read: no such file")
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v does not say that the file is missing", err)
	}
	for _, content := range []string{"", "\x80", "PK", "version https://git-lfs.github.com/spec/v1\n", "<!DOCTYPE html>"} {
		path := write(t, "w.pt", []byte(content))
		_, err := Open(path)
		checkMalformed(t, err, path, "")
	}
}
