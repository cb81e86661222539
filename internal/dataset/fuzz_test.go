package dataset

import (
	"math"
	"testing"

	"coar/internal/fault"
	"coar/internal/npy"
)

// readAll opens a source and reads every example. Whatever the bytes, nothing may panic or hang, errors must blame a
// file or a contradiction, and values must be finite.
func readAll(t *testing.T, spec string) {
	s, err := Open(spec, Options{Channels: 3})
	if err != nil {
		if kind := fault.KindOf(err); kind != fault.Malformed && kind != fault.Conflict && kind != fault.Usage {
			t.Errorf("kind %d: %v", kind, err)
		}
		return
	}
	defer s.Close()
	if _, err := s.Digest(); err != nil {
		t.Error(err)
	}
	c, h, w := s.Shape()
	if c*h*w > 1<<20 {
		return
	}
	dst := make([]float32, c*h*w)
	for i := range min(s.Len(), 64) {
		if err := s.Image(i, dst); err != nil {
			continue
		}
		for _, v := range dst {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				t.Fatalf("example %d holds %v", i, v)
			}
		}
	}
}

func FuzzIDX(f *testing.F) {
	images, labels := idxData(idxImages, make([]byte, 24), 2, 3, 4), idxData(idxLabels, []byte{0, 1}, 2)
	f.Add(images, labels, false)
	f.Add(gzipped(images), gzipped(labels), true)
	f.Add(idxData(idxImages, nil, 1<<31, 1<<31, 1<<31), labels, false)
	f.Fuzz(func(t *testing.T, images, labels []byte, packed bool) {
		folder, ending := t.TempDir(), ""
		if packed {
			ending = ".gz"
		}
		write(t, images, folder, "t10k-images-idx3-ubyte"+ending)
		write(t, labels, folder, "t10k-labels-idx1-ubyte"+ending)
		readAll(t, "idx:"+folder)
	})
}

func FuzzCIFAR10(f *testing.F) {
	f.Add(batch(1), []byte("a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n"))
	f.Add(batch(1, 9), []byte(nil))
	f.Fuzz(func(t *testing.T, data, names []byte) {
		folder := t.TempDir()
		write(t, data, folder, "test_batch.bin")
		write(t, names, folder, "batches.meta.txt")
		readAll(t, "cifar10:"+folder)
	})
}

func FuzzNPYSource(f *testing.F) {
	header := func(dtype npy.DType, shape ...int) []byte {
		h, err := npy.EncodeHeader(dtype, shape)
		if err != nil {
			f.Fatal(err)
		}
		return h
	}
	labels := append(header(npy.Uint8, 2), 0, 1)
	f.Add(append(header(npy.Uint8, 2, 3, 2, 2), make([]byte, 24)...), labels)
	f.Add(append(header(npy.Uint8, 2, 2, 2), make([]byte, 8)...), labels)
	f.Add(append(header(npy.Float32, 2, 1, 2, 2), make([]byte, 32)...), append(header(npy.Int64, 2), make([]byte, 16)...))
	f.Fuzz(func(t *testing.T, images, labels []byte) {
		folder := t.TempDir()
		readAll(t, "npy:"+write(t, images, folder, "images.npy")+","+write(t, labels, folder, "labels.npy"))
	})
}
