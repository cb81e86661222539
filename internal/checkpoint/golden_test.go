package checkpoint

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// golden is what PyTorch reads from a file of testdata; testdata/make_goldens.py wrote both.
type golden struct {
	Format  string
	Tensors []struct {
		Key     string
		DType   DType
		Shape   []int
		Raw     string // contiguous bytes, hexadecimal
		Float32 string // the same converted, where it differs
	}
}

// goldens reads testdata/expected.json.
func goldens(t testing.TB) map[string]golden {
	t.Helper()
	b, err := os.ReadFile("testdata/expected.json")
	if err != nil {
		t.Fatal(err)
	}
	var g map[string]golden
	if err := json.Unmarshal(b, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

// open opens a checkpoint for the duration of the test.
func open(t testing.TB, path string) *File {
	t.Helper()
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// rawBytes is a tensor as stored, made contiguous.
func rawBytes(t testing.TB, f *File, key string) []byte {
	t.Helper()
	b := []byte{}
	if err := f.byKey[key].each(func(raw []byte) error { b = append(b, raw...); return nil }); err != nil {
		t.Fatal(err)
	}
	return b
}

// float32Bytes is the inverse of decoding F32.
func float32Bytes(values []float32) []byte {
	b := []byte{}
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

func TestEveryFormatReadsAsPyTorchReadsIt(t *testing.T) {
	for name, want := range goldens(t) {
		t.Run(name, func(t *testing.T) {
			f := open(t, filepath.Join("testdata", name))
			if f.Format() != want.Format {
				t.Errorf("format %q, want %q", f.Format(), want.Format)
			}
			var keys []string
			for _, w := range want.Tensors {
				key := strings.TrimPrefix(w.Key, "module.")
				keys = append(keys, key)
				shape, ok := f.Shape(key)
				if !ok {
					t.Errorf("%s is missing", key)
					continue
				}
				if dtype, _ := f.DType(key); dtype != w.DType || !slices.Equal(shape, w.Shape) {
					t.Errorf("%s is %s %v, want %s %v", key, dtype, shape, w.DType, w.Shape)
				}
				if got := hex.EncodeToString(rawBytes(t, f, key)); got != w.Raw {
					t.Errorf("%s holds %s, want %s", key, got, w.Raw)
				}
				checkConversion(t, f, key, w.DType, w.Raw, w.Float32)
			}
			if !slices.Equal(f.Keys(), keys) {
				t.Errorf("keys %v, want %v", f.Keys(), keys)
			}
		})
	}
}

// checkConversion compares Float32 with PyTorch's float().
func checkConversion(t *testing.T, f *File, key string, dtype DType, raw, converted string) {
	t.Helper()
	values, err := f.Float32(key)
	if float32Decoder(dtype) == nil {
		if err == nil {
			t.Errorf("%s of type %s was converted", key, dtype)
		}
		return
	}
	if converted == "" {
		converted = raw
	}
	if got := hex.EncodeToString(float32Bytes(values)); err != nil || got != converted {
		t.Errorf("%s converts to %s, want %s (%v)", key, got, converted, err)
	}
}

func TestPathAndDigestIdentifyTheFile(t *testing.T) {
	path := filepath.Join("testdata", "mixed.safetensors")
	const digest = "ae79ebe5567b831084ab270ed15c9b91c595c74640ea256bf53d9eac092f0c8c" // sha256sum testdata/mixed.safetensors
	if f := open(t, path); f.Path() != path || f.SHA256() != digest {
		t.Errorf("path %s, digest %s", f.Path(), f.SHA256())
	}
}

func TestWhatHasNoPlainValuesIsRefused(t *testing.T) {
	for name, want := range map[string]string{
		"quantized_zip.pt": "tensor w: it is stored through _rebuild_qtensor, which is not supported",
		"script_zip.pt":    "this is a TorchScript archive",
	} {
		_, err := Open(filepath.Join("testdata", name))
		checkMalformed(t, err, name, want)
	}
}
