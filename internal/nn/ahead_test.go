package nn

import (
	"math/rand/v2"
	"slices"
	"testing"

	"coar/internal/kernel"
)

// The calls of a run fetch the memory from its beginning, nothing twice, and all of it if there are steps enough.
func TestAheadFetchesEverythingOnce(t *testing.T) {
	set := kernel.Available()[0]
	rng := rand.New(rand.NewPCG(1, 1))
	for _, lens := range [][]int{{1}, {5000}, {300, 1, 7000}, {1 << 20, 40}} {
		steps := make([]kernel.Offset, 1+rng.IntN(90))
		s := newSpans(set)
		s.row(0, 0, 0, 1+rng.IntN(400))
		p := newProduct(set, steps, s, len(steps)*set.MaxVecs*set.Lanes*4)
		blocks := make([]block, 30)
		for i := range blocks {
			blocks[i].empty = i%7 == 3
		}
		a := &ahead{}
		for _, n := range lens {
			a.add(make([]float32, n))
		}
		for run := range 2 {
			a.begin(&p, blocks)
			nSteps := 0
			for _, group := range p.groups {
				for _, bl := range blocks {
					for _, v := range group {
						tile := kernel.Tile{K: p.live, Spans: v.spans}
						if bl.empty {
							tile.K = nil
						}
						a.next(&tile)
						n := len(tile.K) * len(v.spans)
						for i := range min(len(tile.Ahead), n*tile.AheadStride/floatBytes) {
							tile.Ahead[i]++
						}
						nSteps += n
					}
				}
			}
			times := slices.Concat(a.memory...)
			n := slices.Index(times, float32(run))
			if n < 0 {
				n = len(times)
			}
			if want := min(len(times), nSteps*a.perStep/floatBytes); n < want*9/10 || slices.Contains(times[:n], float32(run+2)) || slices.Contains(times[n:], float32(run+1)) {
				t.Errorf("%v: %d elements are fetched once, want %d", lens, n, want)
			}
		}
	}
}
