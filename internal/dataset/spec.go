package dataset

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"coar/internal/fault"
)

// openers open a source of each format; path is what follows the colon in the specification.
var openers = map[string]func(path string, opts Options) (loaded, error){
	"cifar10":     openCIFAR10,
	"idx":         openIDX,
	"imagefolder": openImageFolder,
	"npy":         openNPY,
}

// parseSpec splits FORMAT:PATH.
func parseSpec(spec string) (format, path string, err error) {
	format, path, found := strings.Cut(spec, ":")
	if _, ok := openers[format]; !found || !ok || path == "" {
		return "", "", fault.Usagef("--data %q: expected cifar10:DIR, cifar10:FILE.bin, idx:DIR, imagefolder:DIR "+
			"or npy:IMAGES.npy,LABELS.npy", spec)
	}
	return format, path, nil
}

// absolute makes path absolute.
func absolute(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("dataset: %w", err)
	}
	return abs, nil
}

// openRegular opens a regular file and tells its size. Pipes and devices are refused before opening them could block.
func openRegular(path string) (*os.File, int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, 0, unreadable(path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fault.InFile(path, "this is not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, unreadable(path, err)
	}
	if info, err = f.Stat(); err != nil {
		return nil, 0, closing(f, unreadable(path, err))
	}
	return f, info.Size(), nil
}

// openFolder checks that path is a folder and makes it absolute.
func openFolder(path string) (string, error) {
	abs, err := absolute(path)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(abs)
	if err != nil {
		return "", unreadable(abs, err)
	}
	if !info.IsDir() {
		return "", fault.InFile(abs, "this is not a folder")
	}
	return abs, nil
}

// exists reports whether there is something at path.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// unreadable reports that the system would not let us read path.
func unreadable(path string, err error) error {
	var in *os.PathError
	if errors.As(err, &in) {
		err = in.Err // the path stands in front already
	}
	return fault.InFile(path, "%w", err)
}

// closing closes c after err, which stays the error to report.
func closing(c io.Closer, err error) error {
	if c != nil {
		err = errors.Join(err, c.Close())
	}
	return err
}

// anyOr is n as text, "any" for 0.
func anyOr(n int) string {
	if n == 0 {
		return "any"
	}
	return strconv.Itoa(n)
}
