package checkpoint

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestViewsGatherTheElementsThatTheirStridesName reads random views of a storage in which element i is i.
func TestViewsGatherTheElementsThatTheirStridesName(t *testing.T) {
	const stored, seed = 1 << 20, 1
	random := rand.New(rand.NewPCG(seed, 0))
	data := make([]byte, 0, 4*stored)
	for i := range stored { // all exact in float32
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(i)))
	}
	f := open(t, write(t, "w.pt", zipBytes(t, pickled(pDict(pText("w"), pTensor(pStorage("FloatStorage", "0", stored), 0, pInts(1), pInts(1)))), map[string][]byte{"data/0": data})))
	for range 300 {
		shape, strides, offset := randomView(random, stored)
		v, err := newTensor(F32, 4, shape, strides, offset, f.tensors[0].data)
		if err != nil {
			t.Fatalf("seed %d: shape %v, strides %v, offset %d: %v", seed, shape, strides, offset, err)
		}
		got, err := f.float32(v)
		if want := elements(shape, strides, offset); err != nil || !slices.Equal(got, want) {
			t.Fatalf("seed %d: shape %v, strides %v, offset %d: wrong elements (%v)", seed, shape, strides, offset, err)
		}
	}
}

// randomView draws a view of up to four dimensions that lies within stored elements: small or large, dense or sparse,
// with dimensions in any order and strides of 0 now and then.
func randomView(random *rand.Rand, stored int) (shape, strides []int, offset int) {
	left := stored - 1 // elements from the first to the last
	left >>= random.IntN(20)
	offset = random.IntN(stored - left)
	for range random.IntN(5) {
		stride := random.IntN(1 + left>>random.IntN(20))
		n := 1 + random.IntN(8)
		if random.IntN(3) == 0 {
			n = 1 + random.IntN(2000)
		}
		if stride > 0 {
			n = min(n, 1+left/stride)
		}
		if length, _ := checkedLen(append(slices.Clone(shape), n)); length > freeBytes/4 {
			break
		}
		left -= (n - 1) * stride
		at := random.IntN(len(shape) + 1)
		shape, strides = slices.Insert(shape, at, n), slices.Insert(strides, at, stride)
	}
	return append([]int{}, shape...), append([]int{}, strides...), offset
}

// elements are the numbers of a view's elements, row-major.
func elements(shape, strides []int, offset int) []float32 {
	if len(shape) == 0 {
		return []float32{float32(offset)}
	}
	var all []float32
	for i := range shape[0] {
		all = append(all, elements(shape[1:], strides[1:], offset+i*strides[0])...)
	}
	return all
}

// TestUntypedStoragesTakeTheirTensorsType covers what PyTorch 2 writes for the newer element types.
func TestUntypedStoragesTakeTheirTensorsType(t *testing.T) {
	tensor := func(dtype string, bytes, offset int64) string {
		return pCall(pGlobal("torch._utils", "_rebuild_tensor_v3"), pStorage("UntypedStorage", "0", bytes), pInt(offset), pInts(2), pInts(1), "\x89", "}", dtype)
	}
	data := float32Bytes([]float32{1, 2, 3})
	file := zipBytes(t, pickled(pDict(pText("w"), tensor(pGlobal("torch", "float32"), 12, 1), pText("n"), tensor(pGlobal("torch", "uint16"), 12, 2))), map[string][]byte{"data/0": data})
	f := open(t, write(t, "w.pt", file))
	if v, err := f.Float32("w"); err != nil || !slices.Equal(v, []float32{2, 3}) {
		t.Errorf("%v, %v", v, err)
	}
	if d, _ := f.DType("n"); d != "U16" || string(rawBytes(t, f, "n")) != string(data[4:8]) {
		t.Errorf("%s, %x", d, rawBytes(t, f, "n"))
	}
	for want, w := range map[string]string{
		"its element type is not known":       tensor(pGlobal("torch", "float4"), 12, 0),
		"is not whole elements of type F64":   tensor(pGlobal("torch", "float64"), 12, 0),
		"_rebuild_tensor_v3 has 6 arguments":  tensor("", 12, 0),
		"it starts at element 4, its storage": tensor(pGlobal("torch", "float32"), 12, 4),
	} {
		checkMalformed(t, readAll("w.pt", zipBytes(t, pickled(pDict(pText("w"), w)), map[string][]byte{"data/0": data})), "w.pt", want)
	}
}
