package dataset

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"coar/internal/fault"
)

// An IDX file is a magic number (two zero bytes, 8 for unsigned bytes, the number of dimensions), the dimensions as
// big-endian uint32, and the values.
const (
	idxImages = 0x0803
	idxLabels = 0x0801
)

// Bounds on what a gzipped IDX file may unpack to. No deflate stream unpacks to more than 1032 times its size.
const (
	maxDeflateRatio  = 1032
	freeUnpacked     = 64 << 20 // bytes that may be unpacked at any ratio
	maxUnpackedRatio = 100      // and beyond them
)

// idxFile is one IDX file whose size agrees with its header.
type idxFile struct {
	name   string
	r      io.ReaderAt
	f      *os.File // nil where the file was unpacked to memory
	dims   []int
	offset int64 // of the first value
	size   int64 // of everything
}

// idx is a pair of IDX files.
type idx struct {
	images, labels *idxFile
}

// openIDX opens the t10k or train pair of IDX files in a folder, gzipped or not, as opts.Split says.
func openIDX(path string, opts Options) (loaded, error) {
	folder, err := openFolder(path)
	if err != nil {
		return loaded{}, err
	}
	test, err := isTestSplit(opts.Split, "idx")
	if err != nil {
		return loaded{}, err
	}
	prefix := "train"
	if test {
		prefix = "t10k"
	}
	var pair idx
	if pair.images, err = openIDXFile(folder, prefix+"-images", "idx3-ubyte", idxImages); err != nil {
		return loaded{}, err
	}
	if pair.labels, err = openIDXFile(folder, prefix+"-labels", "idx1-ubyte", idxLabels); err != nil {
		return loaded{}, closing(&pair, err)
	}
	in := loaded{stored: &pair, path: folder, c: 1, h: pair.images.dims[1], w: pair.images.dims[2]}
	if in.labels, err = pair.readLabels(); err != nil {
		return loaded{}, closing(&pair, err)
	}
	if in.classNames, err = opts.classNames(); err != nil {
		return loaded{}, closing(&pair, err)
	}
	return in, nil
}

// openIDXFile finds base-suffix or base.suffix in folder, plain before gzipped, and checks it.
func openIDXFile(folder, base, suffix string, magic uint32) (*idxFile, error) {
	for _, ending := range []string{"", ".gz"} {
		for _, dot := range []string{"-", "."} {
			name := filepath.Join(folder, base+dot+suffix+ending)
			if !exists(name) {
				continue
			}
			f, size, err := openRegular(name)
			if err != nil {
				return nil, err
			}
			if ending == "" {
				return newIDXFile(name, f, size, magic)
			}
			return unpackIDXFile(name, f, size, magic)
		}
	}
	return nil, fault.InFile(folder, "there is neither %s-%s nor %[1]s-%[2]s.gz in it", base, suffix)
}

// newIDXFile checks the plain IDX file f of size bytes. It closes f unless it succeeds.
func newIDXFile(name string, f *os.File, size int64, magic uint32) (*idxFile, error) {
	dims, offset, want, err := readIDXHeader(f, magic)
	if err == nil && size != want {
		err = fmt.Errorf("the file has %d bytes, its header says %d", size, want)
	}
	if err != nil {
		return nil, closing(f, fault.InFile(name, "%w", err))
	}
	return &idxFile{name: name, r: f, f: f, dims: dims, offset: offset, size: size}, nil
}

// unpackIDXFile unpacks the gzipped IDX file f of size bytes to memory and closes it. The checksum is verified.
func unpackIDXFile(name string, f *os.File, size int64, magic uint32) (*idxFile, error) {
	file, err := unpackIDX(f, size, magic)
	if err != nil {
		err = fault.InFile(name, "%w", err)
	} else {
		file.name = name
	}
	if closed := f.Close(); closed != nil {
		return nil, errors.Join(err, unreadable(name, closed))
	}
	return file, err
}

