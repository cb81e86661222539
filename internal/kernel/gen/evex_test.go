package main

import "testing"

// The bytes are those of GNU as 2.40, read back with objdump -d.
func TestEVEXEncodingsAreThoseOfAnAssembler(t *testing.T) {
	for _, c := range []struct {
		i             evex
		rm, vvvv, dst byte
		want          [6]byte
	}{
		{vdpbf16ps, 24, 27, 0, [6]byte{0x62, 0x92, 0x26, 0x40, 0x52, 0xc0}},
		{vdpbf16ps, 5, 10, 23, [6]byte{0x62, 0xe2, 0x2e, 0x48, 0x52, 0xfd}},
		{vdpbf16ps, 31, 15, 8, [6]byte{0x62, 0x12, 0x06, 0x48, 0x52, 0xc7}},
		{vcvtne2ps2bf16, 3, 7, 30, [6]byte{0x62, 0x62, 0x47, 0x48, 0x72, 0xf3}},
		{vcvtne2ps2bf16, 16, 31, 12, [6]byte{0x62, 0x32, 0x07, 0x40, 0x72, 0xe0}},
		{vcvtne2ps2bf16, 0, 0, 0, [6]byte{0x62, 0xf2, 0x7f, 0x48, 0x72, 0xc0}},
	} {
		if got := c.i.encode(c.rm, c.vvvv, c.dst); got != c.want {
			t.Errorf("%s Z%d, Z%d, Z%d: % x, want % x", c.i.name, c.rm, c.vvvv, c.dst, got, c.want)
		}
	}
}
