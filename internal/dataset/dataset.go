// Package dataset reads labelled pictures out of the formats that people have them in, preprocesses them as torchvision
// does, and gives every example a stable id.
//
// Sources: CIFAR-10 binary batches, IDX files (MNIST, Fashion-MNIST), folders of JPEG, PNG and WebP files, and .npy arrays.
// Decoding follows Pillow's convert("RGB") and resizing is bit-exact with Pillow's, so that a model sees here what it saw
// in PyTorch. Every file is untrusted: shapes are checked against file sizes before anything is allocated.
package dataset

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"image"
	"io"
	"strconv"

	"coar/internal/fault"
)

// Source is an open, labelled set of pictures. Its methods may be called concurrently.
type Source struct {
	spec       string
	stored     pictures
	tensor     func(i int, dst []float32) error // instead of preprocessing, where values are stored preprocessed
	storedC    int                              // channels as stored
	prepare    *preparer
	labels     []int
	ids        []string       // nil where ids are dataset positions
	positions  map[string]int // of ids
	classNames []string
	warnings   []string
	c, h, w    int
}

// pictures is one source format's pictures as they are on disk.
type pictures interface {
	// raster reads and decodes picture i.
	raster(i int) (raster, error)
	// place names picture i in errors.
	place(i int) string
	// writeContent writes the bytes whose SHA-256 identifies the data.
	writeContent(w io.Writer) error
	Close() error
}

// loaded is what a format's opener found.
type loaded struct {
	stored     pictures
	tensor     func(i int, dst []float32) error // reads preprocessed values, CHW; nil where there are none
	labels     []int
	ids        []string
	classNames []string
	warnings   []string
	path       string // absolute, as the specification names it
	c, h, w    int    // of the stored pictures; h and w 0 where they may differ
}

// Open opens the source that spec describes and checks it against opts. Specifications are cifar10:DIR,
// cifar10:FILE.bin, idx:DIR, imagefolder:DIR and npy:IMAGES.npy,LABELS.npy.
//
// Memory: labels and ids; decompressed pixels for gzipped IDX; pixels of other formats stay on disk.
// Errors: fault.Usage for a specification or option that cannot be meant, fault.Malformed for a broken file,
// fault.Conflict where the data does not fit the model that opts describes.
func Open(spec string, opts Options) (*Source, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	format, path, err := parseSpec(spec)
	if err != nil {
		return nil, err
	}
	in, err := openers[format](path, opts)
	if err != nil {
		return nil, err
	}
	s := &Source{
		spec: format + ":" + in.path, stored: in.stored, tensor: in.tensor, storedC: in.c,
		labels: in.labels, ids: in.ids, classNames: in.classNames, warnings: in.warnings,
	}
	if err := s.fit(in, opts); err != nil {
		return nil, closing(in.stored, err)
	}
	return s, nil
}

// fit checks what was loaded against the model and settles the shape of preprocessed pictures.
func (s *Source) fit(in loaded, opts Options) error {
	if len(s.labels) == 0 {
		return fault.InFile(in.path, "there are no examples in it")
	}
	if err := s.checkLabels(opts.Classes); err != nil {
		return err
	}
	s.c = opts.Channels
	if s.c == 0 {
		s.c = in.c
	}
	if in.c == 3 && s.c == 1 && in.h > 0 {
		return fault.Conflictf("%s holds colour pictures, the model takes grey ones", in.path)
	}
	s.h, s.w = in.h, in.w
	if s.tensor == nil {
		var err error
		if s.prepare, err = newPreparer(opts.Preprocess, s.c); err != nil {
			return err
		}
		if s.h == 0 { // pictures of their own sizes: the first stands for all
			first, err := s.stored.raster(0)
			if err != nil {
				return err
			}
			if _, err := first.withChannels(s.c); err != nil {
				return fault.Conflictf("%s: %w", s.stored.place(0), err)
			}
			s.h, s.w = first.h, first.w
		}
		if s.h, s.w, err = opts.Preprocess.size(s.h, s.w); err != nil {
			return fault.Conflictf("%s: %w", s.stored.place(0), err)
		}
	}
	if err := opts.checkSize(in.path, s.h, s.w, s.tensor != nil); err != nil {
		return err
	}
	if s.ids != nil {
		s.positions = make(map[string]int, len(s.ids))
		for i, id := range s.ids {
			s.positions[id] = i
		}
	}
	return nil
}

// checkLabels fails if a label is none of the model's outputs; nClasses 0 stands for any number.
func (s *Source) checkLabels(nClasses int) error {
	for i, label := range s.labels {
		if nClasses > 0 && label >= nClasses {
			return fault.Conflictf("%s has label %d, but the model's outputs are 0 to %d",
				s.stored.place(i), label, nClasses-1)
		}
	}
	return nil
}

