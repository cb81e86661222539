package main

import (
	"bytes"
	"testing"
)

// The bytes are those of GNU as 2.40, read back with objdump -d.
func TestVEXEncodingsAreThoseOfAnAssembler(t *testing.T) {
	for _, c := range []struct {
		text      string
		got, want []byte
	}{
		{"ldtilecfg (%rax)", ldtilecfg.at(0), []byte{0xc4, 0xe2, 0x78, 0x49, 0x00}},
		{"ldtilecfg (%r9)", ldtilecfg.at(9), []byte{0xc4, 0xc2, 0x78, 0x49, 0x01}},
		{"tileloadd (%r10,%r11,1), %tmm6", tileloadd.rows(6, 10, 11), []byte{0xc4, 0x82, 0x7b, 0x4b, 0x34, 0x1a}},
		{"tileloadd (%rsi,%r12,1), %tmm4", tileloadd.rows(4, 6, 12), []byte{0xc4, 0xa2, 0x7b, 0x4b, 0x24, 0x26}},
		{"tilestored %tmm3, (%rax,%rdx,1)", tilestored.rows(3, 0, 2), []byte{0xc4, 0xe2, 0x7a, 0x4b, 0x1c, 0x10}},
		{"tdpbf16ps %tmm6, %tmm4, %tmm1", tdpbf16ps.registers(1, 4, 6), []byte{0xc4, 0xe2, 0x4a, 0x5c, 0xcc}},
		{"tilezero %tmm5", tilezero.registers(5, 0, 0), []byte{0xc4, 0xe2, 0x7b, 0x49, 0xe8}},
		{"tilerelease", tilerelease.registers(0, 0, 0), []byte{0xc4, 0xe2, 0x78, 0x49, 0xc0}},
	} {
		if !bytes.Equal(c.got, c.want) {
			t.Errorf("%s: % x, want % x", c.text, c.got, c.want)
		}
	}
}
