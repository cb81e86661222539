package main

import (
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// gradientSweep is a sweep that walks down the columns of the gradient too.
type gradientSweep struct {
	*sweep
	g, gs, pg reg.GPPhysical
}

// beginGradient loads the arguments, the gradient's among them, and opens the loop over vectors of columns. It takes Beta's register.
func beginGradient(s isa, name string) *gradientSweep {
	w := &gradientSweep{g: reg.R13, gs: reg.R14, pg: reg.R12}
	w.sweep = begin(s, name, func(c reg.Register) {
		MOVQ(mem(c, columns.g), w.g)
		MOVQ(mem(c, columns.gStride), w.gs)
		SHLQ(imm(2), w.gs)
	})
	return w
}

// down emits body once per row, with pg on the row's vector of the gradient.
func (w *gradientSweep) down(pass string, body func()) {
	MOVQ(w.g, w.pg)
	w.sweep.down(pass, func() {
		body()
		ADDQ(w.gs, w.pg)
	})
}

// finish closes the loop over vectors of columns.
func (w *gradientSweep) finish() {
	ADDQ(imm(w.s.bytes()), w.g)
	w.sweep.finish()
}

// emitSoftmaxGradient writes X∘(G − Σ X∘G) down each column.
func emitSoftmaxGradient(s isa) {
	text(s, "softmaxGradient", "func(c *Columns)", softmaxGradientDoc)
	w := beginGradient(s, "softmaxGradient")
	sum, v := s.regs[0], s.regs[1]
	s.zero(sum)
	w.down("sum", func() {
		VMOVUPS(mem(w.px, 0), v)
		VFMADD231PS(mem(w.pg, 0), v, sum)
	})
	w.down("apply", func() {
		VMOVUPS(mem(w.pg, 0), v)
		VSUBPS(sum, v, v)
		VMULPS(mem(w.px, 0), v, v)
		VMOVUPS(v, mem(w.py, 0))
	})
	w.finish()
}

// emitLayerNormGradient writes (Γ∘G − mean(Γ∘G) − z·mean(Γ∘G∘z)) / std + Res down each column, z = (X − mean) / std.
func emitLayerNormGradient(s isa, t tables) {
	text(s, "layerNormGradient", "func(c *Columns)", layerNormGradientDoc)
	w := beginGradient(s, "layerNormGradient")
	n := norm{w: w.sweep, mean: s.regs[0], std: s.regs[1]}
	n.statistics()
	mean, inv, v, count := n.mean, n.std, s.regs[2], s.regs[3]
	shift, slope, u := s.regs[4], s.regs[5], s.regs[6]
	VMOVUPS(t.one, v)
	VDIVPS(inv, v, inv)
	// row puts Γ·G of the row at px into u and X − mean into v.
	row := func() {
		VBROADCASTSS(mem(w.gamma, 0), u)
		ADDQ(imm(4), w.gamma)
		VMULPS(mem(w.pg, 0), u, u)
		VMOVUPS(mem(w.px, 0), v)
		VSUBPS(mean, v, v)
	}
	s.zero(shift)
	s.zero(slope)
	MOVQ(mem(w.c, columns.gamma), w.gamma)
	w.down("sums", func() {
		row()
		VADDPS(u, shift, shift)
		VFMADD231PS(v, u, slope)
	})
	VMULPS(count, shift, shift)
	VMULPS(count, slope, slope)
	VMULPS(inv, slope, slope)
	VMULPS(inv, slope, slope) // mean(Γ∘G∘z) / std
	result := func() {
		row()
		VSUBPS(shift, u, u)
		VFNMADD231PS(v, slope, u)
	}
	plain, next := "layerNormGradient_"+s.name+"_plain", "layerNormGradient_"+s.name+"_next"
	MOVQ(mem(w.c, columns.gamma), w.gamma)
	res := w.c // from Y to Res: Columns is loaded anew afterwards
	CMPQ(mem(w.c, columns.resLen), imm(0))
	JE(operand.LabelRef(plain))
	MOVQ(mem(w.c, columns.y), w.n)
	MOVQ(mem(w.c, columns.res), res)
	SUBQ(w.n, res)
	w.down("add", func() {
		result()
		VFMADD213PS(memIndex(w.py, res, 1, 0), inv, u)
		VMOVUPS(u, mem(w.py, 0))
	})
	MOVQ(operand.NewParamAddr("c", 0), w.c)
	JMP(operand.LabelRef(next))
	Label(plain)
	w.down("apply", func() {
		result()
		VMULPS(inv, u, u)
		VMOVUPS(u, mem(w.py, 0))
	})
	Label(next)
	w.finish()
}

// emitGELUSlope writes GELU to Y and its derivative Φ(x) + x·φ(x) to G, over a contiguous run of whole vectors.
func emitGELUSlope(s isa, t tables) {
	text(s, "geluSlope", "func(c *Columns)", geluSlopeDoc)
	f := newGELU(s, t)
	lo, hi := s.regs[10], s.regs[11]
	VMOVUPS(t.geluLo, lo)
	VMOVUPS(t.geluHi, hi)
	w := beginGradient(s, "geluSlope")
	VMOVUPS(mem(w.x, 0), f.x)
	z, q := f.tail()
	h, slope, sign := s.regs[3], s.regs[5], s.regs[6]
	VMOVUPS(t.half, h)
	VSUBPS(q, h, slope) // erf(|x|/√2) / 2
	VMOVUPS(t.abs, sign)
	VANDNPS(f.x, sign, sign)
	VXORPS(sign, slope, slope)
	VADDPS(h, slope, slope) // Φ(x)
	near := h
	VMAXPS(f.x, lo, near) // NaN stays NaN, as in exp
	VMINPS(near, hi, near)
	VMULPS(near, f.y, f.y)
	VFMADD231PS(t.invSqrt2Pi, f.y, slope)
	VMOVUPS(slope, mem(w.g, 0))
	f.finish(z, q)
	VMOVUPS(f.y, mem(w.y, 0))
	w.finish()
}

// emitMultiply writes the products of X and G over a contiguous run of whole vectors.
func emitMultiply(s isa) {
	text(s, "multiply", "func(c *Columns)", multiplyDoc)
	w := beginGradient(s, "multiply")
	v := s.regs[0]
	VMOVUPS(mem(w.x, 0), v)
	VMULPS(mem(w.g, 0), v, v)
	VMOVUPS(v, mem(w.y, 0))
	w.finish()
}

// emitAffine writes Gamma[0]·X + Beta[0] + Res over a contiguous run of whole vectors.
func emitAffine(s isa) {
	text(s, "affine", "func(c *Columns)", affineDoc)
	gamma, beta, v := s.regs[0], s.regs[1], s.regs[2]
	w := begin(s, "affine", func(c reg.Register) {
		MOVQ(mem(c, columns.gamma), reg.R9)
		VBROADCASTSS(mem(reg.R9, 0), gamma)
		MOVQ(mem(c, columns.beta), reg.R9)
		VBROADCASTSS(mem(reg.R9, 0), beta)
		MOVQ(mem(c, columns.res), reg.R10)
		MOVQ(mem(c, columns.resLen), reg.R11)
	})
	plain := "affine_" + s.name + "_plain"
	VMOVUPS(mem(w.x, 0), v)
	VFMADD213PS(beta, gamma, v)
	TESTQ(reg.R11, reg.R11)
	JZ(operand.LabelRef(plain))
	VADDPS(mem(reg.R10, 0), v, v)
	ADDQ(imm(s.bytes()), reg.R10)
	Label(plain)
	VMOVUPS(v, mem(w.y, 0))
	w.finish()
}
