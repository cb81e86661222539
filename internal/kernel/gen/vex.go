package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// vex is an instruction over the tiles T0 to T7 of AMX, opcode map 0F38 and W0, that Go's assembler does not know.
type vex struct {
	name   string
	prefix byte // the pp field: 0 for none, 2 for F3, 3 for F2
	opcode byte
}

// Operands are named as in Go's assembler, sources first.
var (
	ldtilecfg   = vex{"LDTILECFG", 0, 0x49}   // (base)
	tilerelease = vex{"TILERELEASE", 0, 0x49} // no operands
	tilezero    = vex{"TILEZERO", 3, 0x49}    // (dst)
	tileloadd   = vex{"TILELOADD", 3, 0x4b}   // (base, stride, dst): rows of 64 bytes or fewer, stride bytes apart
	tilestored  = vex{"TILESTORED", 2, 0x4b}  // (src, base, stride)
	tdpbf16ps   = vex{"TDPBF16PS", 2, 0x5c}   // (b, a, acc): acc += a·b over both halves of each cell
)

// head returns the prefix's bytes and the opcode; index and base are the registers of a memory operand, or 0.
//
// Source: Intel SDM, volume 2, section 2.3; register bits and vvvv stand inverted in the prefix.
func (i vex) head(vvvv, index, base byte) []byte {
	return []byte{0xc4, 1<<7 | (^index>>3&1)<<6 | (^base>>3&1)<<5 | 2, ^vvvv&15<<3 | i.prefix, i.opcode}
}

// registers encodes an instruction over tiles, reg standing in the modrm byte's middle.
func (i vex) registers(reg, rm, vvvv byte) []byte {
	return append(i.head(vvvv, 0, 0), 3<<6|reg<<3|rm)
}

// rows encodes an instruction over a tile and memory at base with a stride.
func (i vex) rows(tile, base, stride byte) []byte {
	return append(i.head(0, stride, base), tile<<3|4, stride&7<<3|base&7)
}

// at encodes an instruction over memory at base.
func (i vex) at(base byte) []byte { return append(i.head(0, 0, base), base&7) }

// The names of what is encoded come before their bytes, as comments.

func loadConfig(base reg.GPPhysical) {
	Comment(fmt.Sprintf("%s (%s)", ldtilecfg.name, base.Asm()))
	data(ldtilecfg.at(number(base)))
}

func releaseTiles() {
	Comment(tilerelease.name)
	data(tilerelease.registers(0, 0, 0))
}

func zeroTile(t byte) {
	Comment(fmt.Sprintf("%s T%d", tilezero.name, t))
	data(tilezero.registers(t, 0, 0))
}

func loadTile(base, stride reg.GPPhysical, t byte) {
	Comment(fmt.Sprintf("%s (%s)(%s*1), T%d", tileloadd.name, base.Asm(), stride.Asm(), t))
	data(tileloadd.rows(t, number(base), number(stride)))
}

func storeTile(t byte, base, stride reg.GPPhysical) {
	Comment(fmt.Sprintf("%s T%d, (%s)(%s*1)", tilestored.name, t, base.Asm(), stride.Asm()))
	data(tilestored.rows(t, number(base), number(stride)))
}

func multiplyTiles(b, a, acc byte) {
	Comment(fmt.Sprintf("%s T%d, T%d, T%d", tdpbf16ps.name, b, a, acc))
	data(tdpbf16ps.registers(acc, a, b))
}

// data emits the bytes of one instruction, the first four as one word.
func data(code []byte) {
	emit := func(opcode string, op operand.Op) {
		Instruction(&ir.Instruction{Opcode: opcode, Operands: []operand.Op{op}, ISA: []string{"AMX"}})
	}
	emit("LONG", operand.U32(uint32(code[0])|uint32(code[1])<<8|uint32(code[2])<<16|uint32(code[3])<<24))
	for _, b := range code[4:] {
		emit("BYTE", operand.U8(b))
	}
}
