package kernel

import (
	"math/rand/v2"
	"testing"
)

// FuzzTileBF16 runs tiles over cells of any shape and in all forms against the definition, untouched halves included.
func FuzzTileBF16(f *testing.F) {
	f.Add(uint64(1), uint8(0), uint8(0), uint16(0), uint8(0), uint8(0))
	f.Add(uint64(2), uint8(7), uint8(2), uint16(27), uint8(15), uint8(40))
	f.Add(uint64(3), uint8(5), uint8(1), uint16(147), uint8(6), uint8(1))
	f.Add(uint64(4), uint8(3), uint8(2), uint16(1), uint8(8), uint8(255))
	sets := AvailableBF16()
	f.Fuzz(func(t *testing.T, seed uint64, rows, vecs uint8, k uint16, last, step uint8) {
		for _, set := range sets {
			rows, vecs := 1+int(rows)%set.MaxRows, 1+int(vecs)%set.MaxVecs
			tile := randomCellTile(rand.New(rand.NewPCG(seed, 14)), rows, vecs, set.Lanes, int(k)%1000)
			tile.BStep = int(step)
			for i := range tile.Spans {
				tile.Spans[i].Last = 1 + int32(last)%int32(set.Lanes)
			}
			checkCellTile(t, set, tile, rows, vecs)
		}
	})
}
