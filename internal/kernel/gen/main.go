// Command gen writes the assembly kernels of package kernel.
//
//	go run ./internal/kernel/gen -out internal/kernel/kernels_amd64.s -stubs internal/kernel/kernels_amd64.go -pkg kernel
//	go run ./internal/kernel/gen -neon internal/kernel/kernels_arm64
//
// avo writes the first pair of files. It knows amd64 only, so the second comes from the emitter in neon_asm.go.
package main

import (
	"flag"
	"fmt"
	"log"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// isa is one vector instruction set as the emitters see it.
type isa struct {
	name    string
	lanes   int // float32 per vector
	maxRows int // rows of the largest tile
	maxVecs int // vectors of the largest tile
	regs    []reg.VecPhysical
	bf16    bool // tiles take cells
}

var (
	avx512 = isa{"AVX512", 16, 8, 3, []reg.VecPhysical{
		reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5, reg.Z6, reg.Z7, reg.Z8, reg.Z9, reg.Z10, reg.Z11, reg.Z12, reg.Z13, reg.Z14, reg.Z15,
		reg.Z16, reg.Z17, reg.Z18, reg.Z19, reg.Z20, reg.Z21, reg.Z22, reg.Z23, reg.Z24, reg.Z25, reg.Z26, reg.Z27, reg.Z28, reg.Z29, reg.Z30, reg.Z31}, false}
	avx2 = isa{"AVX2", 8, 6, 2, []reg.VecPhysical{
		reg.Y0, reg.Y1, reg.Y2, reg.Y3, reg.Y4, reg.Y5, reg.Y6, reg.Y7, reg.Y8, reg.Y9, reg.Y10, reg.Y11, reg.Y12, reg.Y13, reg.Y14, reg.Y15}, false}
	bf16 = isa{"BF16", 16, 8, 3, avx512.regs, true} // AVX512 with AVX512_BF16
)

func (s isa) wide() bool { return s.lanes == 16 }

// bytes is the size of one vector.
func (s isa) bytes() int { return 4 * s.lanes }

// zero clears a register without a dependency on its old value.
func (s isa) zero(r reg.VecPhysical) {
	if s.wide() {
		VPXORD(r, r, r)
	} else {
		VXORPS(r, r, r)
	}
}

func mem(base reg.Register, disp int) operand.Mem { return operand.Mem{Base: base, Disp: disp} }

func memIndex(base, index reg.Register, scale uint8, disp int) operand.Mem {
	return operand.Mem{Base: base, Index: index, Scale: scale, Disp: disp}
}

func imm(n int) operand.Constant { return operand.Imm(uint64(n)) }

func main() {
	base := flag.String("neon", "", "write the arm64 kernels to this `name`.s and .go instead of the amd64 ones")
	flag.Parse()
	if *base == "" {
		emitAMD64()
	} else if err := emitNEON().write(*base); err != nil {
		log.Fatal("gen: ", err)
	}
}

func emitAMD64() {
	Package("coar/internal/kernel/abi")
	ConstraintExpr("amd64")
	tables, points := emitTables(), emitPoints()
	for _, s := range []isa{avx512, avx2} {
		emitTiles(s, tables)
		emitSoftmax(s, tables)
		emitLayerNorm(s)
		emitGELU(s, tables)
		emitSoftmaxGradient(s)
		emitLayerNormGradient(s, tables)
		emitGELUSlope(s, tables)
		emitMultiply(s)
		emitAffine(s)
		emitDots(s, tables)
		emitWinogradInput(s, points)
		emitWinogradOutput(s, points)
		emitGradient(s, tables)
		emitSigns(s)
	}
	emitTranspose(avx2)
	emitTiles(bf16, tables)
	emitRoundCells(bf16, tables)
	emitWidenCells(bf16)
	emitLayerNormCells(bf16, tables)
	emitGELUCells(bf16, tables)
	emitRoundRows(bf16)
	emitMatrices(tables)
	Generate()
}

// What the stubs say of each kernel.
const (
	softmaxDoc   = "replaces each column of X by its softmax, in Y."
	layerNormDoc = "normalises each column of X to zero mean and unit variance, then applies Gamma and Beta, in Y."
	geluDoc      = "writes the exact GELU of row 0 of X to row 0 of Y."

	softmaxGradientDoc   = "writes the gradient of a softmax whose result is X, in Y."
	layerNormGradientDoc = "writes the gradient of the layer norm of each column of X, in Y."
	geluSlopeDoc         = "writes the exact GELU of row 0 of X to row 0 of Y and its derivative to row 0 of G."
	affineDoc            = "writes Gamma[0]·X + Beta[0] + Res of row 0 to row 0 of Y."
	multiplyDoc          = "writes the products of row 0 of X and of G to row 0 of Y."

	dotsDoc      = "writes the sum of products of each row of X with its row of G to a row of Y."
	transposeDoc = "writes the transpose of X to Y."
	signsDoc     = "sets the bits of a map's elements above zero."
	gradientDoc  = "takes the gradient of one channel of a layer's output through the activation and the scale, and sums its products with Raw."

	winogradInputDoc  = "transforms 6x6 tiles of one input channel."
	winogradOutputDoc = "transforms the 36 products of one output channel to 4x4 tiles, then scales, shifts, adds the residual and clamps."
)

func tileDoc(rows, vecs int) string {
	return fmt.Sprintf("computes a block of %d rows by %d vectors at every span.", rows, vecs)
}

func text(s isa, name, signature, doc string) {
	TEXT(name+s.name, NOSPLIT, signature)
	Doc(fmt.Sprintf("%s%s %s", name, s.name, doc))
	Pragma("noescape")
}
