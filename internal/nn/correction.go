package nn

import "coar/internal/kernel"

// correction computes the layer after a stem from its intact output: what the stem's ablated channels change is few
// channels' convolution, added to a sum that is computed once per load of examples.
//
//	y = act(scale·(W * (x - intact x)) + (scale·(W * intact x) + shift))
type correction struct {
	frozen
	stem    *stem
	product product         // reads the differences, and the sum as its residual
	taps    []kernel.Offset // of channel 0
	sum     []float32       // scale·(W * intact x) + shift, in the layer's output plane
	diff    []float32       // x - intact x, channel after channel of those that are not intact
	changed []int32         // the channels
	finite  bool            // the sum is
	blocker
	live []kernel.Offset
}

// correctionShare is the part of the input channels up to which the correction is cheaper than computing anew: it is
// direct, so that it takes four times the multiplications of Winograd's algorithm per channel, but no transforms.
const correctionShare = 4

// newCorrection corrects c, which reads the stem's output through v.
func newCorrection(set *kernel.Set, c *conv, s *stem, v view, batch *Batch) *correction {
	out := c.plane
	k := &correction{frozen: frozen{batch: batch}, stem: s, taps: c.direct.steps[:c.layer.Kernel*c.layer.Kernel]}
	k.sum = buffer(out.Len())
	k.diff = buffer(max(1, c.layer.In/correctionShare) * v.stride)
	k.blocker.maxRows = set.MaxRows
	sum := &residual{plane: out, stride: out.Stride(), at: func(y int) int { return out.At(y, 0) }, step: 1, c: out.C, flat: out.contiguous()}
	k.product = newProduct(set, nil, convSpans(set, v, out, sum), len(k.diff)*floatBytes)
	return k
}

func (k *correction) bytes() int64 { return int64(floatBytes * (len(k.sum) + len(k.diff))) }

// fits says whether the correction serves the current row: all keep values of the layer are 0 or 1 and few of the stem's
// are not 1. That depends on the row alone, never on the batch: the two ways round differently. Where the intact map
// overflows, differences from it mean nothing.
func (k *correction) fits(c *conv, a layerArgs) bool {
	if k == nil {
		return false
	}
	for _, keep := range a.keep {
		if keep != 0 && keep != 1 {
			return false
		}
	}
	if k.stale() {
		k.sumIntact(c, a)
	}
	if !k.finite {
		return false
	}
	k.changed = k.changed[:0]
	for ch, keep := range k.stem.state {
		if keep != 1 {
			k.changed = append(k.changed, int32(ch))
		}
	}
	return len(k.changed)*correctionShare <= c.layer.In
}

// run writes the chosen kept rows of c to dst.
func (k *correction) run(c *conv, a layerArgs, dst []float32) {
	k.live = k.live[:0]
	stride := k.stem.plane.Stride()
	for i, ch := range k.changed {
		d, x, intact := k.diff[i*stride:][:stride], k.stem.channel(k.stem.buf, int(ch)), k.stem.channel(k.stem.cache, int(ch))
		for j := range d {
			d[j] = x[j] - intact[j]
		}
		for _, t := range k.taps {
			k.live = append(k.live, kernel.Offset{A: t.A + ch*int32(len(k.taps)), B: t.B + int32(i*stride)})
		}
	}
	k.product.live = k.live
	k.blocks = k.blocks[:0]
	size := c.layer.In * len(k.taps)
	k.add(len(c.chosen[0]), block{residual: true}, func(b *block, i, n int) {
		r := c.chosen[0][n]
		at := r * int32(c.plane.Stride())
		b.a[i], b.out[i], b.res[i], b.scale[i] = r*int32(size), at, at, a.scale[r]
	})
	k.product.run(operands{a: a.w, b: k.diff, out: dst, res: k.sum, relu: c.act == ReLU}, k.blocks)
}

// sumIntact computes all rows from the intact map.
func (k *correction) sumIntact(c *conv, a layerArgs) {
	intact, chosen, reads, act := a, c.chosen, c.reads, c.act
	intact.x, intact.keep = k.stem.cache, nil
	c.chosen, c.reads, c.act = [4][]int32{c.rows}, nil, None
	c.computeAnew(intact, k.sum)
	c.chosen, c.reads, c.act = chosen, reads, act
	k.finite = true
	for _, v := range k.sum {
		if v-v != 0 {
			k.finite = false
		}
	}
}
