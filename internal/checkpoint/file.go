package checkpoint

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"coar/internal/fault"
)

// File is an open checkpoint whose structure has been checked. Its methods may be called concurrently.
type File struct {
	path    string
	format  string
	digest  string
	close   func() error
	tensors []*tensor
	byKey   map[string]*tensor

	metadata map[string]string // safetensors' free-form metadata
}

// contents is what a format's reader finds in a file.
type contents struct {
	format   string
	tensors  []*tensor
	metadata map[string]string
}

// Open opens a checkpoint, finds its tensors and reads the whole file once, for its SHA-256 and any checksums.
//
// Tensors stay in the file until asked for.
//
// Errors: fault.Malformed for a file that cannot be opened or is not a sound checkpoint; fs.ErrNotExist and the like
// are wrapped.
func Open(path string) (*File, error) {
	info, err := os.Stat(path) // before opening, which would block on a pipe
	if err != nil {
		return nil, cannotRead(path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fault.InFile(path, "this is not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, cannotRead(path, err)
	}
	if info, err = f.Stat(); err != nil {
		return nil, errors.Join(cannotRead(path, err), f.Close())
	}
	file, err := load(path, f, info.Size())
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	file.close = f.Close
	return file, nil
}

// load reads the checkpoint in r, size bytes long; name is what errors call it.
func load(name string, r io.ReaderAt, size int64) (*File, error) {
	found, err := read(r, size)
	if err != nil {
		return nil, fault.InFile(name, "%w", err)
	}
	file := &File{path: name, format: found.format, tensors: found.tensors, metadata: found.metadata}
	if file.byKey, err = index(found.tensors); err != nil {
		return nil, fault.InFile(name, "%w", err)
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, io.NewSectionReader(r, 0, size)); err != nil {
		return nil, cannotRead(name, err)
	}
	file.digest = hex.EncodeToString(hash.Sum(nil))
	return file, nil
}

// read tells the format of the size bytes in r from their beginning and finds the tensors in them.
func read(r io.ReaderAt, size int64) (*contents, error) {
	start := make([]byte, min(size, 16))
	if _, err := io.ReadFull(io.NewSectionReader(r, 0, size), start); err != nil {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(start, []byte("PK\x03\x04")):
		return readZip(r, size)
	case isLegacy(start):
		return readLegacy(r, size)
	case len(start) > 8 && start[8] == '{':
		return readSafetensors(r, size)
	}
	return nil, errors.New("this is neither a .safetensors file nor one written by torch.save")
}

// index sets every tensor's normalised key and maps them.
func index(tensors []*tensor) (map[string]*tensor, error) {
	byKey := make(map[string]*tensor, len(tensors))
	for _, t := range tensors {
		t.key = strings.TrimPrefix(t.original, "module.")
		if other := byKey[t.key]; other != nil {
			return nil, fmt.Errorf("tensor %s is there twice, as %s and as %s", quote(t.key), quote(other.original), quote(t.original))
		}
		byKey[t.key] = t
	}
	return byKey, nil
}

// cannotRead reports a failure of the system to read path.
func cannotRead(path string, err error) error {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		err = pathError.Err // its text repeats the path
	}
	return fault.InFile(path, "cannot be read: %w", err)
}

// quote makes a name from an untrusted file fit for an error message.
func quote(name string) string {
	const most = 200
	if len(name) > most {
		name = name[:most] + "…"
	}
	if plain := fmt.Sprintf("%q", name); plain != `"`+name+`"` || name == "" || strings.ContainsAny(name, " ,") {
		return plain
	}
	return name
}

// Path is the path that the file was opened by.
func (f *File) Path() string { return f.path }

// Format is "safetensors", "PyTorch zip" or "PyTorch legacy".
func (f *File) Format() string { return f.format }

// SHA256 is the hexadecimal digest of the whole file as it was when opened.
func (f *File) SHA256() string { return f.digest }

// Keys are the names of all tensors in file order, buffers included, without a leading "module.".
func (f *File) Keys() []string {
	keys := make([]string, len(f.tensors))
	for i, t := range f.tensors {
		keys[i] = t.key
	}
	return keys
}

// Shape is the shape of a tensor, false where there is none of this key.
func (f *File) Shape(key string) ([]int, bool) {
	t := f.byKey[key]
	if t == nil {
		return nil, false
	}
	return slices.Clone(t.shape), true
}

// DType is the element type of a tensor, false where there is none of this key.
func (f *File) DType(key string) (DType, bool) {
	t := f.byKey[key]
	if t == nil {
		return "", false
	}
	return t.dtype, true
}

// Close closes the file; tensors can no longer be read.
func (f *File) Close() error { return f.close() }
