package npy

// DType is an element type that a .npy file can hold here. The zero value is none.
type DType uint8

// The supported element types, all little-endian.
const (
	Bool DType = iota + 1
	Int8
	Uint8
	Int16
	Uint16
	Int32
	Uint32
	Int64
	Uint64
	Float16
	Float32
	Float64
)

// dtypes gives each DType its numpy descriptor, its size in bytes, and the name a person would use.
var dtypes = [...]struct {
	descr string
	size  int
	name  string
}{
	Bool:    {"|b1", 1, "bool"},
	Int8:    {"|i1", 1, "int8"},
	Uint8:   {"|u1", 1, "uint8"},
	Int16:   {"<i2", 2, "int16"},
	Uint16:  {"<u2", 2, "uint16"},
	Int32:   {"<i4", 4, "int32"},
	Uint32:  {"<u4", 4, "uint32"},
	Int64:   {"<i8", 8, "int64"},
	Uint64:  {"<u8", 8, "uint64"},
	Float16: {"<f2", 2, "float16"},
	Float32: {"<f4", 4, "float32"},
	Float64: {"<f8", 8, "float64"},
}

// Valid reports whether d is one of the constants above.
func (d DType) Valid() bool { return d >= Bool && d <= Float64 }

// Size is the number of bytes of one element, 0 for an invalid type.
func (d DType) Size() int {
	if !d.Valid() {
		return 0
	}
	return dtypes[d].size
}

// String is numpy's name of the type, such as "float32".
func (d DType) String() string {
	if !d.Valid() {
		return "invalid"
	}
	return dtypes[d].name
}

// Descr is the type as .npy headers spell it, such as "<f4".
func (d DType) Descr() string {
	if !d.Valid() {
		return ""
	}
	return dtypes[d].descr
}

// IsFloat reports whether d is a floating-point type.
func (d DType) IsFloat() bool { return d >= Float16 && d <= Float64 }

// IsInteger reports whether d is a signed or unsigned integer type; bool is not one.
func (d DType) IsInteger() bool { return d >= Int8 && d <= Uint64 }

// dtypeOf finds the type that a header's descr names.
func dtypeOf(descr string) (DType, bool) {
	for d := Bool; d.Valid(); d++ {
		if dtypes[d].descr == descr {
			return d, true
		}
	}
	return 0, false
}
