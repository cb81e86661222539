package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// tables are the read-only constants, each replicated over the widest vector.
type tables struct {
	lanes               operand.Mem // eight all-ones lanes, then eight zero lanes
	bits                operand.Mem // lane i of eight has bit i
	interleave          operand.Mem // 16-bit indices that bring half i of a register's two halves together in lane i
	expLo, expHi        operand.Mem
	log2e, ln2Hi, ln2Lo operand.Mem
	exponentBias        operand.Mem // 127 as int32
	one, abs, negHalf   operand.Mem
	half, invSqrt2Pi    operand.Mem
	geluLo, geluHi      operand.Mem
	expC                []operand.Mem // polynomial of e^r, highest power first
	erfP                operand.Mem
	erfC                []operand.Mem // half the polynomial of Abramowitz and Stegun 7.1.26, highest power first
}

// ExpLo and ExpHi bound the argument of exp: below, the result is the smallest normal number; above, it stays finite.
const (
	expLo = -87.33654
	expHi = 88.37626
)

// e^x = 2^n·e^r with n = round(x·log₂e) and r = x − n·ln 2, ln 2 in two parts so that n times the first is exact.
const (
	ln2Hi = 0.693359375
	ln2Lo = -2.12194440e-4
)

// erfP is p of Abramowitz and Stegun 7.1.26, for an argument that is not yet divided by √2.
const erfP = 0.3275911 / math.Sqrt2

// geluEnd bounds the argument of GELU's derivative: beyond ±geluEnd it is 0 or 1 to float32's precision, and ±geluEnd's own
// exp(−x²/2) is a normal number.
const geluEnd = 13

// Polynomials, highest power first: (e^r − 1 − r)/r², and half of Abramowitz and Stegun 7.1.26.
var (
	expPoly = []float32{1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1}
	erfPoly = []float32{1.061405429 / 2, -1.453152027 / 2, 1.421413741 / 2, -0.284496736 / 2, 0.254829592 / 2}
)

func emitTables() tables {
	var t tables
	t.lanes = GLOBL("laneMask", 8|16) // RODATA|NOPTR
	for i := range 16 {
		v := uint32(0)
		if i < 8 {
			v = ^uint32(0)
		}
		DATA(4*i, operand.U32(v))
	}
	t.bits = GLOBL("laneBits", 8|16)
	for i := range 8 {
		DATA(4*i, operand.U32(uint32(1)<<i))
	}
	t.interleave = GLOBL("interleave", 8|16)
	for i := range 16 {
		DATA(4*i, operand.U32(i|(16+i)<<16))
	}
	t.expLo, t.expHi = splat("expLo", bits(expLo)), splat("expHi", bits(expHi))
	t.log2e = splat("log2e", bits(math.Log2E))
	t.ln2Hi, t.ln2Lo = splat("ln2Hi", bits(ln2Hi)), splat("ln2Lo", bits(ln2Lo))
	t.exponentBias = splat("exponentBias", 127)
	t.one, t.abs, t.negHalf = splat("one", bits(1)), splat("abs", 0x7fffffff), splat("negHalf", bits(-0.5))
	t.half, t.invSqrt2Pi = splat("half", bits(.5)), splat("invSqrt2Pi", bits(1/(math.Sqrt2*math.SqrtPi)))
	t.geluLo, t.geluHi = splat("geluLo", bits(-geluEnd)), splat("geluHi", bits(geluEnd))
	for i, c := range expPoly {
		t.expC = append(t.expC, splat("expC"+string(rune('0'+i)), bits(c)))
	}
	t.erfP = splat("erfP", bits(erfP))
	for i, c := range erfPoly {
		t.erfC = append(t.erfC, splat("erfC"+string(rune('0'+i)), bits(c)))
	}
	return t
}

func bits(f float32) uint32 { return math.Float32bits(f) }

func splat(name string, v uint32) operand.Mem {
	m := GLOBL(name, 8|16)
	for i := range 16 {
		DATA(4*i, operand.U32(v))
	}
	return m
}

// exp emits e^x in vector code: Cody–Waite reduction and the Cephes polynomial, within 2 ulp on [expLo, expHi].
type exp struct {
	s      isa
	t      tables
	lo, hi reg.VecPhysical
}

// newExp loads the bounds into the registers from first on; they must stay untouched while exp is in use.
func newExp(s isa, t tables, first int) exp {
	e := exp{s, t, s.regs[first], s.regs[first+1]}
	VMOVUPS(t.expLo, e.lo)
	VMOVUPS(t.expHi, e.hi)
	return e
}

// emit replaces x by e^x. NaN stays NaN: MAXPS and MINPS return their second source then, and x is that source.
func (e exp) emit(x, n, p reg.VecPhysical) {
	VMAXPS(x, e.lo, x)
	VMINPS(x, e.hi, x)
	VMULPS(e.t.log2e, x, n)
	if e.s.wide() {
		VRNDSCALEPS(imm(8), n, n)
	} else {
		VROUNDPS(imm(8), n, n)
	}
	VFNMADD231PS(e.t.ln2Hi, n, x)
	VFNMADD231PS(e.t.ln2Lo, n, x)
	VMOVUPS(e.t.expC[0], p)
	for _, c := range e.t.expC[1:] {
		VFMADD213PS(c, x, p)
	}
	VMULPS(x, p, p)
	VFMADD213PS(x, x, p) // p·x² + x
	VADDPS(e.t.one, p, p)
	VCVTPS2DQ(n, n)
	VPADDD(e.t.exponentBias, n, n)
	VPSLLD(imm(23), n, n)
	VMULPS(n, p, x)
}
