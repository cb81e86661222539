package nn

import (
	"math/rand/v2"
	"slices"
	"testing"

	"coar/internal/kernel"
)

// Columns read from a panel give the bits that they give in place, in both sums, whatever steps are left out.
func TestPanelsChangeNoBit(t *testing.T) {
	eachSet(t, func(t *testing.T, set *kernel.Set, rng *rand.Rand) {
		const cols, stride, depth = 203, 4096, 40
		rows := panelMinBlocks * set.MaxRows
		a, a2, b := normals(rng, rows*depth, 1), normals(rng, rows*depth, 1), normals(rng, depth*stride+kernel.Slack, 1)
		steps := make([]kernel.Offset, depth)
		for k := range steps {
			steps[k] = kernel.Offset{A: int32(k), B: int32(k * stride)}
		}
		s := newSpans(set)
		s.row(0, 0, 0, cols)
		p := newProduct(set, steps, s, depth*set.MaxVecs*set.Lanes*4)
		var order blocker
		order.maxRows = set.MaxRows
		order.add(rows, block{}, func(b *block, i, r int) {
			b.a[i], b.a2[i], b.out[i], b.scale[i] = int32(r*depth), int32(r*depth), int32(r*cols), 1
		})
		for range 5 {
			p.live, p.live2 = nil, nil
			for _, k := range steps {
				switch rng.IntN(3) {
				case 0:
					p.live = append(p.live, k)
				case 1:
					p.live2 = append(p.live2, k)
				}
			}
			var out [2][]float32
			for i := range out {
				if p.panel = nil; i == 1 {
					p.usePanel(stride, &workspace{})
					if p.panel == nil {
						t.Fatal("a large map is read in place")
					}
				}
				out[i] = buffer(rows * cols)
				p.run(operands{a: a, a2: a2, b: b, out: out[i]}, order.blocks)
			}
			if p.panel.spans == nil {
				t.Fatal("the panel was not used")
			}
			if !slices.Equal(out[0], out[1]) {
				t.Errorf("%d and %d steps: results differ", len(p.live), len(p.live2))
			}
		}
		p.panel = nil
		if p.usePanel(panelMinBytes/depth/floatBytes-1, &workspace{}); p.panel != nil {
			t.Error("a map that stays in the cache is copied")
		}
	})
}
