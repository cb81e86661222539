package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// powerFS is a file system in memory that can fail at any chosen operation, and that knows what a disk would still hold
// after the power went: file contents as of the last Sync, directory entries as of the last syncDir, and any part of
// what was done since. A write may be cut at any byte, but for one that stays within a file's first 128 bytes: a .npy
// header lies within one sector of the disk, which is written whole or not at all.
type powerFS struct {
	mu     sync.Mutex
	dirs   map[string]*powerDir
	locked map[string]bool
	ops    int   // operations that change something, so far
	failAt int   // the operation that fails, 0 for none
	cause  error // what it fails with
	lasts  bool  // whether every later operation fails too
}

// powerDir is a directory: its entries, and what syncDir has not made durable yet.
type powerDir struct {
	entries map[string]*powerFile // nil for a directory
	durable map[string]*powerFile
	pending []func(entries map[string]*powerFile)
}

// powerFile is a file: its bytes, and what Sync has not made durable yet.
type powerFile struct {
	data, durable []byte
	pending       []change
}

// change is one write, or a truncation where data is nil.
type change struct {
	at   int64
	data []byte
}

var errPower = errors.New("the power went")

func newPowerFS() *powerFS {
	return &powerFS{dirs: map[string]*powerDir{"/": newPowerDir()}, locked: map[string]bool{}}
}

func newPowerDir() *powerDir {
	return &powerDir{entries: map[string]*powerFile{}, durable: map[string]*powerFile{}}
}

func (c change) apply(b []byte) []byte {
	if c.data == nil {
		return append(b[:min(len(b), int(c.at))], make([]byte, max(0, int(c.at)-len(b)))...)
	}
	if len(c.data) == 0 {
		return b
	}
	if need := int(c.at) + len(c.data); need > len(b) {
		b = append(b, make([]byte, need-len(b))...)
	}
	copy(b[c.at:], c.data)
	return b
}

// cut is what is left of a change that was cut short.
func (c change) cut() change {
	n := len(c.data) / 2
	if c.at < dataOffset && int(c.at)+len(c.data) <= dataOffset {
		n = 0
	}
	return change{c.at, append([]byte{}, c.data[:n]...)}
}

// step counts an operation that changes something and says whether it fails.
func (p *powerFS) step() error {
	p.ops++
	if p.failAt > 0 && (p.ops == p.failAt || (p.lasts && p.ops > p.failAt)) {
		return p.cause
	}
	return nil
}

// survivor is the file system after the process was killed (everything that was done is there) or after the power went,
// when loss says of each thing that was not durable whether it is lost.
func (p *powerFS) survivor(loss func() bool) *powerFS {
	s := newPowerFS()
	files := map[*powerFile]*powerFile{nil: nil}
	for path, d := range p.dirs {
		entries := maps.Clone(d.durable)
		for _, change := range d.pending { // directories keep their order, as journals do
			if loss() {
				break
			}
			change(entries)
		}
		for name, f := range entries {
			if _, ok := files[f]; !ok {
				data := bytes.Clone(f.durable)
				for _, c := range f.pending {
					if !loss() {
						data = c.apply(data)
					} else if !loss() {
						data = c.cut().apply(data)
					}
				}
				files[f] = &powerFile{data: data, durable: bytes.Clone(data)}
			}
			entries[name] = files[f]
		}
		s.dirs[path] = &powerDir{entries: entries, durable: maps.Clone(entries)}
	}
	for path := range s.dirs { // a directory whose entry was lost is gone with all it holds
		for at := path; at != "/"; at = filepath.Dir(at) {
			if parent := s.dirs[filepath.Dir(at)]; parent == nil {
				delete(s.dirs, path)
			} else if _, ok := parent.entries[filepath.Base(at)]; !ok {
				delete(s.dirs, path)
			}
		}
	}
	return s
}

// killed loses nothing.
func killed() bool { return false }

// blackout loses everything that was not durable.
func blackout() bool { return true }

