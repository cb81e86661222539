//go:build !amd64 && !arm64

package kernel

// assembled returns nothing: only amd64 and arm64 have assembly kernels.
func assembled() []*Set { return nil }
