package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"coar/internal/fault"
)

// fileSystem is everything the store does to a disk. The real one is osFS; tests put one in its place that fails or
// loses what was not synced at any chosen operation.
type fileSystem interface {
	// open opens an existing regular file, for reading and writing or for reading alone.
	open(path string, write bool) (file, error)
	// create creates or empties a file, for reading and writing.
	create(path string) (file, error)
	rename(oldPath, newPath string) error
	remove(path string) error
	// mkdir creates one directory; its parent exists.
	mkdir(path string) error
	isDir(path string) (bool, error)
	// names lists a directory, sorted.
	names(path string) ([]string, error)
	// syncDir makes creations, renames and removals in a directory durable.
	syncDir(path string) error
	// lock takes an exclusive lock on a file, creating it if need be, or fails with errLocked at once.
	lock(path string) (io.Closer, error)
}

// file is an open file of a fileSystem.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	Sync() error
	size() (int64, error)
}

// errLocked says that another process, or another part of this one, holds the lock.
var errLocked = errors.New("the lock is held")

// osFS is the operating system's file system.
type osFS struct{}

// osFile is a file of osFS.
type osFile struct{ *os.File }

func (f osFile) size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (osFS) open(path string, write bool) (file, error) {
	info, err := os.Stat(path) // before opening, which would block on a pipe
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fault.InFile(path, "this is not a regular file")
	}
	flag := os.O_RDONLY
	if write {
		flag = os.O_RDWR
	}
	f, err := os.OpenFile(path, flag, 0)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) create(path string) (file, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) rename(oldPath, newPath string) error { return os.Rename(oldPath, newPath) }

func (osFS) remove(path string) error { return os.Remove(path) }

func (osFS) mkdir(path string) error { return os.Mkdir(path, 0o777) }

func (osFS) isDir(path string) (bool, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && info.IsDir(), err
}

func (osFS) names(path string) ([]string, error) {
	entries, err := os.ReadDir(path)
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, err
}

// SyncFolder makes creations, renames and removals in a folder durable, of a run or not.
func SyncFolder(path string) error { return osFS{}.syncDir(path) }

func (osFS) syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		err = nil // some network file systems cannot, and need not
	}
	return errors.Join(err, d.Close())
}

func (osFS) lock(path string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = errLocked
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// exists reports whether dir has an entry of this name.
func exists(fsys fileSystem, dir, name string) (bool, error) {
	names, err := fsys.names(dir)
	return slices.Contains(names, name), err
}

// makeDir creates a directory and what parents it lacks, durably.
func makeDir(fsys fileSystem, path string) error {
	switch ok, err := fsys.isDir(path); {
	case err != nil:
		return err
	case ok:
		return nil
	}
	parent := filepath.Dir(path)
	if parent != path {
		if err := makeDir(fsys, parent); err != nil {
			return err
		}
	}
	if err := fsys.mkdir(path); err != nil {
		return err
	}
	return fsys.syncDir(parent)
}

// tempName is where a file is written before it is renamed to its name.
func tempName(name string) string { return tempPrefix + name + tempSuffix }

const tempPrefix, tempSuffix = ".", ".tmp"

// writeAtomic replaces the file name in dir by what fill writes: after a crash at any moment it is the old or the new
// one, whole. Only one writer per directory may be at work, which the directory's lock sees to.
func writeAtomic(fsys fileSystem, dir, name string, fill func(f file) error) error {
	temp := filepath.Join(dir, tempName(name))
	f, err := fsys.create(temp)
	if err != nil {
		return err
	}
	err = fill(f)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = fsys.rename(temp, filepath.Join(dir, name))
	}
	if err != nil {
		return errors.Join(err, ignoreMissing(fsys.remove(temp)))
	}
	return fsys.syncDir(dir)
}

// ignoreMissing turns the absence of a file into success.
func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// readBounded reads a whole file of at most limit bytes.
func readBounded(fsys fileSystem, path string, limit int64) ([]byte, error) {
	f, err := fsys.open(path, false)
	if err != nil {
		return nil, err
	}
	size, err := f.size()
	if err == nil && size > limit {
		err = fmt.Errorf("the file has %d bytes, at most %d are read", size, limit)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	b := make([]byte, size)
	_, err = io.ReadFull(io.NewSectionReader(f, 0, size), b)
	return b, errors.Join(err, f.Close())
}
