//go:build amd64

package kernel

import "golang.org/x/sys/cpu"

// assembled returns the sets of assembly kernels that this processor and operating system support, best first.
func assembled() []*Set {
	var sets []*Set
	if cpu.X86.HasAVX512F && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VL && cpu.X86.HasBMI2 && cpu.X86.HasFMA {
		s := avx512()
		if cpu.X86.HasAVX512BF16 {
			s.bf16 = avx512BF16()
		}
		sets = append(sets, s)
	}
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		sets = append(sets, avx2())
	}
	return sets
}

func avx512() *Set {
	return &Set{Name: "avx512", Lanes: 16, MaxRows: 8, MaxVecs: 3,
		softmax: softmaxAVX512, layerNorm: layerNormAVX512, gelu: geluAVX512, gradient: gradientAVX512, signs: signsAVX512,
		back: derivatives{softmaxGradientAVX512, layerNormGradientAVX512, geluSlopeAVX512, multiplyAVX512, affineAVX512}, transpose: transposeAVX2, dots: dotsAVX512,
		winoIn: winogradInputAVX512, winoOut: winogradOutputAVX512,
		tiles: [MaxRows][]func(*Tile){
			{tile1x1AVX512, tile1x2AVX512, tile1x3AVX512},
			{tile2x1AVX512, tile2x2AVX512, tile2x3AVX512},
			{tile3x1AVX512, tile3x2AVX512, tile3x3AVX512},
			{tile4x1AVX512, tile4x2AVX512, tile4x3AVX512},
			{tile5x1AVX512, tile5x2AVX512, tile5x3AVX512},
			{tile6x1AVX512, tile6x2AVX512, tile6x3AVX512},
			{tile7x1AVX512, tile7x2AVX512, tile7x3AVX512},
			{tile8x1AVX512, tile8x2AVX512, tile8x3AVX512},
		}}
}

func avx512BF16() *bf16 {
	return &bf16{round: roundCellsBF16, widen: widenCellsBF16, layerNorm: layerNormCellsBF16, gelu: geluCellsBF16,
		tiles: [MaxRows][]func(*CellTile){
			{tile1x1BF16, tile1x2BF16, tile1x3BF16},
			{tile2x1BF16, tile2x2BF16, tile2x3BF16},
			{tile3x1BF16, tile3x2BF16, tile3x3BF16},
			{tile4x1BF16, tile4x2BF16, tile4x3BF16},
			{tile5x1BF16, tile5x2BF16, tile5x3BF16},
			{tile6x1BF16, tile6x2BF16, tile6x3BF16},
			{tile7x1BF16, tile7x2BF16, tile7x3BF16},
			{tile8x1BF16, tile8x2BF16, tile8x3BF16},
		}}
}

// matrixUnits returns AVX-512 with AMX over cells, where there is that.
func matrixUnits() []*Set {
	if !cpu.X86.HasAVX512BF16 || !cpu.X86.HasAMXTile || !cpu.X86.HasAMXBF16 || !permitTiles() {
		return nil
	}
	s := avx512()
	s.Name, s.bf16 = "amx", avx512BF16()
	s.matrix = &matrix{round: roundRowsBF16, products: [2][]func(*Matrix){
		{matrix1x1AMX, matrix1x2AMX, matrix1x3AMX, matrix1x4AMX},
		{matrix2x1AMX, matrix2x2AMX},
	}}
	return []*Set{s}
}

func avx2() *Set {
	return &Set{Name: "avx2", Lanes: 8, MaxRows: 6, MaxVecs: 2,
		softmax: softmaxAVX2, layerNorm: layerNormAVX2, gelu: geluAVX2, gradient: gradientAVX2, signs: signsAVX2,
		back: derivatives{softmaxGradientAVX2, layerNormGradientAVX2, geluSlopeAVX2, multiplyAVX2, affineAVX2}, transpose: transposeAVX2, dots: dotsAVX2,
		winoIn: winogradInputAVX2, winoOut: winogradOutputAVX2,
		tiles: [MaxRows][]func(*Tile){
			{tile1x1AVX2, tile1x2AVX2},
			{tile2x1AVX2, tile2x2AVX2},
			{tile3x1AVX2, tile3x2AVX2},
			{tile4x1AVX2, tile4x2AVX2},
			{tile5x1AVX2, tile5x2AVX2},
			{tile6x1AVX2, tile6x2AVX2},
		}}
}
