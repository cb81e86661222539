package ablate

import (
	"math/rand/v2"
	"slices"
	"testing"

	"coar/internal/models"
)

// bytes is what the engine's graphs take together.
func (e *Engine) bytes() int64 {
	total := int64(0)
	for _, w := range e.workers {
		seen := map[*models.Program]bool{}
		for _, p := range w.programs {
			if !seen[p] {
				total += p.Bytes()
			}
			seen[p] = true
		}
	}
	return total
}

// Sets of examples of any size may follow each other: one example to be edited, then a large set of references.
func TestMemoryBoundsGraphsOfEverySet(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 1))
	w, ex := drawTiny(rng), drawPictures(rng, 35)
	const nRows = 5
	want := each(t, start(t, w, 1, 1), ex, nRows, sampled)
	widest := start(t, w, 2, 0)
	each(t, widest, ex, nRows, sampled)
	all := widest.bytes()
	least := start(t, w, 1, 1)
	each(t, least, ex[:1], 1, sampled)
	for _, memory := range []int64{least.bytes(), all / 4, all / 2, all, 2 * all} {
		for _, sizes := range [][]int{{1, 35}, {35, 1, 35}, {3, 1, 20, 35, 5}} {
			e := start(t, w, 2, 0)
			e.Memory = memory
			for _, n := range sizes {
				got := each(t, e, ex[:n], nRows, sampled)
				for r := range nRows {
					if !slices.Equal(got[r*n*tinyClasses:][:n*tinyClasses], want[r*len(ex)*tinyClasses:][:n*tinyClasses]) {
						t.Fatalf("%d of %v examples under %d bytes: logits of row %d differ from those without a bound", n, sizes, memory, r)
					}
				}
				if b := e.bytes(); b > memory {
					t.Errorf("%d of %v examples: graphs of %d bytes under a bound of %d", n, sizes, b, memory)
				}
			}
		}
	}
}
