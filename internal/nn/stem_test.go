package nn

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"coar/internal/kernel"
)

// maxPool is 3x3 max pooling of stride 2 and padding 1.
func maxPool(m images) images {
	out := newImages(m.n, m.c, (m.h+1)/2, (m.w+1)/2)
	for i := range out.x {
		x, y := i%out.w, i/out.w%out.h
		c, n := i/out.w/out.h%out.c, i/out.w/out.h/out.c
		out.x[i] = math.Inf(-1)
		for dy := -1; dy <= 1; dy++ {
			for dx := -1; dx <= 1; dx++ {
				if sy, sx := 2*y+dy, 2*x+dx; sy >= 0 && sx >= 0 && sy < m.h && sx < m.w {
					out.x[i] = max(out.x[i], m.at(n, c, sy, sx))
				}
			}
		}
	}
	return out
}

// stemCase is a stem of a CIFAR or an ImageNet ResNet.
type stemCase struct {
	pool         bool
	kernel, side int
	stride, size int
}

var stemCases = []stemCase{{false, 3, 9, 1, 4}, {false, 3, 14, 1, 3}, {true, 7, 28, 2, 2}, {true, 7, 18, 2, 5}, {true, 3, 7, 1, 8}}

func (c stemCase) String() string {
	return fmt.Sprintf("kernel %d, side %d, batch %d, pooling %t", c.kernel, c.side, c.size, c.pool)
}

func (c stemCase) compile(t *testing.T, set *kernel.Set, l Layer) *Program {
	return compile(t, set, c.size, l.In, c.side, c.side, []string{l.Key}, func(b *Builder) *Map {
		in := b.Pack(l.Pad)
		return b.Stem(&in, l, c.pool, 1)
	})
}

func (c stemCase) want(m images, l Layer, keep []float32) []float64 {
	out := activate(convolve(m, l, keep), ReLU)
	if c.pool {
		out = maxPool(out)
	}
	return out.x
}

// Channels are rewritten only where their keep value changed; what is seen must not depend on the rows before.
func TestStemMatchesDefinitionInAnyOrderOfRows(t *testing.T) {
	eachSet(t, func(t *testing.T, set *kernel.Set, rng *rand.Rand) {
		for _, c := range stemCases {
			l := drawLayer(rng, "conv1.weight", 17, 3, c.kernel, c.stride)
			m := drawImages(rng, c.size, 3, c.side, c.side)
			p := c.compile(t, set, l)
			load(p, m)
			keep := p.Keep(l.Key)
			near(t, c.String()+", all kept", run(t, p), c.want(m, l, nil))
			var rows, logits [][]float32
			for range 4 {
				rows = append(rows, append([]float32(nil), drawKeep(rng, keep)...))
				logits = append(logits, run(t, p))
				near(t, c.String(), logits[len(logits)-1], c.want(m, l, keep))
			}
			for _, r := range rng.Perm(len(rows)) {
				copy(keep, rows[r])
				same(t, fmt.Sprintf("%s, row %d again", c, r), run(t, p), logits[r])
			}
			fresh := c.compile(t, set, l)
			copy(fresh.Keep(l.Key), rows[2])
			load(fresh, m)
			same(t, c.String()+", with nothing before", run(t, fresh), logits[2])
		}
	})
}

func TestLoadInvalidatesWhatWasComputedFromTheOldImages(t *testing.T) {
	eachSet(t, func(t *testing.T, set *kernel.Set, rng *rand.Rand) {
		for _, c := range stemCases {
			l := drawLayer(rng, "conv1.weight", 10, 3, c.kernel, c.stride)
			p := c.compile(t, set, l)
			keep := drawKeep(rng, p.Keep(l.Key))
			for range 3 {
				m := drawImages(rng, c.size, 3, c.side, c.side)
				load(p, m)
				near(t, c.String(), run(t, p), c.want(m, l, keep))
				same(t, c.String()+", run twice", run(t, p), run(t, p))
			}
		}
	})
}
