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

// The gradient of a projection of stride 2 gives the bits that it gives where columns are read in place.
func TestStridedPanelsChangeNoBit(t *testing.T) {
	eachSet(t, func(t *testing.T, set *kernel.Set, rng *rand.Rand) {
		const size, side, classes = 4, 16, 5
		stem, l, head := drawLayer(rng, "stem", 64, 3, 3, 1), drawLayer(rng, "projection", 512, 64, 1, 2), drawLayer(rng, "head", classes, 512, 1, 1)
		b := NewBuilder(set, false, size, 3, side, side, map[string]bool{stem.Key: true})
		b.Differentiate()
		in := b.Pack(1)
		p, err := b.Compile(b.Head(b.AveragePool("pool", b.Conv(b.Stem(&in, stem, false, 0), l, ReLU, 0), 1), head))
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		load(p, drawImages(rng, size, 3, side, side))
		soften(rng, p.Keep(stem.Key), p.Wanted(stem.Key))
		weights := normals(rng, classes, 1)
		runGradient(t, p, weights)
		copied := slices.Clone(p.KeepGradient(stem.Key))
		part := 0
		for _, s := range p.back.machine.steps {
			if op, ok := s.op.(*strided); ok && op.parts[0].copied {
				op.parts[0].panel = nil
				part++
			}
		}
		if part != 1 {
			t.Fatalf("%d parts read copies", part)
		}
		runGradient(t, p, weights)
		same(t, "derivatives", p.KeepGradient(stem.Key), copied)
		if slices.Max(copied) == 0 {
			t.Error("all derivatives are zero")
		}
	})
}
