package dataset

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"coar/internal/fault"
)

// A CIFAR-10 record is one label byte and a red, a green and a blue plane of 32 x 32 samples.
const (
	cifarSide    = 32
	cifarPixels  = 3 * cifarSide * cifarSide
	cifarRecord  = 1 + cifarPixels
	cifarClasses = 10
)

// cifar10 is one or several batch files, their records numbered through.
type cifar10 struct {
	files []*os.File
	sizes []int // records in each file
}

// openCIFAR10 opens a batch file, or a folder's test_batch.bin or data_batch_1.bin and so on, as opts.Split says.
// Class names come from batches.meta.txt beside the batches where it exists.
func openCIFAR10(path string, opts Options) (loaded, error) {
	abs, err := absolute(path)
	if err != nil {
		return loaded{}, err
	}
	names, err := cifarBatches(abs, opts.Split)
	if err != nil {
		return loaded{}, err
	}
	batches := &cifar10{}
	in := loaded{stored: batches, path: abs, c: 3, h: cifarSide, w: cifarSide}
	for _, name := range names {
		labels, err := batches.add(name)
		if err != nil {
			return loaded{}, closing(batches, err)
		}
		in.labels = append(in.labels, labels...)
	}
	if in.classNames, err = cifarClassNames(filepath.Dir(names[0]), opts); err != nil {
		return loaded{}, closing(batches, err)
	}
	return in, nil
}

// cifarBatches lists the batch files that path and split mean.
func cifarBatches(path, split string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	test, err := isTestSplit(split, "cifar10")
	if err != nil {
		return nil, err
	}
	if test {
		return []string{filepath.Join(path, "test_batch.bin")}, nil
	}
	var names []string
	for n := 1; ; n++ {
		name := filepath.Join(path, fmt.Sprintf("data_batch_%d.bin", n))
		if n > 1 && !exists(name) {
			return names, nil
		}
		names = append(names, name) // the first one is reported where there is none
	}
}

// isTestSplit reads the split of a source that has exactly two.
func isTestSplit(split, format string) (bool, error) {
	switch split {
	case "", "test":
		return true, nil
	case "train":
		return false, nil
	}
	return false, fault.Usagef("--split %q: %s has test and train", split, format)
}

// add opens the next batch file and reads its labels.
func (b *cifar10) add(name string) ([]int, error) {
	f, size, err := openRegular(name)
	if err != nil {
		return nil, err
	}
	b.files = append(b.files, f)
	if size == 0 || size%cifarRecord != 0 {
		return nil, fault.InFile(name, "%d bytes are not whole CIFAR-10 records of %d bytes", size, cifarRecord)
	}
	n := int(size / cifarRecord)
	b.sizes = append(b.sizes, n)
	labels := make([]int, n)
	records := bufio.NewReaderSize(io.NewSectionReader(f, 0, size), 1<<18)
	for i := range labels {
		label, err := records.ReadByte()
		if err == nil {
			_, err = records.Discard(cifarPixels)
		}
		if err != nil {
			return nil, unreadable(name, err)
		}
		if label >= cifarClasses {
			return nil, fault.InFile(name, "record %d has label %d; CIFAR-10 has 0 to %d", i, label, cifarClasses-1)
		}
		labels[i] = int(label)
	}
	return labels, nil
}

// find says which file holds record i, and where in it.
func (b *cifar10) find(i int) (*os.File, int) {
	file := 0
	for i >= b.sizes[file] {
		i -= b.sizes[file]
		file++
	}
	return b.files[file], i
}

func (b *cifar10) place(i int) string {
	f, record := b.find(i)
	return fmt.Sprintf("%s: record %d", f.Name(), record)
}

func (b *cifar10) raster(i int) (raster, error) {
	f, record := b.find(i)
	planes := make([]uint8, cifarPixels)
	if _, err := f.ReadAt(planes, int64(record)*cifarRecord+1); err != nil {
		return raster{}, unreadable(f.Name(), err)
	}
	return fromPlanes(planes, 3, cifarSide, cifarSide), nil
}

func (b *cifar10) writeContent(w io.Writer) error {
	for k, f := range b.files {
		if _, err := io.Copy(w, io.NewSectionReader(f, 0, int64(b.sizes[k])*cifarRecord)); err != nil {
			return unreadable(f.Name(), err)
		}
	}
	return nil
}

func (b *cifar10) Close() error {
	var errs []error
	for _, f := range b.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// cifarClassNames takes the names from opts, else from batches.meta.txt in folder, else there are none.
func cifarClassNames(folder string, opts Options) ([]string, error) {
	if names, err := opts.classNames(); names != nil || err != nil {
		return names, err
	}
	name := filepath.Join(folder, "batches.meta.txt")
	if !exists(name) {
		return nil, nil
	}
	lines, err := readLines(name)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, line := range lines {
		if line = strings.TrimSpace(line); line != "" {
			names = append(names, line)
		}
	}
	if len(names) != cifarClasses {
		return nil, fault.InFile(name, "%d class names; CIFAR-10 has %d", len(names), cifarClasses)
	}
	return names, nil
}