func unpackIDX(packed io.Reader, size int64, magic uint32) (*idxFile, error) {
	z, err := gzip.NewReader(packed)
	if err != nil {
		return nil, unpackFailed(err)
	}
	var header bytes.Buffer
	dims, offset, want, err := readIDXHeader(io.TeeReader(z, &header), magic)
	if err != nil {
		return nil, unpackFailed(err)
	}
	if want/maxDeflateRatio > size {
		return nil, fmt.Errorf("the header promises %d bytes, which %d compressed bytes cannot hold", want, size)
	}
	if want > freeUnpacked && want/maxUnpackedRatio > size {
		return nil, fmt.Errorf("%d compressed bytes claim to hold %d; unpack the file with gunzip to use it", size, want)
	}
	content := make([]byte, want)
	copy(content, header.Bytes())
	if _, err := io.ReadFull(z, content[offset:]); err != nil {
		return nil, unpackFailed(err)
	}
	// Reading on to the end makes gzip verify its checksum.
	if n, err := io.ReadFull(z, make([]byte, 1)); n > 0 {
		return nil, fmt.Errorf("there is more in it than the %d bytes that its header promises", want)
	} else if err != io.EOF {
		return nil, unpackFailed(err)
	}
	return &idxFile{r: bytes.NewReader(content), dims: dims, offset: offset, size: want}, nil
}

func unpackFailed(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the file is cut short")
	}
	return fmt.Errorf("unpack: %w", err)
}

// readIDXHeader reads the header and computes the size of the whole file, in bytes.
func readIDXHeader(r io.Reader, magic uint32) (dims []int, offset, size int64, err error) {
	var word [4]byte
	next := func() uint32 {
		if err == nil {
			if _, err = io.ReadFull(r, word[:]); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				err = errors.New("the file is cut short within its header")
			}
		}
		return binary.BigEndian.Uint32(word[:])
	}
	if have := next(); err == nil && have != magic {
		return nil, 0, 0, fmt.Errorf("the file starts with %#08x instead of %#08x; it is no IDX file of unsigned bytes "+
			"in %d dimensions", have, magic, magic&0xff)
	}
	offset = 4 + 4*int64(magic&0xff)
	const limit = 1 << 40
	values := int64(1)
	for range magic & 0xff {
		d := int64(next())
		if err == nil && (d == 0 || values > limit/d) {
			err = errors.New("the header's dimensions are zero or absurdly large")
		}
		if err != nil {
			return nil, 0, 0, err
		}
		values *= d
		dims = append(dims, int(d))
	}
	if magic == idxImages && int64(dims[1]) > maxPixels/int64(dims[2]) {
		return nil, 0, 0, fmt.Errorf("pictures of %d x %d pixels; at most %d million pixels are read",
			dims[2], dims[1], maxPixels>>20)
	}
	return dims, offset, offset + values, nil
}

// readLabels reads all labels.
func (p *idx) readLabels() ([]int, error) {
	n := p.labels.dims[0]
	if have := p.images.dims[0]; have != n {
		return nil, fault.Conflictf("%s holds %d pictures, %s %d labels", p.images.name, have, p.labels.name, n)
	}
	raw := make([]byte, n)
	if _, err := p.labels.r.ReadAt(raw, p.labels.offset); err != nil {
		return nil, unreadable(p.labels.name, err)
	}
	labels := make([]int, n)
	for i, v := range raw {
		labels[i] = int(v)
	}
	return labels, nil
}

func (p *idx) place(i int) string { return fmt.Sprintf("%s: picture %d", p.images.name, i) }

func (p *idx) raster(i int) (raster, error) {
	r := newRaster(p.images.dims[1], p.images.dims[2], 1)
	if _, err := p.images.r.ReadAt(r.pix, p.images.offset+int64(i)*int64(len(r.pix))); err != nil {
		return raster{}, unreadable(p.images.name, err)
	}
	return r, nil
}

func (p *idx) writeContent(w io.Writer) error {
	for _, file := range []*idxFile{p.images, p.labels} {
		if _, err := io.Copy(w, io.NewSectionReader(file.r, 0, file.size)); err != nil {
			return unreadable(file.name, err)
		}
	}
	return nil
}

func (p *idx) Close() error {
	var errs []error
	for _, file := range []*idxFile{p.images, p.labels} {
		if file != nil && file.f != nil {
			errs = append(errs, file.f.Close())
		}
	}
	return errors.Join(errs...)
}
