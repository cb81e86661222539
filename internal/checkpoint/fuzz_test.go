package checkpoint

import (
	"testing"
)

// FuzzSafetensors reads arbitrary bytes as a checkpoint: errors are well, panics and values that are not finite are not.
func FuzzSafetensors(f *testing.F) {
	f.Add(goldenBytes(f, "mixed.safetensors"))
	f.Add(safetensorsBytes(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, make([]byte, 8)))
	f.Add(safetensorsBytes(`{"__metadata__":{"format":"pt"},"a":{"dtype":"BF16","shape":[],"data_offsets":[0,2]}}`, make([]byte, 2)))
	f.Fuzz(func(t *testing.T, b []byte) { checkReads(t, "fuzz", b) })
}

// FuzzPyTorch is FuzzSafetensors for PyTorch's formats: bytes taken as a whole file, and, as an archive's checksums
// would stop most of them, as the pickle of one.
func FuzzPyTorch(f *testing.F) {
	for name, g := range goldens(f) {
		if g.Format != "safetensors" {
			f.Add(goldenBytes(f, name))
		}
	}
	f.Add(pickled(pDict(pText("w"), pTensor(pStorage("FloatStorage", "0", 6), 0, pInts(3, 2), pInts(1, 3)))))
	f.Add(pickled(moduleBomb(2, 2)))
	f.Fuzz(func(t *testing.T, b []byte) {
		checkReads(t, "fuzz", b)
		checkReads(t, "fuzz", zipBytes(t, b, map[string][]byte{"data/0": make([]byte, 24), "data/1": make([]byte, 8)}))
	})
}
