//go:build !linux && amd64

package kernel

// permitTiles is false where the operating system is not known to save the state of AMX's tiles.
func permitTiles() bool { return false }
