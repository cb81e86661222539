package main

import (
	"fmt"
	"unsafe"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"coar/internal/kernel/abi"
)

// Field offsets of abi.Columns.
var columns struct {
	x, y, gamma, beta, rows, cols, xStride, yStride, eps, invRows, g, gStride, res, resLen int
}

func init() {
	var c abi.Columns
	columns.x, columns.y = int(unsafe.Offsetof(c.X)), int(unsafe.Offsetof(c.Y))
	columns.gamma, columns.beta = int(unsafe.Offsetof(c.Gamma)), int(unsafe.Offsetof(c.Beta))
	columns.rows, columns.cols = int(unsafe.Offsetof(c.Rows)), int(unsafe.Offsetof(c.Cols))
	columns.xStride, columns.yStride = int(unsafe.Offsetof(c.XStride)), int(unsafe.Offsetof(c.YStride))
	columns.eps, columns.invRows = int(unsafe.Offsetof(c.Eps)), int(unsafe.Offsetof(c.InvRows))
	columns.g, columns.gStride = int(unsafe.Offsetof(c.G)), int(unsafe.Offsetof(c.GStride))
	columns.res, columns.resLen = int(unsafe.Offsetof(c.Res)), int(unsafe.Offsetof(c.Res))+int(unsafe.Sizeof(uintptr(0)))
}

// sweep is the register set of a kernel that walks down the columns of a matrix, one vector of columns at a time.
type sweep struct {
	s                        isa
	name                     string
	c, x, y, xs, ys, rows, n reg.GPPhysical
	cols, px, py             reg.GPPhysical
	gamma, beta              reg.GPPhysical
	start, end               string
}

// begin loads the arguments, with load those that not every kernel has, and opens the loop over vectors of columns.
func begin(s isa, name string, load ...func(c reg.Register)) *sweep {
	w := &sweep{s: s, name: name, c: reg.R15, x: reg.RAX, y: reg.RBX, xs: reg.RCX, ys: reg.RDX, rows: reg.RSI, n: reg.RDI,
		cols: reg.R8, px: reg.R9, py: reg.R10, gamma: reg.R11, beta: reg.R12}
	MOVQ(operand.NewParamAddr("c", 0), w.c)
	MOVQ(mem(w.c, columns.x), w.x)
	MOVQ(mem(w.c, columns.y), w.y)
	MOVQ(mem(w.c, columns.xStride), w.xs)
	MOVQ(mem(w.c, columns.yStride), w.ys)
	SHLQ(imm(2), w.xs)
	SHLQ(imm(2), w.ys)
	MOVQ(mem(w.c, columns.rows), w.rows)
	MOVQ(mem(w.c, columns.cols), w.cols)
	for _, f := range load {
		f(w.c)
	}
	w.start, w.end = fmt.Sprintf("%s_%s_columns", name, s.name), fmt.Sprintf("%s_%s_done", name, s.name)
	Label(w.start)
	CMPQ(w.cols, imm(0))
	JLE(operand.LabelRef(w.end))
	return w
}

// down emits body once per row, with px and py on the row's vector.
func (w *sweep) down(pass string, body func()) {
	top := fmt.Sprintf("%s_%s_%s", w.name, w.s.name, pass)
	MOVQ(w.x, w.px)
	MOVQ(w.y, w.py)
	MOVQ(w.rows, w.n)
	Label(top)
	body()
	ADDQ(w.xs, w.px)
	ADDQ(w.ys, w.py)
	DECQ(w.n)
	JNZ(operand.LabelRef(top))
}

// finish closes the loop over vectors of columns.
func (w *sweep) finish() {
	ADDQ(imm(w.s.bytes()), w.x)
	ADDQ(imm(w.s.bytes()), w.y)
	SUBQ(imm(w.s.lanes), w.cols)
	JMP(operand.LabelRef(w.start))
	Label(w.end)
	VZEROUPPER()
	RET()
}

// emitSoftmax writes the softmax down each column.
func emitSoftmax(s isa, t tables) {
	text(s, "softmax", "func(c *Columns)", softmaxDoc)
	e := newExp(s, t, 8)
	w := begin(s, "softmax")
	top, sum, v := s.regs[0], s.regs[1], s.regs[2]
	VMOVUPS(mem(w.x, 0), top)
	w.down("max", func() { VMAXPS(mem(w.px, 0), top, top) })
	s.zero(sum)
	w.down("exp", func() {
		VMOVUPS(mem(w.px, 0), v)
		VSUBPS(top, v, v)
		e.emit(v, s.regs[3], s.regs[4])
		VADDPS(v, sum, sum)
		VMOVUPS(v, mem(w.py, 0))
	})
	VMOVUPS(t.one, v)
	VDIVPS(sum, v, sum)
	w.down("scale", func() {
		VMULPS(mem(w.py, 0), sum, v)
		VMOVUPS(v, mem(w.py, 0))
	})
	w.finish()
}

