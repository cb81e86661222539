package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"sync"

	"coar/internal/fault"
)

const lockName = ".lock"

// Dir is a directory locked for writing: a run, or a bare directory that holds arrays made elsewhere.
// Its methods may be called concurrently.
type Dir struct {
	fs   fileSystem
	path string
	lock io.Closer

	opening sync.Mutex // held while a set of units is opened

	mu     sync.Mutex
	sealed map[string]sealedFile // what checksums.json says, by name
	units  map[string]*units     // the sets of units opened through this Dir, by the name of their first file
}

// Lock locks an existing directory for writing results into it. Close gives it up; so does the end of the process.
//
// Errors: fault.Missing where there is no such directory; an ordinary error where another process writes to it;
// fault.Malformed if its checksums.json is damaged.
func Lock(dir string) (*Dir, error) { return lockDir(osFS{}, dir) }

func lockDir(fsys fileSystem, path string) (*Dir, error) {
	if ok, err := fsys.isDir(path); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	} else if !ok {
		return nil, fault.Missingf("there is no directory %s; coar ablate makes one", path)
	}
	lock, err := fsys.lock(filepath.Join(path, lockName))
	if errors.Is(err, errLocked) {
		return nil, fmt.Errorf("%s is in use: another process is writing to it; wait for it or stop it", path)
	}
	if err != nil {
		return nil, fmt.Errorf("store: lock %s: %w", path, err)
	}
	d := &Dir{fs: fsys, path: path, lock: lock}
	if d.sealed, err = readSeals(fsys, path); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return d, nil
}

// Path is the directory's path as it was given.
func (d *Dir) Path() string { return d.path }

// Close closes what was opened through d and gives up the lock. Nothing must be written through d afterwards.
func (d *Dir) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var errs []error
	for _, r := range d.units {
		errs = append(errs, r.close())
	}
	d.units = nil
	if d.lock != nil {
		errs = append(errs, d.lock.Close())
		d.lock = nil
	}
	return errors.Join(errs...)
}

// isMissing reports whether err says that a file does not exist.
func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// inRun is the path of a file of the run in dir.
func inRun(dir, name string) string { return filepath.Join(dir, filepath.FromSlash(name)) }
