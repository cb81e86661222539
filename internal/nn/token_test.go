package nn

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"coar/internal/kernel"
)

// tokens is a stack of features [N, T, D] as a sequence.
type tokens [][][]float64

// linear applies y = Wx + shift to every token.
func (x tokens) linear(l Layer, keep []float32) tokens {
	return x.each(func(v []float64) []float64 {
		y := make([]float64, l.Out)
		for r := range y {
			for i, u := range v {
				y[r] += float64(l.Weight[r*l.In+i]) * u
			}
			if keep != nil {
				y[r] *= float64(keep[r])
			}
			y[r] += float64(l.Shift[r])
		}
		return y
	})
}

func (x tokens) each(f func([]float64) []float64) tokens {
	y := make(tokens, len(x))
	for n := range x {
		for _, v := range x[n] {
			y[n] = append(y[n], f(v))
		}
	}
	return y
}

func layerNormReference(v []float64, weight, bias []float32, eps float64) []float64 {
	var mean, variance float64
	for _, u := range v {
		mean += u / float64(len(v))
	}
	for _, u := range v {
		variance += (u - mean) * (u - mean) / float64(len(v))
	}
	y := make([]float64, len(v))
	for i, u := range v {
		y[i] = (u-mean)/math.Sqrt(variance+eps)*float64(weight[i]) + float64(bias[i])
	}
	return y
}

// attend is multi-head self-attention on tokens that hold Q, K and V one after the other.
func (x tokens) attend(heads int) tokens {
	y := make(tokens, len(x))
	for n, seq := range x {
		dim := len(seq[0]) / 3
		width := dim / heads
		for _, q := range seq {
			out := make([]float64, dim)
			for h := range heads {
				weights, sum := make([]float64, len(seq)), 0.0
				for k, key := range seq {
					dot := 0.0
					for d := h * width; d < (h+1)*width; d++ {
						dot += q[d] * key[dim+d]
					}
					weights[k] = math.Exp(dot / math.Sqrt(float64(width)))
					sum += weights[k]
				}
				for k, value := range seq {
					for d := h * width; d < (h+1)*width; d++ {
						out[d] += weights[k] / sum * value[2*dim+d]
					}
				}
			}
			y[n] = append(y[n], out)
		}
	}
	return y
}

// embedReference cuts images into patches and adds class token and positions; pos is [D, T].
func embedReference(m images, l Layer, class, pos []float32) tokens {
	patches := convolve(m, l, nil)
	count := patches.h*patches.w + 1
	y := make(tokens, m.n)
	for n := range y {
		for t := range count {
			v := make([]float64, l.Out)
			for d := range v {
				v[d] = float64(class[d])
				if t > 0 {
					v[d] = patches.x[(n*l.Out+d)*(count-1)+t-1]
				}
				v[d] += float64(pos[d*count+t])
			}
			y[n] = append(y[n], v)
		}
	}
	return y
}

func TestTransformerLayersMatchDefinition(t *testing.T) {
	eachSet(t, func(t *testing.T, set *kernel.Set, rng *rand.Rand) {
		for _, c := range []struct {
			side, patch, dim, heads, size int
			all                           bool // every token attends, not the class token alone
		}{
			{8, 4, 6, 2, 1, true}, {12, 4, 8, 1, 3, true}, {12, 3, 12, 3, 2, true}, {28, 4, 10, 5, 2, true}, {10, 4, 4, 4, 7, true},
			{12, 3, 12, 3, 2, false}, {28, 4, 10, 5, 3, false},
		} {
			across := c.side / c.patch
			count := across*across + 1
			queries := 1
			if c.all {
				queries = count
			}
			patches := drawLayer(rng, "conv_proj.weight", c.dim, 3, c.patch, c.patch)
			patches.Pad, patches.Scale = 0, nil
			class, pos := normals(rng, c.dim, 1), normals(rng, c.dim*count, 1)
			gamma, beta := normals(rng, c.dim, 1), normals(rng, c.dim, 1)
			qkv, head := drawLayer(rng, "in_proj_weight", 3*c.dim, c.dim, 1, 1), drawLayer(rng, "head.weight", 7, c.dim, 1, 1)
			qkv.Scale, head.Scale = nil, nil
			p := compile(t, set, c.size, 3, c.side, c.side, []string{qkv.Key}, func(b *Builder) *Map {
				x, n := b.Embed(patches, class, pos)
				if n != count {
					t.Errorf("%d tokens, want %d", n, count)
				}
				x = b.Attention("attention", b.Conv(b.LayerNorm("ln", x, gamma, beta, 1e-6), qkv, None, 0), n, queries, c.heads)
				if queries > 1 {
					x = b.ClassTokens(x, n)
				}
				return b.Conv(x, head, GELU, 0)
			})
			for range 2 { // the second load finds caches of the first
				m := drawImages(rng, c.size, 3, c.side, c.side)
				load(p, m)
				x := embedReference(m, patches, class, pos).each(func(v []float64) []float64 { return layerNormReference(v, gamma, beta, 1e-6) })
				for range 2 {
					y := x.linear(qkv, drawKeep(rng, p.Keep(qkv.Key))).attend(c.heads).linear(head, nil)
					out := newImages(c.size, 7, 1, 1)
					for n := range y {
						copy(out.x[7*n:], y[n][0])
					}
					near(t, fmt.Sprintf("%+v", c), run(t, p), activate(out, GELU).x)
				}
			}
		}
	})
}