// Len is the number of examples.
func (s *Source) Len() int { return len(s.labels) }

// ID is example i's stable name: its relative path in a folder, its dataset position elsewhere.
func (s *Source) ID(i int) string {
	if s.ids == nil {
		return strconv.Itoa(i)
	}
	return s.ids[i]
}

// IndexOf finds the dataset position of the example called id.
func (s *Source) IndexOf(id string) (int, bool) {
	if s.ids != nil {
		i, ok := s.positions[id]
		return i, ok
	}
	i, err := strconv.Atoi(id)
	if err != nil || i < 0 || i >= s.Len() || strconv.Itoa(i) != id {
		return 0, false
	}
	return i, true
}

// Label is the model output that example i should have the largest of.
func (s *Source) Label(i int) int { return s.labels[i] }

// ClassName is what label is called: its name, or the number as text where it has none.
func (s *Source) ClassName(label int) string {
	if label < 0 || label >= len(s.classNames) || s.classNames[label] == "" {
		return strconv.Itoa(label)
	}
	return s.classNames[label]
}

// ClassNames are the names by label, "" where one has none; nil where no names are known. They must not be modified.
func (s *Source) ClassNames() []string { return s.classNames }

// Shape is the size of every preprocessed picture: channels, height, width.
func (s *Source) Shape() (c, h, w int) { return s.c, s.h, s.w }

// Spec is the specification with absolute paths.
func (s *Source) Spec() string { return s.spec }

// Warnings are what a user should know though nothing failed.
func (s *Source) Warnings() []string { return s.warnings }

// Close closes the source's files; the source must not be used afterwards.
func (s *Source) Close() error { return s.stored.Close() }

// Image reads example i and preprocesses it into dst.
//
// Shape:  dst [c, h, w] as Shape says.
// Errors: fault.Malformed for a broken picture or a value that is not finite, fault.Conflict for a picture of another
// size or in colour where the model takes grey; each names the picture.
func (s *Source) Image(i int, dst []float32) error {
	if i < 0 || i >= s.Len() || len(dst) != s.c*s.h*s.w {
		return fmt.Errorf("dataset: example %d of %d into %d values: want %d", i, s.Len(), len(dst), s.c*s.h*s.w)
	}
	if s.tensor != nil {
		return s.readTensor(i, dst)
	}
	r, err := s.stored.raster(i)
	if err != nil {
		return err
	}
	if h, w, err := s.prepare.size(r.h, r.w); err != nil {
		return fault.Conflictf("%s: %w", s.stored.place(i), err)
	} else if h != s.h || w != s.w {
		return fault.Conflictf("%s is %d wide and %d high after preprocessing where the first picture is %d wide and "+
			"%d high; give --resize and --crop so that all have one size", s.stored.place(i), w, h, s.w, s.h)
	}
	if r, err = r.withChannels(s.c); err != nil {
		return fault.Conflictf("%s: %w", s.stored.place(i), err)
	}
	s.prepare.prepare(r, dst)
	return nil
}

// readTensor reads example i of a preprocessed source, repeating a grey one to the model's channels.
func (s *Source) readTensor(i int, dst []float32) error {
	plane := s.h * s.w
	if err := s.tensor(i, dst[:s.storedC*plane]); err != nil {
		return err
	}
	if s.storedC == s.c {
		return nil
	}
	for c := 1; c < s.c; c++ {
		copy(dst[c*plane:(c+1)*plane], dst[:plane])
	}
	return nil
}

// Picture is example i as a person would see it: as stored, before preprocessing. Preprocessed arrays are scaled from
// their least to their largest value.
func (s *Source) Picture(i int) (image.Image, error) {
	if i < 0 || i >= s.Len() {
		return nil, fmt.Errorf("dataset: picture %d of %d", i, s.Len())
	}
	r, err := s.stored.raster(i)
	if err != nil {
		return nil, err
	}
	return r.image(), nil
}

// Digest is the SHA-256 of the data in hexadecimal. It depends on content alone, not on where files lie or when they
// were written:
//
//   - cifar10: the batch files one after the other, as `cat data_batch_*.bin | sha256sum`;
//   - idx: the images file, then the labels file, both decompressed;
//   - npy: the images file, then the labels file;
//   - imagefolder: the lines that `sha256sum` prints for all pictures by their paths relative to the folder, sorted by path.
//
// Cost: reads everything.
func (s *Source) Digest() (string, error) {
	h := sha256.New()
	if err := s.stored.writeContent(h); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
