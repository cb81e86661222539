package nn

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"coar/internal/kernel"
)

// do runs an op outside a graph; the inputs get the slack that kernels need.
func do(t *testing.T, op fused, in ...[]float32) []float32 {
	t.Helper()
	op.bind(buffer(op.size()))
	fill(op.memory(), float32(math.NaN())) // an op writes whatever others read
	return doBound(t, op, -1, in)
}

// sameOver fails where op, which wrote want, gives anything else in the first cols of each row when it writes over an input.
func sameOver(t *testing.T, op fused, over int, want []float32, p Plane, in ...[]float32) {
	t.Helper()
	want = slices.Clone(want)
	for i, v := range doBound(t, op, over, in) {
		if i%p.Stride() < p.W && v != want[i] {
			t.Fatalf("%s: element %d is %g when input %d is overwritten, %g otherwise", op, i, v, over, want[i])
		}
	}
}

// doBound runs op, over the given input or where it is bound.
func doBound(t *testing.T, op fused, over int, in [][]float32) []float32 {
	t.Helper()
	var values []G.Value
	for _, x := range in {
		data := append(make([]float32, 0, len(x)+kernel.Slack), x...)
		if len(values) == over {
			op.bind(data)
		}
		values = append(values, tensor.New(tensor.WithShape(len(x)), tensor.WithBacking(data)))
	}
	if _, err := op.Do(values...); err != nil {
		t.Fatal(err)
	}
	return op.memory()
}

func fill(x []float32, v float32) {
	for i := range x {
		x[i] = v
	}
}

// plane lays tokens out as columns.
func (x tokens) plane() (Plane, []float32) {
	p := Plane{C: len(x[0][0]), H: 1, W: len(x) * len(x[0]), G: 1}
	y := make([]float32, p.Len())
	for n, seq := range x {
		for i, v := range seq {
			for d := range v {
				y[d*p.Stride()+n*len(seq)+i] = float32(v[d])
			}
		}
	}
	return p, y
}

func drawTokens(rng *rand.Rand, n, count, dim int) tokens {
	x := make(tokens, n)
	for i := range x {
		for range count {
			v := make([]float64, dim)
			for d, u := range normals(rng, dim, 1) {
				v[d] = float64(u)
			}
			x[i] = append(x[i], v)
		}
	}
	return x
}

// dot is the sum of products over all features of all tokens that both have.
func (x tokens) dot(y tokens) float64 {
	sum := 0.0
	for n := range x {
		for i := range min(len(x[n]), len(y[n])) {
			for d, v := range x[n][i] {
				sum += v * y[n][i][d]
			}
		}
	}
	return sum
}

// checkGradient fails where dx, a plane like x's, is not the derivative of f(x)·g along directions that reach one example and
// one of parts ranges of features each.
func checkGradient(t *testing.T, what string, rng *rand.Rand, f func(tokens) tokens, x, g tokens, dx []float32, parts int) {
	t.Helper()
	const h = 1e-5
	p, _ := x.plane()
	width := p.C / parts
	for n := range x {
		for part := range parts {
			direction := drawTokens(rng, len(x), len(x[0]), p.C)
			moved := func(by float64) tokens {
				y := make(tokens, len(x))
				for m := range x {
					for i := range x[m] {
						v := append([]float64(nil), x[m][i]...)
						for d := part * width; m == n && d < (part+1)*width; d++ {
							v[d] += by * direction[m][i][d]
						}
						y[m] = append(y[m], v)
					}
				}
				return y
			}
			want := (f(moved(h)).dot(g) - f(moved(-h)).dot(g)) / (2 * h)
			got, size := 0.0, 0.0
			for i := range x[n] {
				for d := part * width; d < (part+1)*width; d++ {
					v := float64(dx[d*p.Stride()+n*len(x[n])+i]) * direction[n][i][d]
					got += v
					size += v * v
				}
			}
			if !(math.Abs(got-want) <= 1e-5*(1+math.Abs(want)+math.Sqrt(size))) {
				t.Errorf("%s, example %d, part %d: derivative %g, differences give %g", what, n, part, got, want)
			}
		}
	}
}

