package kernel

// assembled returns the NEON set: every arm64 processor that Go runs on has Advanced SIMD.
func assembled() []*Set { return []*Set{neon()} }

func neon() *Set {
	return &Set{Name: "neon", Lanes: 4, MaxRows: 8, MaxVecs: 3,
		softmax: softmaxNEON, layerNorm: layerNormNEON, gelu: geluNEON, gradient: gradientPortable, signs: signsPortable,
		back: portableDerivatives(), transpose: transposePortable, dots: dotsPortable, // not written for NEON yet
		winoIn: winogradInputNEON, winoOut: winogradOutputNEON,
		tiles: [MaxRows][]func(*Tile){
			{tile1x1NEON, tile1x2NEON, tile1x3NEON},
			{tile2x1NEON, tile2x2NEON, tile2x3NEON},
			{tile3x1NEON, tile3x2NEON, tile3x3NEON},
			{tile4x1NEON, tile4x2NEON, tile4x3NEON},
			{tile5x1NEON, tile5x2NEON, tile5x3NEON},
			{tile6x1NEON, tile6x2NEON, tile6x3NEON},
			{tile7x1NEON, tile7x2NEON, tile7x3NEON},
			{tile8x1NEON, tile8x2NEON, tile8x3NEON},
		}}
}
