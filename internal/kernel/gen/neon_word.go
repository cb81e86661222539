package main

import "fmt"

// word is an instruction that Go's assembler lacks: its code, and its text as other assemblers take it (destination first).
//
// Source: Arm Architecture Reference Manual for A-profile, section C7.2, the encodings of 4S arrangement.
type word struct {
	code uint32
	text string
}

// binary is an operation on two vectors, lane by lane; y is the second operand.
func binary(name string, code uint32, y, x, d vec) word {
	return word{code | uint32(y)<<16 | uint32(x)<<5 | uint32(d), fmt.Sprintf("%s v%d.4s, v%d.4s, v%d.4s", name, d, x, y)}
}

// unary is an operation on one vector, lane by lane.
func unary(name string, code uint32, x, d vec) word {
	return word{code | uint32(x)<<5 | uint32(d), fmt.Sprintf("%s v%d.4s, v%d.4s", name, d, x)}
}

func fadd(y, x, d vec) word { return binary("fadd", 0x4e20d400, y, x, d) }
func fsub(y, x, d vec) word { return binary("fsub", 0x4ea0d400, y, x, d) }
func fmul(y, x, d vec) word { return binary("fmul", 0x6e20dc00, y, x, d) }
func fdiv(y, x, d vec) word { return binary("fdiv", 0x6e20fc00, y, x, d) }

// fmax and fmin return NaN where either operand is NaN.
func fmax(y, x, d vec) word { return binary("fmax", 0x4e20f400, y, x, d) }
func fmin(y, x, d vec) word { return binary("fmin", 0x4ea0f400, y, x, d) }

func fabs(x, d vec) word  { return unary("fabs", 0x4ea0f800, x, d) }
func fsqrt(x, d vec) word { return unary("fsqrt", 0x6ea1f800, x, d) }

// frintn rounds to the nearest integer, ties to even; fcvtzs converts to int32, towards zero, and NaN to 0.
func frintn(x, d vec) word { return unary("frintn", 0x4e218800, x, d) }
func fcvtzs(x, d vec) word { return unary("fcvtzs", 0x4ea1b800, x, d) }

// byLane is an operation on a vector and one lane of y.
func byLane(name string, code uint32, y vec, lane int, x, d vec) word {
	code |= uint32(lane&1)<<21 | uint32(lane>>1)<<11
	return word{code | uint32(y)<<16 | uint32(x)<<5 | uint32(d), fmt.Sprintf("%s v%d.4s, v%d.4s, v%d.s[%d]", name, d, x, y, lane)}
}

// fmulLane is d = x times a lane of y; fmlaLane adds that to d and fmlsLane subtracts it, rounding once.
func fmulLane(y vec, lane int, x, d vec) word { return byLane("fmul", 0x4f809000, y, lane, x, d) }
func fmlaLane(y vec, lane int, x, d vec) word { return byLane("fmla", 0x4f801000, y, lane, x, d) }
func fmlsLane(y vec, lane int, x, d vec) word { return byLane("fmls", 0x4f805000, y, lane, x, d) }

// ldrIndexed loads the vector index bytes beyond base.
func ldrIndexed(base, index gp, d vec) word {
	return word{0x3ce06800 | uint32(index)<<16 | uint32(base)<<5 | uint32(d), fmt.Sprintf("ldr q%d, [x%d, x%d]", d, base, index)}
}
