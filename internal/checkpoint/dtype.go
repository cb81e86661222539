package checkpoint

import (
	"encoding/binary"
	"math"

	"github.com/x448/float16"
)

// DType is a tensor's element type, under the name that safetensors gives it.
type DType string

// The element types that Float32 reads. Files may hold others (integers, bool, 8-bit floats, complex64), which keep
// their bytes but are not converted.
const (
	F64  DType = "F64"
	F32  DType = "F32"
	F16  DType = "F16"
	BF16 DType = "BF16"
)

// dtypeSizes is the size in bytes of the element types that safetensors knows.
var dtypeSizes = map[DType]int{
	F64: 8, F32: 4, F16: 2, BF16: 2,
	"I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1,
	"F8_E4M3": 1, "F8_E5M2": 1, "C64": 8,
}

// isInteger reports whether the type holds whole numbers, bool not included.
func (d DType) isInteger() bool { return d != "" && (d[0] == 'I' || d[0] == 'U') }

// decoder sets dst to the elements of raw, which holds exactly as many, little-endian.
type decoder func(dst []float32, raw []byte)

// float32Decoder returns nil for a type that is not converted. A float64 beyond float32's range becomes infinite.
func float32Decoder(d DType) decoder {
	switch d {
	case F64:
		return func(dst []float32, raw []byte) {
			for i := range dst {
				dst[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:])))
			}
		}
	case F32:
		return func(dst []float32, raw []byte) {
			for i := range dst {
				dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
			}
		}
	case F16:
		return func(dst []float32, raw []byte) {
			for i := range dst {
				dst[i] = float16.Frombits(binary.LittleEndian.Uint16(raw[2*i:])).Float32()
			}
		}
	case BF16:
		return func(dst []float32, raw []byte) {
			for i := range dst {
				dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(raw[2*i:])) << 16)
			}
		}
	}
	return nil
}

// firstNotFinite returns the index of the first NaN or infinity, len(values) if there is none.
func firstNotFinite(values []float32) int {
	for i, v := range values {
		if math.Float32bits(v)&0x7f800000 == 0x7f800000 {
			return i
		}
	}
	return len(values)
}

// float64At is element i of raw, for an error message.
func float64At(d DType, raw []byte, i int) float64 {
	if d == F64 {
		return math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:]))
	}
	var v [1]float32
	size := dtypeSizes[d]
	float32Decoder(d)(v[:], raw[size*i:size*(i+1)])
	return float64(v[0])
}
