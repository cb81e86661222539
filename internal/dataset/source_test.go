package dataset

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"coar/internal/fault"
	"coar/internal/npy"
)

func write(t testing.TB, data []byte, path ...string) string {
	t.Helper()
	name := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o666); err != nil {
		t.Fatal(err)
	}
	return name
}

func mustOpen(t testing.TB, spec string, opts Options) *Source {
	t.Helper()
	s, err := Open(spec, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// wantFault fails unless opening fails with the given kind and says all of words.
func wantFault(t *testing.T, name, spec string, opts Options, kind fault.Kind, words ...string) {
	t.Helper()
	_, err := Open(spec, opts)
	checkFault(t, name, err, kind, words...)
}

func checkFault(t *testing.T, name string, err error, kind fault.Kind, words ...string) {
	t.Helper()
	if err == nil || fault.KindOf(err) != kind {
		t.Errorf("%s: error %v of kind %d, want kind %d", name, err, fault.KindOf(err), kind)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %q does not say %q", name, err, word)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("%s: %q is more than one sentence", name, err)
	}
}

// batch makes CIFAR-10 records with the given labels and generated pixels.
func batch(labels ...byte) []byte {
	var data []byte
	for i, label := range labels {
		data = append(data, label)
		data = append(data, generated(32, 32, 3).pix...)
		data[len(data)-cifarPixels+i] ^= 0xff // pictures differ
	}
	return data
}

// idxData makes an IDX file.
func idxData(magic uint32, values []byte, dims ...uint32) []byte {
	data := binary.BigEndian.AppendUint32(nil, magic)
	for _, d := range dims {
		data = binary.BigEndian.AppendUint32(data, d)
	}
	return append(data, values...)
}

func gzipped(data []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	z.Write(data)
	z.Close()
	return out.Bytes()
}

func writeNPY(t testing.TB, dtype npy.DType, raw []byte, path string, shape ...int) string {
	t.Helper()
	header, err := npy.EncodeHeader(dtype, shape)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, append(header, raw...), path)
}

func prepared(t testing.TB, s *Source, i int) []float32 {
	t.Helper()
	c, h, w := s.Shape()
	dst := make([]float32, c*h*w)
	if err := s.Image(i, dst); err != nil {
		t.Fatal(err)
	}
	return dst
}

func digest(t testing.TB, s *Source) string {
	t.Helper()
	d, err := s.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestSpecificationsThatCannotBeMeant(t *testing.T) {
	for _, spec := range []string{"", "cifar10", "cifar10:", "mnist:x", ":x", "npy:a.npy", "npy:,b.npy", "npy:a.npy,"} {
		wantFault(t, spec, spec, Options{}, fault.Usage, "--data")
	}
	folder := t.TempDir()
	for name, opts := range map[string]Options{
		"--layout":        {Layout: "chwn"},
		"--resize":        {Preprocess: Preprocess{Resize: -1}},
		"--crop":          {Preprocess: Preprocess{Crop: 1 << 30}},
		"--interpolation": {Preprocess: Preprocess{Interpolation: "lanczos"}},
		"--mean":          {Preprocess: Preprocess{Mean: []float32{1, 2}}},
		"--std":           {Preprocess: Preprocess{Std: []float32{1, 0, 1}}},
		"--split":         {Split: "validation"},
	} {
		wantFault(t, name, "cifar10:"+folder, opts, fault.Usage, name)
	}
	for _, spec := range []string{"cifar10:", "idx:", "imagefolder:"} {
		missing := filepath.Join(folder, "missing")
		wantFault(t, spec, spec+missing, Options{}, fault.Malformed, missing, "no such file")
	}
	wantFault(t, "npy", "npy:"+folder+"/a.npy,b.npy", Options{}, fault.Malformed, "a.npy", "no such file")
}

func TestCIFAR10(t *testing.T) {
	folder := t.TempDir()
	test := batch(3, 0, 9)
	file := write(t, test, folder, "test_batch.bin")
	write(t, batch(1, 2), folder, "data_batch_1.bin")
	write(t, batch(4), folder, "data_batch_2.bin")
	write(t, []byte("airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n"), folder, "batches.meta.txt")

	s := mustOpen(t, "cifar10:"+folder, Options{Channels: 3, Classes: 10, Height: 32, Width: 32})
	if c, h, w := s.Shape(); s.Len() != 3 || c != 3 || h != 32 || w != 32 || s.ID(2) != "2" || s.Label(2) != 9 ||
		s.ClassName(9) != "truck" || s.ClassName(11) != "11" || s.Spec() != "cifar10:"+folder {
		t.Errorf("%d examples, %d x %d x %d, %q, %d, %q", s.Len(), c, h, w, s.ID(2), s.Label(2), s.Spec())
	}
	for i, v := range prepared(t, s, 1) { // planes are stored as they are read
		if want := float32(test[cifarRecord+1+i]) / 255; v != want {
			t.Fatalf("value %d is %v, want %v", i, v, want)
		}
	}
	if digest(t, s) != sum(test) {
		t.Error("the digest is not the file's SHA-256")
	}
	one := mustOpen(t, "cifar10:"+file, Options{})
	if digest(t, one) != sum(test) || one.ClassName(3) != "cat" {
		t.Error("a batch named as a file differs from one found in its folder")
	}

	train := mustOpen(t, "cifar10:"+folder, Options{Split: "train"})
	if train.Len() != 3 || train.Label(1) != 2 || train.Label(2) != 4 {
		t.Errorf("%d training examples", train.Len())
	}
	picture, err := train.Picture(2)
	if err != nil {
		t.Fatal(err)
	}
	r, g, b, _ := picture.At(5, 7).RGBA()
	red := batch(4)[1+7*32+5:]
	if uint8(r) != red[0] || uint8(g) != red[1024] || uint8(b) != red[2048] {
		t.Error("the picture's colours are not the record's planes")
	}

	wantFault(t, "classes", "cifar10:"+folder, Options{Classes: 9}, fault.Conflict, "label 9", "record 2")
	wantFault(t, "grey model", "cifar10:"+folder, Options{Channels: 1}, fault.Conflict, "grey")
	wantFault(t, "size", "cifar10:"+folder, Options{Height: 224, Width: 224}, fault.Conflict, "--resize 224 --crop 224")
	wantFault(t, "flat size", "cifar10:"+folder, Options{Height: 24, Width: 32}, fault.Conflict, "24 high")
	mustOpen(t, "cifar10:"+folder, Options{Height: 40, Width: 40, Preprocess: Preprocess{Resize: 44, Crop: 40}})
}

func TestDamagedCIFAR10(t *testing.T) {
	folder := t.TempDir()
	for name, data := range map[string][]byte{
		"empty":    nil,
		"short":    batch(1, 2)[:2*cifarRecord-1],
		"long":     append(batch(1), 0),
		"label 10": batch(1, 10),
	} {
		file := write(t, data, folder, name+".bin")
		wantFault(t, name, "cifar10:"+file, Options{}, fault.Malformed, file)
	}
	write(t, []byte("cat\ndog\n"), folder, "batches.meta.txt")
	wantFault(t, "names", "cifar10:"+write(t, batch(1), folder, "ok.bin"), Options{}, fault.Malformed, "batches.meta.txt")
	wantFault(t, "no batch", "cifar10:"+folder, Options{}, fault.Malformed, "test_batch.bin")
	wantFault(t, "no batch", "cifar10:"+folder, Options{Split: "train"}, fault.Malformed, "data_batch_1.bin")
}

func TestIDX(t *testing.T) {
	pixels := generated(6, 4, 1).pix // two pictures of 3 x 4
	images, labels := idxData(idxImages, pixels, 2, 3, 4), idxData(idxLabels, []byte{7, 1}, 2)
	plain, packed := t.TempDir(), t.TempDir()
	write(t, images, plain, "t10k-images.idx3-ubyte")
	write(t, labels, plain, "t10k-labels.idx1-ubyte")
	write(t, gzipped(images), packed, "train-images-idx3-ubyte.gz")
	write(t, gzipped(labels), packed, "train-labels-idx1-ubyte.gz")

	a := mustOpen(t, "idx:"+plain, Options{Channels: 3, Classes: 10})
	b := mustOpen(t, "idx:"+packed, Options{Split: "train"})
	if c, h, w := a.Shape(); a.Len() != 2 || c != 3 || h != 3 || w != 4 || a.Label(0) != 7 || a.ClassName(7) != "7" {
		t.Errorf("%d examples of %d x %d x %d", a.Len(), c, h, w)
	}
	if c, _, _ := b.Shape(); c != 1 {
		t.Errorf("%d channels without a model", c)
	}
	if d := digest(t, a); d != digest(t, b) || d != sum(append(images[:len(images):len(images)], labels...)) {
		t.Error("the digest is not that of the unpacked images and labels")
	}
	for i := range 2 {
		grey, colour := prepared(t, b, i), prepared(t, a, i)
		for k, v := range grey {
			if want := float32(pixels[12*i+k]) / 255; v != want || colour[k] != v || colour[12+k] != v || colour[24+k] != v {
				t.Fatalf("picture %d value %d: %v, %v, want %v", i, k, v, colour[k], want)
			}
		}
	}
	wantFault(t, "other split", "idx:"+plain, Options{Split: "train"}, fault.Malformed, "train-images-idx3-ubyte")
	wantFault(t, "channels", "idx:"+plain, Options{Channels: 1, Preprocess: Preprocess{Mean: []float32{1, 2, 3}}},
		fault.Conflict, "--mean")
}

func TestDamagedIDX(t *testing.T) {
	images, labels := idxData(idxImages, make([]byte, 24), 2, 3, 4), idxData(idxLabels, []byte{0, 1}, 2)
	huge := idxData(idxImages, make([]byte, 1<<16), 1<<31, 1<<31, 1<<31)
	bomb := gzipped(idxData(idxImages, make([]byte, 80<<20), 80, 1<<10, 1<<10))
	flipped := gzipped(images)
	flipped[len(flipped)-8] ^= 1 // in the checksum
	for name, c := range map[string]struct {
		ending         string
		images, labels []byte
		kind           fault.Kind
	}{
		"empty":            {"", nil, labels, fault.Malformed},
		"short header":     {"", images[:15], labels, fault.Malformed},
		"short":            {"", images[:39], labels, fault.Malformed},
		"long":             {"", append(images[:40:40], 0), labels, fault.Malformed},
		"wrong type":       {"", idxData(0x0d03, make([]byte, 24), 2, 3, 4), labels, fault.Malformed},
		"labels as images": {"", labels, labels, fault.Malformed},
		"no pixels":        {"", idxData(idxImages, nil, 2, 0, 4), labels, fault.Malformed},
		"huge":             {"", huge, labels, fault.Malformed},
		"short labels":     {"", images, labels[:9], fault.Malformed},
		"fewer labels":     {"", images, idxData(idxLabels, []byte{0}, 1), fault.Conflict},
		"gz empty":         {".gz", nil, nil, fault.Malformed},
		"gz not packed":    {".gz", images, labels, fault.Malformed},
		"gz short":         {".gz", gzipped(images)[:30], gzipped(labels), fault.Malformed},
		"gz no checksum":   {".gz", gzipped(images)[:len(gzipped(images))-8], gzipped(labels), fault.Malformed},
		"gz bit flip":      {".gz", flipped, gzipped(labels), fault.Malformed},
		"gz garbage after": {".gz", append(gzipped(images), "garbage"...), gzipped(labels), fault.Malformed},
		"gz long":          {".gz", gzipped(append(images[:40:40], 0)), gzipped(labels), fault.Malformed},
		"gz short inside":  {".gz", gzipped(images[:39]), gzipped(labels), fault.Malformed},
		"gz huge":          {".gz", gzipped(huge), gzipped(labels), fault.Malformed},
		"gz bomb":          {".gz", bomb, gzipped(labels), fault.Malformed},
		"gz bomb after":    {".gz", append(gzipped(images), bomb...), gzipped(labels), fault.Malformed},
	} {
		folder := t.TempDir()
		write(t, c.images, folder, "t10k-images-idx3-ubyte"+c.ending)
		write(t, c.labels, folder, "t10k-labels-idx1-ubyte"+c.ending)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		wantFault(t, name, "idx:"+folder, Options{}, c.kind, folder, "idx")
		runtime.ReadMemStats(&after)
		if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 2<<20 {
			t.Errorf("%s: %d bytes allocated", name, allocated)
		}
	}
}

// Many goroutines read at once, and read what one reads.
func TestReadingConcurrently(t *testing.T) {
	folder := t.TempDir()
	for i, name := range []string{"420.jpg", "422.jpg", "444.jpg", "low-quality.jpg"} {
		data, err := os.ReadFile(filepath.Join("testdata/pictures", name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, data, folder, "pictures", string(rune('a'+i)), name)
	}
	write(t, batch(1, 2, 3, 4), folder, "test_batch.bin")
	prep := Preprocess{Resize: 20, Crop: 16}
	for _, spec := range []string{"cifar10:" + folder, "imagefolder:" + folder + "/pictures"} {
		s := mustOpen(t, spec, Options{Preprocess: prep})
		var want []string
		for i := range s.Len() {
			want = append(want, floatSum(prepared(t, s, i)))
		}
		var readers sync.WaitGroup
		for r := range 4 * s.Len() {
			readers.Go(func() {
				dst := make([]float32, 3*16*16)
				if err := s.Image(r%s.Len(), dst); err != nil || floatSum(dst) != want[r%s.Len()] {
					t.Errorf("%s: example %d differs, %v", spec, r%s.Len(), err)
				}
			})
		}
		readers.Wait()
	}
}