// brownout loses some of it.
func brownout(seed uint64) func() bool {
	r := rand.New(rand.NewPCG(seed, 1))
	return func() bool { return r.IntN(2) == 0 }
}

// contents maps every file but locks and temporary ones to its bytes.
func (p *powerFS) contents() map[string]string {
	all := map[string]string{}
	for path, d := range p.dirs {
		for name, f := range d.entries {
			if f != nil && name != lockName && !isTemp(name) {
				all[filepath.Join(path, name)] = string(f.data)
			}
		}
	}
	return all
}

// lookup finds an entry.
func (p *powerFS) lookup(path string) (f *powerFile, ok bool) {
	d := p.dirs[filepath.Dir(path)]
	if d == nil {
		return nil, false
	}
	f, ok = d.entries[filepath.Base(path)]
	return f, ok
}

// enter changes a directory's entries.
func (p *powerFS) enter(dir string, change func(entries map[string]*powerFile)) error {
	d := p.dirs[dir]
	if d == nil {
		return fmt.Errorf("%s: %w", dir, fs.ErrNotExist)
	}
	change(d.entries)
	d.pending = append(d.pending, change)
	return nil
}

func (p *powerFS) open(path string, write bool) (file, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f, ok := p.lookup(path)
	if !ok {
		return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	}
	if f == nil {
		return nil, fmt.Errorf("%s is a directory", path)
	}
	return &powerHandle{p, f, write}, nil
}

func (p *powerFS) create(path string) (file, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.step(); err != nil {
		return nil, err
	}
	f, ok := p.lookup(path)
	if ok {
		f.data, f.pending = nil, append(f.pending, change{})
		return &powerHandle{p, f, true}, nil
	}
	f = &powerFile{}
	base := filepath.Base(path)
	return &powerHandle{p, f, true}, p.enter(filepath.Dir(path), func(e map[string]*powerFile) { e[base] = f })
}

func (p *powerFS) rename(oldPath, newPath string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.step(); err != nil {
		return err
	}
	f, ok := p.lookup(oldPath)
	if !ok || filepath.Dir(oldPath) != filepath.Dir(newPath) {
		return fmt.Errorf("rename %s to %s: %w", oldPath, newPath, fs.ErrNotExist)
	}
	return p.enter(filepath.Dir(newPath), func(e map[string]*powerFile) {
		delete(e, filepath.Base(oldPath))
		e[filepath.Base(newPath)] = f
	})
}

func (p *powerFS) remove(path string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.step(); err != nil {
		return err
	}
	if _, ok := p.lookup(path); !ok {
		return fs.ErrNotExist
	}
	return p.enter(filepath.Dir(path), func(e map[string]*powerFile) { delete(e, filepath.Base(path)) })
}

func (p *powerFS) mkdir(path string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.step(); err != nil {
		return err
	}
	p.dirs[path] = newPowerDir()
	return p.enter(filepath.Dir(path), func(e map[string]*powerFile) { e[filepath.Base(path)] = nil })
}

func (p *powerFS) isDir(path string) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dirs[path] != nil, nil
}

func (p *powerFS) names(path string) ([]string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.dirs[path]
	if d == nil {
		return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	}
	return slices.SortedFunc(maps.Keys(d.entries), strings.Compare), nil
}

func (p *powerFS) syncDir(path string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.step(); err != nil {
		return err
	}
	d := p.dirs[path]
	d.durable, d.pending = maps.Clone(d.entries), nil
	return nil
}

func (p *powerFS) lock(path string) (io.Closer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.locked[path] {
		return nil, errLocked
	}
	if _, ok := p.lookup(path); !ok {
		f := &powerFile{}
		if err := p.enter(filepath.Dir(path), func(e map[string]*powerFile) { e[lockName] = f }); err != nil {
			return nil, err
		}
	}
	p.locked[path] = true
	return unlocker{p, path}, nil
}

type unlocker struct {
	p    *powerFS
	path string
}

func (u unlocker) Close() error {
	u.p.mu.Lock()
	defer u.p.mu.Unlock()
	delete(u.p.locked, u.path)
	return nil
}
