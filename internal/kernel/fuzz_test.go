package kernel

import (
	"math"
	"math/rand/v2"
	"testing"
)

// FuzzTile runs tiles of any shape on every instruction set against the definition, guard cells included.
func FuzzTile(f *testing.F) {
	f.Add(uint64(1), uint8(0), uint8(0), uint16(0), uint8(0), uint8(0))
	f.Add(uint64(2), uint8(7), uint8(2), uint16(27), uint8(15), uint8(40))
	f.Add(uint64(3), uint8(5), uint8(1), uint16(147), uint8(6), uint8(1))
	f.Add(uint64(4), uint8(3), uint8(2), uint16(1), uint8(8), uint8(255))
	sets := Available()
	f.Fuzz(func(t *testing.T, seed uint64, rows, vecs uint8, k uint16, last, step uint8) {
		for _, set := range sets {
			rows, vecs := 1+int(rows)%set.MaxRows, 1+int(vecs)%set.MaxVecs
			tile := randomTile(rand.New(rand.NewPCG(seed, 6)), rows, vecs, set.Lanes, int(k)%1000)
			tile.BStep = int(step)
			for i := range tile.Spans {
				tile.Spans[i].Last = 1 + int32(last)%int32(set.Lanes)
			}
			want := reference(tile, rows, vecs, set.Lanes)
			set.Tile(tile, rows, vecs)
			for i, w := range want {
				got := float64(tile.Out[i])
				if math.IsNaN(w) && got != 0 {
					t.Fatalf("%s %dx%d: guard cell %d overwritten with %g", set.Name, rows, vecs, i, got)
				}
				if math.Abs(got-w) > 1e-5*(10+math.Abs(w))*math.Sqrt(float64(len(tile.K))+1) {
					t.Fatalf("%s %dx%d, %d steps: Out[%d] = %g, want %g", set.Name, rows, vecs, len(tile.K), i, got, w)
				}
			}
		}
	})
}