// norm is the second half of a layer norm: the statistics of a vector of columns and what normalises them.
type norm struct {
	w         *sweep
	mean, std reg.VecPhysical
	g, b      reg.VecPhysical
}

// beginNorm opens the loop over vectors of columns and computes their statistics in two passes.
func beginNorm(s isa, name string) norm {
	w := begin(s, name)
	n := norm{w, s.regs[0], s.regs[1], s.regs[4], s.regs[5]}
	n.statistics()
	MOVQ(mem(w.c, columns.gamma), w.gamma)
	MOVQ(mem(w.c, columns.beta), w.beta)
	return n
}

// statistics puts mean and standard deviation of the columns into their registers; it takes the registers 2 and 3.
func (n norm) statistics() {
	w, mean, ss, v, inv := n.w, n.mean, n.std, n.w.s.regs[2], n.w.s.regs[3]
	VBROADCASTSS(mem(w.c, columns.invRows), inv)
	w.s.zero(mean)
	w.down("mean", func() { VADDPS(mem(w.px, 0), mean, mean) })
	VMULPS(inv, mean, mean)
	w.s.zero(ss)
	w.down("variance", func() {
		VMOVUPS(mem(w.px, 0), v)
		VSUBPS(mean, v, v)
		VFMADD231PS(v, v, ss)
	})
	VMULPS(inv, ss, ss)
	VBROADCASTSS(mem(w.c, columns.eps), v)
	VADDPS(v, ss, ss)
	VSQRTPS(ss, ss)
}

// row puts the normalised row at px into v and moves Gamma and Beta on.
func (n norm) row(v reg.VecPhysical) {
	VMOVUPS(mem(n.w.px, 0), v)
	VSUBPS(n.mean, v, v)
	VDIVPS(n.std, v, v)
	VBROADCASTSS(mem(n.w.gamma, 0), n.g)
	VBROADCASTSS(mem(n.w.beta, 0), n.b)
	VFMADD213PS(n.b, n.g, v)
	ADDQ(imm(4), n.w.gamma)
	ADDQ(imm(4), n.w.beta)
}

// emitLayerNorm writes the two-pass layer norm down each column.
func emitLayerNorm(s isa) {
	text(s, "layerNorm", "func(c *Columns)", layerNormDoc)
	n := beginNorm(s, "layerNorm")
	v := s.regs[2]
	n.w.down("apply", func() {
		n.row(v)
		VMOVUPS(v, mem(n.w.py, 0))
	})
	n.w.finish()
}

// gelu is the exact (erf) GELU of a vector.
type gelu struct {
	s    isa
	t    tables
	e    exp
	x, y reg.VecPhysical // argument and result
}

// newGELU takes the registers 0 to 9.
func newGELU(s isa, t tables) gelu { return gelu{s, t, newExp(s, t, 8), s.regs[0], s.regs[4]} }

// emit puts the GELU of x into y.
func (g gelu) emit() {
	g.finish(g.tail())
}

// finish makes the result of what tail returned.
func (g gelu) finish(z, q reg.VecPhysical) {
	g.s.zero(g.y)
	VMAXPS(g.x, g.y, g.y)
	VFNMADD231PS(z, q, g.y) // max(x, 0) − |x|·q
}

// tail returns registers with |x| and (1 − erf(|x|/√2))/2, and leaves exp(−x²/2) in y.
func (g gelu) tail() (z, q reg.VecPhysical) {
	s, t, x, p := g.s, g.t, g.x, g.y
	z, q = s.regs[1], s.regs[2]
	tt := s.regs[3]
	VANDPS(t.abs, x, z)
	VMOVUPS(t.one, tt)
	VMOVAPS(tt, p)
	VFMADD231PS(t.erfP, z, p) // 1 + p·|x|/√2
	VDIVPS(p, tt, tt)
	VMOVUPS(t.erfC[0], q)
	for _, c := range t.erfC[1:] {
		VFMADD213PS(c, tt, q)
	}
	VMULPS(tt, q, q)
	VMULPS(x, x, p)
	VMULPS(t.negHalf, p, p)
	g.e.emit(p, s.regs[5], s.regs[6])
	VMULPS(p, q, q)
	return z, q
}

// emitGELU writes GELU over a contiguous run of whole vectors.
func emitGELU(s isa, t tables) {
	text(s, "gelu", "func(c *Columns)", geluDoc)
	g := newGELU(s, t)
	w := begin(s, "gelu")
	VMOVUPS(mem(w.x, 0), g.x)
	g.emit()
	VMOVUPS(g.y, mem(w.y, 0))
	w.finish()
}
