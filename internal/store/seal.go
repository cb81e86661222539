package store

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"coar/internal/fault"
)

const sealsName = "checksums.json"

const maxSealsBytes = 16 << 20

// seals is checksums.json: the size and digest of every file that was finished when it was last written.
type seals struct {
	Format int          `json:"format"`
	Files  []sealedFile `json:"files"` // sorted by name
}

// sealedFile is one finished file.
type sealedFile struct {
	Name   string `json:"name"` // relative to the run, with slashes
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// parseSeals reads a checksums.json.
func parseSeals(b []byte) (map[string]sealedFile, error) {
	var s seals
	if err := decodeRecord(b, &s); err != nil {
		return nil, err
	}
	if s.Format != formatVersion {
		return nil, fmt.Errorf("format is %d, this program reads %d", s.Format, formatVersion)
	}
	files := make(map[string]sealedFile, len(s.Files))
	for i, f := range s.Files {
		if _, twice := files[f.Name]; twice || !validName(f.Name) || f.Bytes < 0 || !sha256Pattern.MatchString(f.SHA256) {
			return nil, fmt.Errorf("files[%d] is not a file name, a size and a digest, or is there twice", i)
		}
		files[f.Name] = f
	}
	return files, nil
}

// validName reports whether name is a clean relative slash-separated path inside the run.
func validName(name string) bool {
	return len(name) <= maxText && filepath.IsLocal(name) && !strings.ContainsAny(name, "\\\x00") &&
		filepath.ToSlash(filepath.Clean(name)) == name && name != "."
}

// readSeals reads what is sealed in a directory, nothing if it has no checksums.json.
func readSeals(fsys fileSystem, dir string) (map[string]sealedFile, error) {
	path := filepath.Join(dir, sealsName)
	b, err := readBounded(fsys, path, maxSealsBytes)
	if isMissing(err) {
		return map[string]sealedFile{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("store: read checksums: %w", err)
	}
	files, err := parseSeals(b)
	if err != nil {
		return nil, fault.InFile(path, "%w; if the rest of the run is to be trusted, delete this file", err)
	}
	return files, nil
}

// Seal records size and SHA-256 of finished files, so that Verify notices any later change of them. Names are relative to
// the directory, with slashes. A file that is written again is unsealed first; one that is still sealed must be as it was.
//
// Cost: reads the files once. Errors: those of the files, fault.Malformed for one that has changed; the run is whole either way.
func (d *Dir) Seal(names ...string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	sealed := maps.Clone(d.sealed)
	for _, name := range names {
		if !validName(name) || name == sealsName || name == lockName {
			return fmt.Errorf("store: seal: %q is not a file of the run", name)
		}
		f, err := digest(d.fs, d.path, name)
		if err != nil {
			return fmt.Errorf("store: seal %s: %w", filepath.Join(d.path, name), err)
		}
		if was, ok := sealed[name]; ok && was != f {
			return changed(d.path, name)
		}
		sealed[name] = f
	}
	return d.writeSeals(sealed)
}

// changed is the error for a sealed file that is not what it was.
func changed(dir, name string) error {
	return fault.InFile(inRun(dir, name), "the file has changed since it was finished (its SHA-256 differs); %s", remedy(name))
}

// checkSealed compares a file with its digest, where checksums.json has one.
func checkSealed(fsys fileSystem, dir, name string) error {
	sealed, err := readSeals(fsys, dir)
	if err != nil {
		return err
	}
	was, ok := sealed[name]
	if !ok {
		return nil
	}
	now, err := digest(fsys, dir, name)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if now != was {
		return changed(dir, name)
	}
	return nil
}

// unseal drops names from checksums.json before they change. A crash in between leaves them unsealed but whole.
func (d *Dir) unseal(names ...string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	sealed := maps.Clone(d.sealed)
	for _, name := range names {
		delete(sealed, name)
	}
	if len(sealed) == len(d.sealed) {
		return nil
	}
	return d.writeSeals(sealed)
}

// isSealed reports whether checksums.json lists name.
func (d *Dir) isSealed(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.sealed[name]
	return ok
}

// writeSeals replaces checksums.json atomically; d.mu is held.
func (d *Dir) writeSeals(sealed map[string]sealedFile) error {
	s := seals{Format: formatVersion, Files: make([]sealedFile, 0, len(sealed))}
	for _, f := range sealed {
		s.Files = append(s.Files, f)
	}
	slices.SortFunc(s.Files, func(a, b sealedFile) int { return strings.Compare(a.Name, b.Name) })
	b, err := encodeRecord(s)
	if err == nil {
		err = writeAtomic(d.fs, d.path, sealsName, func(f file) error {
			_, err := f.WriteAt(b, 0)
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("store: write %s: %w", filepath.Join(d.path, sealsName), err)
	}
	d.sealed = sealed
	return nil
}

// digest reads the file name of dir and returns what checksums.json is to say of it.
func digest(fsys fileSystem, dir, name string) (sealedFile, error) {
	f, err := fsys.open(inRun(dir, name), false)
	if err != nil {
		return sealedFile{}, err
	}
	defer f.Close() // only read
	size, err := f.size()
	if err != nil {
		return sealedFile{}, err
	}
	h := sha256.New()
	if _, err := io.CopyBuffer(h, io.NewSectionReader(f, 0, size), make([]byte, min(size+1, 1<<18))); err != nil {
		return sealedFile{}, err
	}
	return sealedFile{Name: name, Bytes: size, SHA256: hex.EncodeToString(h.Sum(nil))}, nil
}
