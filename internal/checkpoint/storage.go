package checkpoint

import "io"

// storage is a run of bytes in the file that tensors are views of.
type storage struct {
	size int64                       // bytes
	open func() (io.ReaderAt, error) // the bytes; each call may decompress them anew
}

// section is the storage of size bytes from offset on in r, which must have them.
func section(r io.ReaderAt, offset, size int64) *storage {
	return &storage{size: size, open: func() (io.ReaderAt, error) { return io.NewSectionReader(r, offset, size), nil }}
}

// part is the storage of size bytes from offset on in s, which must have them.
func (s *storage) part(offset, size int64) *storage {
	return &storage{size: size, open: func() (io.ReaderAt, error) {
		r, err := s.open()
		if err != nil {
			return nil, err
		}
		return io.NewSectionReader(r, offset, size), nil
	}}
}
