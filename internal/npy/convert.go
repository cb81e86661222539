package npy

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/x448/float16"
)

// decoder converts len(dst) elements from raw and returns how many fitted before the first that did not.
type decoder[T any] func(dst []T, raw []byte) int

// float32Decoder returns what reads elements of type d as float32, nil where that would lose information.
func float32Decoder(d DType) decoder[float32] {
	switch d {
	case Bool, Uint8:
		return each(1, func(b []byte) (float32, bool) { return float32(b[0]), true })
	case Int8:
		return each(1, func(b []byte) (float32, bool) { return float32(int8(b[0])), true })
	case Uint16:
		return each(2, func(b []byte) (float32, bool) { return float32(binary.LittleEndian.Uint16(b)), true })
	case Int16:
		return each(2, func(b []byte) (float32, bool) { return float32(int16(binary.LittleEndian.Uint16(b))), true })
	case Float16:
		return each(2, func(b []byte) (float32, bool) {
			return float16.Frombits(binary.LittleEndian.Uint16(b)).Float32(), true
		})
	case Float32:
		return each(4, func(b []byte) (float32, bool) {
			return math.Float32frombits(binary.LittleEndian.Uint32(b)), true
		})
	case Float64:
		return each(8, func(b []byte) (float32, bool) {
			v := math.Float64frombits(binary.LittleEndian.Uint64(b))
			narrow := float32(v)
			return narrow, !math.IsInf(float64(narrow), 0) || math.IsInf(v, 0)
		})
	}
	return nil
}

// int64Decoder returns what reads elements of type d as int64, nil for floats.
func int64Decoder(d DType) decoder[int64] {
	switch d {
	case Bool, Uint8:
		return each(1, func(b []byte) (int64, bool) { return int64(b[0]), true })
	case Int8:
		return each(1, func(b []byte) (int64, bool) { return int64(int8(b[0])), true })
	case Uint16:
		return each(2, func(b []byte) (int64, bool) { return int64(binary.LittleEndian.Uint16(b)), true })
	case Int16:
		return each(2, func(b []byte) (int64, bool) { return int64(int16(binary.LittleEndian.Uint16(b))), true })
	case Uint32:
		return each(4, func(b []byte) (int64, bool) { return int64(binary.LittleEndian.Uint32(b)), true })
	case Int32:
		return each(4, func(b []byte) (int64, bool) { return int64(int32(binary.LittleEndian.Uint32(b))), true })
	case Uint64, Int64:
		return each(8, func(b []byte) (int64, bool) {
			v := int64(binary.LittleEndian.Uint64(b))
			return v, d == Int64 || v >= 0
		})
	}
	return nil
}

// each makes a decoder out of the conversion of one element of size bytes.
func each[T any](size int, convert func(b []byte) (T, bool)) decoder[T] {
	return func(dst []T, raw []byte) int {
		for i := range dst {
			v, ok := convert(raw[i*size : (i+1)*size])
			if !ok {
				return i
			}
			dst[i] = v
		}
		return len(dst)
	}
}

// DecodeFloat32 fills dst from elements as they are in a file. raw holds len(dst) of them, in type Float16 or Float32.
func DecodeFloat32(dst []float32, d DType, raw []byte) { float32Decoder(d)(dst, raw) }

// AppendFloat32 appends values to b as float32 elements.
func AppendFloat32(b []byte, values []float32) []byte {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

// AppendFloat16 appends values to b as float16 elements, rounded to nearest, ties to even. NaN and infinity pass.
//
// Errors: RangeError for a finite value that float16 would store as infinity.
func AppendFloat16(b []byte, values []float32) ([]byte, error) {
	for i, v := range values {
		h := float16.Fromfloat32(v)
		if h.IsInf(0) && !math.IsInf(float64(v), 0) {
			return b, &RangeError{Index: i, Value: v}
		}
		b = binary.LittleEndian.AppendUint16(b, h.Bits())
	}
	return b, nil
}

// RangeError is a value that float16 cannot hold (beyond ±65,504).
type RangeError struct {
	Index int // position in the slice that was being stored
	Value float32
}

func (e *RangeError) Error() string {
	return fmt.Sprintf("value %g is beyond float16's range of ±65504", e.Value)
}

// FirstNotFinite returns the index of the first NaN or infinity in values, -1 if there is none.
func FirstNotFinite(values []float32) int {
	for i, v := range values {
		if math.Float32bits(v)&0x7f800000 == 0x7f800000 {
			return i
		}
	}
	return -1
}

// FirstNotFiniteRaw is FirstNotFinite for float16 or float32 elements as they are in a file.
func FirstNotFiniteRaw(d DType, raw []byte) int {
	switch d {
	case Float16:
		for i := 0; i+2 <= len(raw); i += 2 {
			if binary.LittleEndian.Uint16(raw[i:])&0x7c00 == 0x7c00 {
				return i / 2
			}
		}
	case Float32:
		for i := 0; i+4 <= len(raw); i += 4 {
			if binary.LittleEndian.Uint32(raw[i:])&0x7f800000 == 0x7f800000 {
				return i / 4
			}
		}
	}
	return -1
}
