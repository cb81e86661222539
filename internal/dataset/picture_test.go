package dataset

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"coar/internal/fault"
)

// goldenPicture is a picture file and the RGB pixels that Pillow decodes it to.
type goldenPicture struct {
	File          string
	Height, Width int
	RGB           string
}

func goldenPictures(t testing.TB) []goldenPicture {
	var all []goldenPicture
	readJSON(t, "testdata/pictures.json", &all)
	return all
}

// Decoding equals Pillow's: exactly for PNG and WebP, within 3 levels for JPEG, whose inverse transform may round
// differently.
func TestDecodingAgreesWithPillow(t *testing.T) {
	for _, want := range goldenPictures(t) {
		pixels, err := base64.StdEncoding.DecodeString(want.RGB)
		if err != nil {
			t.Fatal(err)
		}
		r, err := readPicture(filepath.Join("testdata/pictures", want.File))
		if err != nil {
			t.Errorf("%s: %v", want.File, err)
			continue
		}
		if r, err = r.withChannels(3); err != nil || r.h != want.Height || r.w != want.Width {
			t.Errorf("%s: %d x %d, want %d x %d, %v", want.File, r.w, r.h, want.Width, want.Height, err)
			continue
		}
		tolerance := 0
		if strings.HasSuffix(want.File, ".jpg") || want.File == "misnamed.png" {
			tolerance = 3
		}
		worst, differing := 0, 0
		for i := range pixels {
			d := max(int(pixels[i])-int(r.pix[i]), int(r.pix[i])-int(pixels[i]))
			worst = max(worst, d)
			if d > 0 {
				differing++
			}
		}
		if worst > tolerance {
			t.Errorf("%s: %d of %d values differ, by up to %d", want.File, differing, len(pixels), worst)
		}
		t.Logf("%s: %d of %d values differ, by up to %d", want.File, differing, len(pixels), worst)
	}
}

func TestGreyPicturesStayGrey(t *testing.T) {
	for file, c := range map[string]int{"grey.jpg": 1, "grey1.png": 1, "grey8.png": 1, "grey16.png": 1, "rgb8.png": 3} {
		r, err := readPicture(filepath.Join("testdata/pictures", file))
		if err != nil || r.c != c {
			t.Errorf("%s: %d channels, %v", file, r.c, err)
		}
	}
}

// Every proper prefix of a picture file is refused, and a flipped bit in a PNG is found by its checksums.
func TestDamagedPicturesAreRefused(t *testing.T) {
	for _, golden := range goldenPictures(t) {
		data, err := os.ReadFile(filepath.Join("testdata/pictures", golden.File))
		if err != nil {
			t.Fatal(err)
		}
		for n := range len(data) {
			if r, err := decodePicture(data[:n]); err == nil && !harmlessCut(data, n) {
				t.Errorf("%s cut to %d of %d bytes: decoded to %d x %d", golden.File, n, len(data), r.w, r.h)
				break
			}
		}
		if !bytes.HasPrefix(data, []byte("\x89PNG")) {
			continue
		}
		for bit := range len(data) * 8 {
			data[bit/8] ^= 1 << (bit % 8)
			if _, err := decodePicture(data); err == nil {
				t.Errorf("%s: flipping bit %d goes unnoticed", golden.File, bit)
			}
			data[bit/8] ^= 1 << (bit % 8)
		}
	}
}

// harmlessCut tells the cuts that lose no pixels: padding behind a WebP picture's last bytes.
func harmlessCut(data []byte, n int) bool {
	return bytes.HasPrefix(data, []byte("RIFF")) && n >= len(data)-1
}

// A small file that claims many pixels is refused before they are allocated.
func TestHugeClaimsAreRefused(t *testing.T) {
	header := func(w, h uint32) []byte {
		ihdr := binary.BigEndian.AppendUint32([]byte("IHDR"), w)
		ihdr = append(binary.BigEndian.AppendUint32(ihdr, h), 8, 2, 0, 0, 0)
		data := append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0d"), ihdr...)
		return binary.BigEndian.AppendUint32(data, crc32.ChecksumIEEE(ihdr))
	}
	jpegFile, err := os.ReadFile("testdata/pictures/444.jpg")
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(jpegFile, []byte("\xff\xc0"))
	copy(jpegFile[at+5:], "\xff\xff\xff\xff")
	webpFile, err := os.ReadFile("testdata/pictures/lossy.webp")
	if err != nil {
		t.Fatal(err)
	}
	at = bytes.Index(webpFile, []byte("\x9d\x01\x2a"))
	copy(webpFile[at+3:], "\xff\x3f\xff\x3f")
	for name, data := range map[string][]byte{
		"png":        header(8000, 8000),
		"wide png":   header(1<<30, 1),
		"large png":  header(1<<31-1, 1<<31-1),
		"empty png":  header(0, 5),
		"large jpeg": jpegFile,
		"large webp": webpFile,
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := decodePicture(data)
		runtime.ReadMemStats(&after)
		if allocated := after.TotalAlloc - before.TotalAlloc; err == nil || allocated > 1<<20 {
			t.Errorf("%s: %d bytes allocated, error %v", name, allocated, err)
		}
	}
}

func TestManyScansAreRefused(t *testing.T) {
	data, err := os.ReadFile("testdata/pictures/progressive.jpg")
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(data, []byte("\xff\xda"))
	scan := data[at : at+2+int(data[at+3])]
	data = append(append(data[:at:at], bytes.Repeat(scan, maxScans+1)...), data[at:]...)
	if _, err := decodePicture(data); err == nil || !strings.Contains(err.Error(), "scans") {
		t.Errorf("error %v", err)
	}
}

func TestUnreadablePicturesNameTheirFile(t *testing.T) {
	folder := t.TempDir()
	text := filepath.Join(folder, "text.png")
	if err := os.WriteFile(text, []byte("no picture"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{text, folder, filepath.Join(folder, "missing.jpg")} {
		_, err := readPicture(path)
		if fault.KindOf(err) != fault.Malformed || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// FuzzPicture looks for panics, hangs and large allocations in decoding.
func FuzzPicture(f *testing.F) {
	for _, golden := range goldenPictures(f) {
		data, err := os.ReadFile(filepath.Join("testdata/pictures", golden.File))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decodePicture(data)
		if err == nil && (r.h < 1 || r.w < 1 || len(r.pix) != r.h*r.w*r.c) {
			t.Errorf("%d x %d x %d with %d values", r.h, r.w, r.c, len(r.pix))
		}
	})
}
