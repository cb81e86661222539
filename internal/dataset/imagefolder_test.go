package dataset

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"coar/internal/fault"
)

func picture(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata/pictures", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// folderOf writes pictures of the golden files named, by relative path.
func folderOf(t testing.TB, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for path, name := range files {
		write(t, picture(t, name), root, path)
	}
	return root
}

func ids(s *Source) []string {
	var all []string
	for i := range s.Len() {
		all = append(all, s.ID(i))
	}
	return all
}

// Positions follow torchvision's ImageFolder: classes by name, a folder's own files before those of its sub-folders.
func TestImageFolderOrderAndIDs(t *testing.T) {
	root := folderOf(t, map[string]string{
		"dog/2.PNG": "rgb8.png", "dog/10.jpeg": "444.jpg", "cat/a/x.webp": "lossy.webp", "cat/b.jpg": "420.jpg",
		"Zebra/1.jpg": "grey.jpg", "cat/.hidden.jpg": "420.jpg", ".git/1.jpg": "420.jpg", "top.jpg": "420.jpg",
	})
	write(t, []byte("text"), root, "dog", "notes.txt")
	s := mustOpen(t, "imagefolder:"+root, Options{Classes: 4, Preprocess: Preprocess{Resize: 6, Crop: 6}})
	want := []string{"Zebra/1.jpg", "cat/b.jpg", "cat/a/x.webp", "dog/10.jpeg", "dog/2.PNG"}
	if have := ids(s); !slices.Equal(have, want) {
		t.Errorf("ids %q, want %q", have, want)
	}
	for i, label := range []int{0, 1, 1, 2, 2} {
		if s.Label(i) != label {
			t.Errorf("label of %s is %d, want %d", s.ID(i), s.Label(i), label)
		}
		if at, ok := s.IndexOf(want[i]); !ok || at != i {
			t.Errorf("IndexOf(%q) is %d, %v", want[i], at, ok)
		}
		prepared(t, s, i)
		if _, err := s.Picture(i); err != nil {
			t.Error(err)
		}
	}
	if w := s.Warnings(); len(w) != 1 || !strings.Contains(w[0], "3 class folders") {
		t.Errorf("warnings %q", w)
	}
	if names := s.ClassNames(); !slices.Equal(names, []string{"Zebra", "cat", "dog"}) {
		t.Errorf("class names %q", names)
	}
}

// The digest is that of sha256sum's lines, and does not move with the folder.
func TestImageFolderDigest(t *testing.T) {
	files := map[string]string{"cat/a/x.jpg": "420.jpg", "cat/b.jpg": "422.jpg"}
	root := folderOf(t, files)
	lines := fmt.Sprintf("%s  cat/a/x.jpg\n%s  cat/b.jpg\n", sum(picture(t, "420.jpg")), sum(picture(t, "422.jpg")))
	first := digest(t, mustOpen(t, "imagefolder:"+root, Options{}))
	if first != sum([]byte(lines)) {
		t.Error("the digest is not that of the files' digests")
	}
	if digest(t, mustOpen(t, "imagefolder:"+folderOf(t, files), Options{})) != first {
		t.Error("the digest depends on where the folder is")
	}
	write(t, picture(t, "420.jpg"), root, "cat", "b.jpg")
	if digest(t, mustOpen(t, "imagefolder:"+root, Options{})) == first {
		t.Error("the digest does not depend on the pictures")
	}
}

func TestImageFolderClasses(t *testing.T) {
	root := folderOf(t, map[string]string{"n01/1.png": "rgb8.png", "n02/1.png": "rgb8.png", "n03/1.png": "rgb8.png"})
	spec := "imagefolder:" + root
	wantFault(t, "too many", spec, Options{Classes: 2}, fault.Conflict, "3 class folders", "--classes")

	file := write(t, []byte("n03 5\nn01\t2\r\n\nn02 5\nn09 0\n"), t.TempDir(), "classes.txt")
	s := mustOpen(t, spec, Options{Classes: 6, ClassesFile: file})
	if s.Label(0) != 2 || s.Label(1) != 5 || s.Label(2) != 5 || s.ClassName(5) != "n03" || s.ClassName(4) != "4" {
		t.Errorf("labels %d %d %d, names %q", s.Label(0), s.Label(1), s.Label(2), s.ClassNames())
	}
	wantFault(t, "output beyond", spec, Options{Classes: 5, ClassesFile: file}, fault.Conflict, "label 5")

	list := func(text string) string { return write(t, []byte(text), t.TempDir(), "classes.txt") }
	inOrder := mustOpen(t, spec, Options{ClassesFile: list("n02\nn03\nn01\n")})
	if inOrder.Label(0) != 2 || inOrder.Label(1) != 0 || inOrder.ClassName(1) != "n03" {
		t.Errorf("labels %d %d", inOrder.Label(0), inOrder.Label(1))
	}
	wantFault(t, "missing", spec, Options{ClassesFile: list("n01\nn02\n")}, fault.Conflict, "n03")
	wantFault(t, "twice", spec, Options{ClassesFile: list("n01\nn01\n")}, fault.Malformed, "twice")
	wantFault(t, "empty", spec, Options{ClassesFile: list("\n")}, fault.Malformed, "no class names")
	wantFault(t, "absurd", spec, Options{ClassesFile: list("n01 2000000000\n")}, fault.Malformed, "largest possible")
	wantFault(t, "no file", spec, Options{ClassesFile: root + "/none"}, fault.Malformed, "none")
}

func TestImageFolderErrorsNameTheFile(t *testing.T) {
	files := map[string]string{"a/1.jpg": "444.jpg", "a/2.jpg": "444.jpg", "a/3.jpg": "420-odd.jpg"}
	root := folderOf(t, files)
	write(t, picture(t, "444.jpg")[:500], root, "a", "2.jpg")
	s := mustOpen(t, "imagefolder:"+root, Options{})
	c, h, w := s.Shape()
	if c != 3 || h != 33 || w != 40 {
		t.Errorf("shape %d x %d x %d", c, h, w)
	}
	dst := make([]float32, c*h*w)
	checkFault(t, "cut short", s.Image(1, dst), fault.Malformed, filepath.Join(root, "a", "2.jpg"), "cut short")
	checkFault(t, "other size", s.Image(2, dst), fault.Conflict, filepath.Join(root, "a", "3.jpg"), "--resize", "--crop")

	write(t, nil, root, "a", "1.jpg")
	wantFault(t, "first broken", "imagefolder:"+root, Options{}, fault.Malformed, "1.jpg")
	wantFault(t, "no folders", "imagefolder:"+root+"/a", Options{}, fault.Malformed, "no class folders")
	empty := t.TempDir()
	if err := os.Mkdir(filepath.Join(empty, "cat"), 0o777); err != nil {
		t.Fatal(err)
	}
	wantFault(t, "no pictures", "imagefolder:"+empty, Options{}, fault.Malformed, "no examples")
	write(t, picture(t, "444.jpg"), empty, "cat", "line\nbreak.jpg")
	wantFault(t, "name", "imagefolder:"+empty, Options{}, fault.Malformed, "rename")
}

// A grey model takes pictures without colours, however they are stored, and refuses others by name.
func TestImageFolderForAGreyModel(t *testing.T) {
	root := folderOf(t, map[string]string{"a/1.png": "grey8.png", "a/2.png": "grey8-transparent.png", "a/3.png": "grey4.png"})
	s := mustOpen(t, "imagefolder:"+root, Options{Channels: 1})
	for i := range 3 {
		prepared(t, s, i)
	}
	write(t, picture(t, "444.jpg"), root, "a", "0.jpg")
	wantFault(t, "colour", "imagefolder:"+root, Options{Channels: 1}, fault.Conflict, "0.jpg", "grey")
}

// Linked class folders and files are read; a link further down, which could be circular, is not followed.
func TestImageFolderLinks(t *testing.T) {
	elsewhere := folderOf(t, map[string]string{"pictures/1.jpg": "444.jpg"})
	root := folderOf(t, map[string]string{"b/2.jpg": "444.jpg"})
	for link, target := range map[string]string{"a": elsewhere + "/pictures", "b/1.jpg": elsewhere + "/pictures/1.jpg", "b/loop": root} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			t.Skip("links cannot be made here:", err)
		}
	}
	s := mustOpen(t, "imagefolder:"+root, Options{})
	if have := ids(s); !slices.Equal(have, []string{"a/1.jpg", "b/1.jpg", "b/2.jpg"}) {
		t.Errorf("ids %q", have)
	}
	if w := s.Warnings(); len(w) != 1 || !strings.Contains(w[0], "loop") {
		t.Errorf("warnings %q", w)
	}
}
