//go:build !amd64

package kernel

// matrixUnits returns nothing: only AMX is known.
func matrixUnits() []*Set { return nil }
