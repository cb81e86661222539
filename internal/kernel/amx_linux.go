//go:build linux && amd64

package kernel

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// permitTiles asks Linux to let this process use AMX's tiles, whose state it does not save otherwise; false where it does not.
//
// Source: Documentation/arch/x86/xstate.rst.
func permitTiles() bool {
	const (
		requestPermission = 0x1023 // ARCH_REQ_XCOMP_PERM
		tileData          = 18     // the state component
	)
	_, _, errno := syscall.RawSyscall(unix.SYS_ARCH_PRCTL, requestPermission, tileData, 0)
	return errno == 0
}
