// Package npy reads and writes numpy's .npy files, strictly and within bounded memory.
//
// Reading: Open (or NewFile over any io.ReaderAt) parses and checks the header, and requires that the file holds exactly
// the bytes that the header promises; nothing is allocated from a claimed shape. ReadRows and its typed variants then
// read ranges of rows (dimension 0) into the caller's slices, ReadFloat32 and its siblings ranges of elements.
//
// Writing: Create (or NewWriter over any Target) writes the header and sets the file's full size, sparse where the file
// system allows; WriteRows and its typed variants fill rows in any order; Grow adds rows by rewriting the header in place.
// Headers are byte for byte those of numpy.save, with its room for dimension 0 to grow.
//
// Supported: format versions 1, 2 and 3, C order, little-endian bool, integers of 8 to 64 bits, floats of 16 to 64 bits.
// Everything else is refused with an error of kind fault.Malformed that names the file and what to do.
//
// Source: numpy/lib/format.py, "NPY format", NEP 1.
package npy
