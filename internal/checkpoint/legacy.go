package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"coar/internal/checkpoint/pickle"
)

// legacyMagic is the number that a legacy file begins with, 0x1950a86a20f9469cfc6c, little-endian.
var legacyMagic = pickle.Long{0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19}

// legacyVersion is the one version of the protocol there is.
const legacyVersion = 1001

// isLegacy reports whether a file that starts so may be a legacy one: a pickle of protocol 2 or later.
func isLegacy(start []byte) bool { return bytes.HasPrefix(start, []byte{0x80}) }

// readLegacy finds the tensors in a file as torch.save wrote it before PyTorch 1.6, size bytes long.
//
// Layout: five pickles (magic number, protocol version, system, the object, the list of storage keys), then for every
// key in that order the number of elements, 8 bytes little-endian, and the elements.
func readLegacy(r io.ReaderAt, size int64) (*contents, error) {
	in := pickle.NewReader(io.NewSectionReader(r, 0, size), size)
	if err := checkLegacyHeader(in); err != nil {
		return nil, err
	}
	root, refs, err := in.Load()
	if err != nil {
		return nil, err
	}
	order, _, err := in.Load()
	if err != nil {
		return nil, err
	}
	keys, ok := order.(*pickle.List)
	if !ok {
		return nil, errors.New("the list of storages is not a list")
	}
	storages, err := locate(r, in.Offset(), size, keys.Items, refs)
	if err != nil {
		return nil, err
	}
	b := &rebuilder{find: func(ref storageRef) (*storage, error) {
		s := storages[ref.key]
		if s == nil || s.size != ref.size() {
			return nil, fmt.Errorf("its storage %s is missing or has another size", quote(ref.key))
		}
		return s, nil
	}}
	tensors, err := b.collect(root)
	if err != nil {
		return nil, err
	}
	return &contents{format: "PyTorch legacy", tensors: tensors}, nil
}

// checkLegacyHeader reads the first three pickles.
func checkLegacyHeader(in *pickle.Reader) error {
	magic, _, err := in.Load()
	if err != nil {
		return err
	}
	if m, ok := magic.(pickle.Long); !ok || !bytes.Equal(m, legacyMagic) {
		return errors.New("this is a pickle, but not one written by torch.save")
	}
	version, _, err := in.Load()
	if err != nil {
		return err
	}
	if version != int64(legacyVersion) {
		return fmt.Errorf("the protocol version is not %d", legacyVersion)
	}
	_, _, err = in.Load() // sizes of C types, of no consequence: storages are always little-endian
	return err
}

// locate finds the storages that follow at offset in the order of keys; their types are in refs.
func locate(r io.ReaderAt, offset, size int64, keys []any, refs []*pickle.Ref) (map[string]*storage, error) {
	declared := make(map[string]storageRef, len(keys))
	for _, ref := range refs {
		if id, ok := ref.ID.(pickle.Tuple); ok && len(id) > 0 && id[0] == "module" {
			continue // a class with its source
		}
		s, err := parseRef(ref)
		if err != nil {
			return nil, err
		}
		if d, ok := declared[s.key]; ok && (d.length != s.length || d.itemSize != s.itemSize) {
			return nil, fmt.Errorf("storage %s is declared twice, differently", quote(s.key))
		}
		declared[s.key] = s
	}
	storages := make(map[string]*storage, len(keys))
	for _, k := range keys {
		key, _ := k.(string)
		d, ok := declared[key]
		if !ok || storages[key] != nil {
			return nil, fmt.Errorf("storage %s is listed twice or never used", quote(key))
		}
		var head [8]byte
		if err := readFull(r, head[:], offset); err != nil {
			return nil, fmt.Errorf("storage %s: %w", quote(key), err)
		}
		offset += 8
		if length := binary.LittleEndian.Uint64(head[:]); length != uint64(d.length) {
			return nil, fmt.Errorf("storage %s has %d elements, the pickle says %d", quote(key), length, d.length)
		}
		if uint64(d.length) > uint64(size-offset)/uint64(d.itemSize) {
			return nil, fmt.Errorf("storage %s claims %d elements of %d bytes, the file has %d bytes left: it is truncated",
				quote(key), d.length, d.itemSize, size-offset)
		}
		storages[key] = section(r, offset, d.size())
		offset += storages[key].size
	}
	if offset != size {
		return nil, fmt.Errorf("%d bytes follow the last storage", size-offset)
	}
	return storages, nil
}
