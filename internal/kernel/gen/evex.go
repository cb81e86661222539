package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// evex is an instruction over three 512-bit registers, opcode map 0F38 and W0, that Go's assembler does not know.
type evex struct {
	name   string
	prefix byte // the pp field: 2 for F3, 3 for F2
	opcode byte
}

// Both belong to AVX512_BF16. Operands are named as in Go's assembler, sources first.
var (
	vdpbf16ps      = evex{"VDPBF16PS", 2, 0x52}      // (b, a, acc): acc += a·b over both halves of each cell
	vcvtne2ps2bf16 = evex{"VCVTNE2PS2BF16", 3, 0x72} // (lo, hi, dst): the 32 roundings of lo's lanes, then hi's
)

// encode returns the bytes of i with rm and vvvv as sources.
//
// Source: Intel SDM, volume 2, section 2.7; register bits stand inverted in the prefix.
func (i evex) encode(rm, vvvv, dst byte) [6]byte {
	inverted := func(reg, bit byte) byte { return ^reg >> bit & 1 }
	return [6]byte{
		0x62,
		inverted(dst, 3)<<7 | inverted(rm, 4)<<6 | inverted(rm, 3)<<5 | inverted(dst, 4)<<4 | 2,
		^vvvv&15<<3 | 1<<2 | i.prefix,
		2<<5 | inverted(vvvv, 4)<<3, // 2: 512 bits
		i.opcode,
		3<<6 | dst&7<<3 | rm&7, // 3: rm is a register
	}
}

// emit writes the instruction as data. The comment that says what it is has to come from the caller, who may describe several.
func (i evex) emit(rm, vvvv, dst reg.VecPhysical) {
	b := i.encode(number(rm), number(vvvv), number(dst))
	long := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
	Instruction(&ir.Instruction{Opcode: "LONG", Operands: []operand.Op{operand.U32(long)}, ISA: []string{"AVX512_BF16"}})
	Instruction(&ir.Instruction{Opcode: "WORD", Operands: []operand.Op{operand.U16(uint16(b[4]) | uint16(b[5])<<8)}})
}

// text is how an assembler that knows the instruction would write it.
func (i evex) text(rm, vvvv, dst reg.VecPhysical) string {
	return fmt.Sprintf("%s %s, %s, %s", i.name, rm.Asm(), vvvv.Asm(), dst.Asm())
}

func number(r reg.Physical) byte { return byte(r.PhysicalIndex()) }
