package checkpoint

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"

	"coar/internal/checkpoint/pickle"
)

const (
	maxDirectory = 4 << 20 // bytes of a zip archive's directory: some 40,000 entries
	maxExpansion = 20      // how many times the archive its entries may be together; torch.save does not compress
)

// readZip finds the tensors in an archive as torch.save writes it since PyTorch 1.6, size bytes long, having read every
// entry and compared it with its CRC-32.
//
// Layout: NAME/data.pkl is the object; NAME/data/KEY are the storages; NAME/byteorder, where present, says "little".
func readZip(r io.ReaderAt, size int64) (*contents, error) {
	directory := &directoryReader{r: r, bounded: true, left: maxDirectory}
	z, err := zip.NewReader(directory, size)
	if err != nil {
		return nil, fmt.Errorf("the zip archive cannot be read, it may be truncated: %w", err)
	}
	directory.bounded = false
	a := &archive{r: r, size: size, entries: make(map[string]*zip.File, len(z.File)), storages: map[string]*storage{}}
	if err := a.verify(z.File); err != nil {
		return nil, err
	}
	object, err := findObject(z.File)
	if err != nil {
		return nil, err
	}
	a.root = strings.TrimSuffix(object.Name, objectName)
	if a.entries[a.root+"constants.pkl"] != nil {
		return nil, errors.New("this is a TorchScript archive; save the model's state_dict() instead")
	}
	if err := a.checkByteOrder(); err != nil {
		return nil, err
	}
	p, err := a.open(object)
	if err != nil {
		return nil, err
	}
	n := int64(object.UncompressedSize64)
	root, _, err := pickle.NewReader(io.NewSectionReader(p, 0, n), n).Load()
	if err != nil {
		return nil, fmt.Errorf("data.pkl: %w", err)
	}
	tensors, err := (&rebuilder{find: a.storage}).collect(root)
	if err != nil {
		return nil, err
	}
	return &contents{format: "PyTorch zip", tensors: tensors}, nil
}

// directoryReader fails beyond a number of bytes while it is bounded, which limits the directory that archive/zip takes
// into memory.
type directoryReader struct {
	r       io.ReaderAt
	bounded bool
	left    int
}

func (d *directoryReader) ReadAt(p []byte, offset int64) (int, error) {
	if d.bounded {
		if len(p) > d.left {
			return 0, fmt.Errorf("its directory is larger than %d MB", maxDirectory>>20)
		}
		d.left -= len(p)
	}
	return d.r.ReadAt(p, offset)
}

// archive is a zip archive that torch.save wrote.
type archive struct {
	r        io.ReaderAt
	size     int64
	root     string // the common folder of all entries, with its slash
	entries  map[string]*zip.File
	storages map[string]*storage
}

// verify reads all entries through, comparing their sizes and CRC-32.
func (a *archive) verify(files []*zip.File) error {
	left := uint64(a.size) * maxExpansion
	for _, f := range files {
		if a.entries[f.Name] != nil {
			return fmt.Errorf("zip entry %s is there twice", quote(f.Name))
		}
		a.entries[f.Name] = f
		if f.UncompressedSize64 > left {
			return fmt.Errorf("the zip archive claims to expand to more than %d times its size", maxExpansion)
		}
		left -= f.UncompressedSize64
		if err := verifyEntry(f); err != nil {
			return fmt.Errorf("zip entry %s: %w", quote(f.Name), err)
		}
	}
	return nil
}

// verifyEntry reads an entry through.
func verifyEntry(f *zip.File) error {
	r, err := f.Open()
	if err != nil {
		return err
	}
	sum := crc32.NewIEEE()
	n, err := io.Copy(sum, r)
	switch err = errors.Join(err, r.Close()); {
	case errors.Is(err, zip.ErrChecksum) || err == nil && sum.Sum32() != f.CRC32:
		return errors.New("the bytes differ from their CRC-32: the file is damaged, fetch it again")
	case err != nil:
		return err
	case uint64(n) != f.UncompressedSize64:
		return fmt.Errorf("it has %d bytes, the directory says %d", n, f.UncompressedSize64)
	}
	return nil
}

// objectName is the name of the pickled object in the archive's folder.
const objectName = "data.pkl"

// findObject is the one entry FOLDER/data.pkl.
func findObject(files []*zip.File) (*zip.File, error) {
	var found *zip.File
	for _, f := range files {
		folder, ok := strings.CutSuffix(f.Name, "/"+objectName)
		if !ok || strings.Contains(folder, "/") {
			continue
		}
		if found != nil {
			return nil, errors.New("this zip archive has several data.pkl")
		}
		found = f
	}
	if found == nil {
		return nil, errors.New("this zip archive has no data.pkl: it was not written by torch.save")
	}
	return found, nil
}

// checkByteOrder fails for an archive written on a big-endian machine.
func (a *archive) checkByteOrder() error {
	f := a.entries[a.root+"byteorder"]
	if f == nil {
		return nil
	}
	r, err := f.Open()
	if err != nil {
		return err
	}
	order, err := io.ReadAll(io.LimitReader(r, 16))
	if err = errors.Join(err, r.Close()); err != nil {
		return err
	}
	if string(order) != "little" {
		return fmt.Errorf("its byte order is %s; save it again on a little-endian machine", quote(string(order)))
	}
	return nil
}

// storage is the entry under ref.key.
func (a *archive) storage(ref storageRef) (*storage, error) {
	f := a.entries[a.root+"data/"+ref.key]
	if f == nil {
		return nil, fmt.Errorf("its storage %s is missing", quote(ref.key))
	}
	if want := uint64(ref.size()); f.UncompressedSize64 != want {
		return nil, fmt.Errorf("its storage %s has %d bytes, the pickle says %d", quote(ref.key), f.UncompressedSize64, want)
	}
	s := a.storages[ref.key]
	if s == nil {
		s = &storage{size: int64(f.UncompressedSize64), open: func() (io.ReaderAt, error) { return a.open(f) }}
		a.storages[ref.key] = s
	}
	return s, nil
}

// open gives access to an entry's bytes, which stay in the file unless they are compressed.
func (a *archive) open(f *zip.File) (io.ReaderAt, error) {
	if f.Method == zip.Store {
		offset, err := f.DataOffset()
		if err != nil {
			return nil, err
		}
		return io.NewSectionReader(a.r, offset, int64(f.UncompressedSize64)), nil
	}
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	whole := make([]byte, f.UncompressedSize64) // verify has read as many
	_, err = io.ReadFull(r, whole)
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, err
	}
	return bytes.NewReader(whole), nil
}
