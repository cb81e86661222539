package dataset

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"coar/internal/fault"
)

// imageFolder is a folder of class folders of picture files.
type imageFolder struct {
	root  string
	paths []string // relative to root, with slashes
}

// openImageFolder lists the pictures of a folder, in the order of torchvision's ImageFolder.
//
// Every sub-folder is a class; its pictures, those in folders below it included, are the files named .jpg, .jpeg, .png
// or .webp. Other and hidden files are skipped. A class's label is its place among the sub-folders, or what the classes
// file says.
func openImageFolder(path string, opts Options) (loaded, error) {
	root, err := openFolder(path)
	if err != nil {
		return loaded{}, err
	}
	folders, err := classFolders(root)
	if err != nil {
		return loaded{}, err
	}
	if len(folders) == 0 {
		return loaded{}, fault.InFile(root, "there are no class folders in it")
	}
	outputs, names, warnings, err := folderOutputs(root, folders, opts)
	if err != nil {
		return loaded{}, err
	}
	pictures := &imageFolder{root: root}
	in := loaded{stored: pictures, path: root, c: 3, classNames: names, warnings: warnings}
	for k, folder := range folders {
		paths, warnings, err := picturesBelow(root, folder)
		if err != nil {
			return loaded{}, err
		}
		in.warnings = append(in.warnings, warnings...)
		if len(paths) == 0 {
			in.warnings = append(in.warnings, fmt.Sprintf("class folder %s holds no pictures", filepath.Join(root, folder)))
		}
		for _, p := range paths {
			pictures.paths = append(pictures.paths, p)
			in.labels = append(in.labels, outputs[k])
		}
	}
	in.ids = pictures.paths
	return in, nil
}

// classFolders lists the sub-folders of root, links to folders included, by name.
func classFolders(root string) ([]string, error) {
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, unreadable(root, err)
	}
	var folders []string
	for _, entry := range entries { // sorted by ReadDir
		name := entry.Name()
		if hidden(name) {
			continue
		}
		info, err := os.Stat(filepath.Join(root, name))
		if err != nil {
			return nil, unreadable(filepath.Join(root, name), err)
		}
		if !info.IsDir() {
			continue
		}
		if err := checkName(filepath.Join(root, name)); err != nil {
			return nil, err
		}
		folders = append(folders, name)
	}
	return folders, nil
}

// folderOutputs gives each class folder its label, and the labels their names.
func folderOutputs(root string, folders []string, opts Options) (outputs []int, names, warnings []string, err error) {
	classes, err := opts.classes()
	if err != nil {
		return nil, nil, nil, err
	}
	if classes == nil {
		for k := range folders {
			outputs = append(outputs, k)
		}
		if n := len(folders); opts.Classes > 0 && n < opts.Classes {
			warnings = append(warnings, fmt.Sprintf("%s has %d class folders, the model %d outputs; labels follow the "+
				"order of the folders, --classes FILE can say which output each means", root, n, opts.Classes))
		} else if opts.Classes > 0 && n > opts.Classes {
			return nil, nil, nil, fault.Conflictf("%s has %d class folders, the model only %d outputs; give --classes FILE "+
				"with the output that each folder means", root, n, opts.Classes)
		}
		return outputs, folders, warnings, nil
	}
	for _, folder := range folders {
		output, ok := classes.outputs[folder]
		if !ok {
			return nil, nil, nil, fault.Conflictf("%s is no class of %s", filepath.Join(root, folder), classes.file)
		}
		outputs = append(outputs, output)
	}
	return outputs, classes.names, nil, nil
}

// picturesBelow lists the pictures of one class folder by folder and name, relative to root.
func picturesBelow(root, folder string) (paths, warnings []string, err error) {
	// Walking "folder/." enters a class folder that is a link; links further down are not followed, they may be circular.
	top := filepath.Join(root, folder)
	err = filepath.WalkDir(top+string(filepath.Separator)+".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return unreadable(name, err)
		}
		rel, err := filepath.Rel(top, name)
		if err != nil {
			return fmt.Errorf("dataset: %w", err)
		}
		if rel == "." {
			return nil
		}
		if hidden(entry.Name()) {
			if entry.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if entry.Type()&fs.ModeSymlink != 0 {
			if info, err := os.Stat(name); err == nil && info.IsDir() {
				warnings = append(warnings, fmt.Sprintf("%s links to a folder, which is not followed", name))
				return nil
			}
		}
		if entry.IsDir() || !isPictureName(name) {
			return nil
		}
		if err := checkName(name); err != nil {
			return err
		}
		paths = append(paths, filepath.ToSlash(filepath.Join(folder, rel)))
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	slices.SortFunc(paths, func(a, b string) int { // a folder's own files before those of the folders in it
		dirA, nameA := splitPath(a)
		dirB, nameB := splitPath(b)
		if order := strings.Compare(dirA, dirB); order != 0 {
			return order
		}
		return strings.Compare(nameA, nameB)
	})
	return paths, warnings, nil
}

func splitPath(p string) (dir, name string) {
	at := strings.LastIndexByte(p, '/')
	return p[:at], p[at+1:]
}

func hidden(name string) bool { return strings.HasPrefix(name, ".") }

func isPictureName(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".jpg", ".jpeg", ".png", ".webp":
		return true
	}
	return false
}

// checkName refuses names that could not be an id in a text file.
func checkName(path string) error {
	if folder, name := filepath.Split(path); !utf8.ValidString(name) || strings.ContainsAny(name, "\n\r") {
		return fault.InFile(folder, "the name %q in it is not valid UTF-8 or has line breaks; rename it", name)
	}
	return nil
}

func (d *imageFolder) file(i int) string {
	return filepath.Join(d.root, filepath.FromSlash(d.paths[i]))
}

func (d *imageFolder) place(i int) string { return d.file(i) }

func (d *imageFolder) raster(i int) (raster, error) { return readPicture(d.file(i)) }

func (d *imageFolder) writeContent(w io.Writer) error {
	for _, p := range slices.Sorted(slices.Values(d.paths)) {
		sum, err := fileSum(filepath.Join(d.root, filepath.FromSlash(p)))
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "%x  %s\n", sum, p); err != nil {
			return fmt.Errorf("dataset: %w", err)
		}
	}
	return nil
}

// fileSum is the SHA-256 of a file.
func fileSum(path string) ([]byte, error) {
	f, _, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return nil, unreadable(path, err)
	}
	return h.Sum(nil), nil
}

func (d *imageFolder) Close() error { return nil }