func TestAttentionGradientMatchesDifferences(t *testing.T) {
	eachSet(t, func(t *testing.T, set *kernel.Set, rng *rand.Rand) {
		for _, c := range []struct{ size, tokens, queries, dim, heads int }{
			{1, 5, 5, 6, 2}, {3, 17, 17, 12, 3}, {2, 50, 50, 8, 1}, {2, 33, 1, 6, 2}, {3, 9, 4, 10, 5}, {1, 1, 1, 4, 2},
		} {
			x, g := drawTokens(rng, c.size, c.tokens, 3*c.dim), drawTokens(rng, c.size, c.queries, c.dim)
			in, qkv := x.plane()
			_, grad := g.plane()
			var work workspace
			op := newAttention(set, "attention", in, c.tokens, c.queries, c.heads, false, &work)
			again := do(t, newAttentionGradient(op), grad, qkv)
			checkGradient(t, fmt.Sprintf("%+v", c), rng, func(x tokens) tokens { return x.attend(c.heads) }, x, g, again, 3)
			op.kept = buffer(c.size * c.heads * op.scores())
			do(t, op, qkv)
			kept := do(t, newAttentionGradient(op), grad, qkv)
			for i, v := range again {
				if i%in.Stride() < in.W && kept[i] != v {
					t.Fatalf("%+v: element %d is %g with probabilities kept, %g without", c, i, kept[i], v)
				}
			}
		}
	})
}

func TestLayerNormGradientMatchesDifferences(t *testing.T) {
	eachSet(t, func(t *testing.T, set *kernel.Set, rng *rand.Rand) {
		for _, c := range []struct{ size, tokens, dim int }{{1, 5, 6}, {3, 17, 12}, {2, 50, 97}} {
			x, g := drawTokens(rng, c.size, c.tokens, c.dim), drawTokens(rng, c.size, c.tokens, c.dim)
			gamma, beta := normals(rng, c.dim, 1), normals(rng, c.dim, 1)
			in, data := x.plane()
			_, grad := g.plane()
			op := newLayerNormGradient(newLayerNorm(set, "ln", in, in, 1e-6, nil), &Map{Plane: in})
			sameOver(t, op, 3, do(t, op, grad, data, gamma, data), in, grad, data, gamma, data)
			op.args.Res = nil
			dx := do(t, op, grad, data, gamma)
			sameOver(t, op, 0, dx, in, grad, data, gamma)
			norm := func(x tokens) tokens {
				return x.each(func(v []float64) []float64 { return layerNormReference(v, gamma, beta, 1e-6) })
			}
			checkGradient(t, fmt.Sprintf("%+v", c), rng, norm, x, g, dx, 1)
		}
	})
}

func TestGELUGradientMatchesDifferences(t *testing.T) {
	eachSet(t, func(t *testing.T, set *kernel.Set, rng *rand.Rand) {
		x, g := drawTokens(rng, 3, 19, 7), drawTokens(rng, 3, 19, 7)
		in, data := x.plane()
		_, grad := g.plane()
		op := newGELU(set, "gelu", &Map{Plane: in})
		of := func(x tokens) tokens {
			return x.each(func(v []float64) []float64 {
				y := make([]float64, len(v))
				for i, u := range v {
					y[i] = u / 2 * math.Erfc(-u/math.Sqrt2)
				}
				return y
			})
		}
		op.slope.bind(buffer(op.slope.size()))
		_, want := of(x).plane()
		y := do(t, op, data)
		for i, v := range y {
			if i%in.Stride() < in.W && math.Abs(float64(v-want[i])) > 5e-7 {
				t.Fatalf("element %d is %g, want %g", i, v, want[i])
			}
		}
		slope := slices.Clone(op.slope.memory())
		sameOver(t, op, 0, y, in, data)
		back := newGELUGradient(op, &Map{})
		dx := do(t, back, grad, slope)
		checkGradient(t, "GELU", rng, of, x, g, dx, 1)
		sameOver(t, back, 0, dx, in, grad, op.slope.memory())
	})
}

func TestClassTokenGradientMatchesDifferences(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	x, g := drawTokens(rng, 3, 5, 7), drawTokens(rng, 3, 1, 7)
	in, _ := x.plane()
	_, grad := g.plane()
	first := func(x tokens) tokens {
		y := make(tokens, len(x))
		for n := range x {
			y[n] = x[n][:1]
		}
		return y
	}
	checkGradient(t, "class token", rng, first, x, g, do(t, newClassTokenGradient(newClassToken("class", in, 5)), grad), 1)
}
