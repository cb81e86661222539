package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

const guard = 123456.5

// block draws a [rows, cols] matrix whose rows have room for whole vectors: kernels round cols up to whole vectors, so what
// lies between a row's last column and its stride may be overwritten, and nothing beyond that may.
func block(rng *rand.Rand, set *Set, rows, cols int, spread float64) *Columns {
	width := (cols + set.Lanes - 1) / set.Lanes * set.Lanes
	c := &Columns{Rows: rows, Cols: cols, XStride: width + rng.IntN(20), YStride: width + rng.IntN(20), Eps: 1e-6, InvRows: 1 / float32(rows)}
	c.X = normals(rng, rows*c.XStride+Slack)
	for i := range c.X {
		c.X[i] *= float32(spread)
	}
	c.Y = make([]float32, rows*c.YStride+Slack)
	for i := range c.Y {
		c.Y[i] = guard
	}
	c.Gamma, c.Beta = normals(rng, rows), normals(rng, rows)
	return c
}

// column is column j of X in float64.
func column(c *Columns, j int) []float64 {
	x := make([]float64, c.Rows)
	for r := range x {
		x[r] = float64(c.X[r*c.XStride+j])
	}
	return x
}

func softmaxReference(_ *Columns, x []float64) []float64 {
	top, sum := math.Inf(-1), 0.0
	for _, v := range x {
		top = math.Max(top, v)
	}
	y := make([]float64, len(x))
	for r, v := range x {
		y[r] = math.Exp(v - top)
		sum += y[r]
	}
	for r := range y {
		y[r] /= sum
	}
	return y
}

func layerNormReference(c *Columns, x []float64) []float64 {
	var mean, ss float64
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for _, v := range x {
		ss += (v - mean) * (v - mean) / float64(len(x))
	}
	y := make([]float64, len(x))
	for r, v := range x {
		y[r] = (v-mean)/math.Sqrt(ss+float64(c.Eps))*float64(c.Gamma[r]) + float64(c.Beta[r])
	}
	return y
}

// checkGuards fails where a kernel wrote beyond the whole vectors of a row.
func checkGuards(t *testing.T, set *Set, c *Columns) {
	t.Helper()
	width := (c.Cols + set.Lanes - 1) / set.Lanes * set.Lanes
	for i, v := range c.Y {
		if (i >= c.Rows*c.YStride || i%c.YStride >= width) && v != guard {
			t.Fatalf("%s: %dx%d: element %d beyond the whole vectors of its row became %g", set.Name, c.Rows, c.Cols, i, v)
		}
	}
}

// columnKernels are the kernels that work down columns, with the error that their documentation promises.
var columnKernels = []struct {
	name      string
	spread    float64
	rows      []int
	run       func(*Set, *Columns)
	reference func(*Columns, []float64) []float64
	err       func(got float64, column []float64, r int) float64
	bound     float64
}{
	{"softmax", 8, []int{1, 2, 3, 17, 50, 197, 768}, (*Set).Softmax, softmaxReference, func(got float64, column []float64, r int) float64 {
		want := column[r]
		if want < 0x1p-126 { // not a normal float32: flushed to anything as small
			return max(0, math.Abs(got)-0x1p-125)
		}
		below := math.Log(slices.Max(column) / want)
		return math.Abs(got-want)/want - 0x1p-24*(below+float64(len(column)))
	}, 4e-7},
	{"layer norm", 3, []int{1, 17, 50, 197, 768}, (*Set).LayerNorm, layerNormReference, func(got float64, column []float64, r int) float64 {
		return math.Abs(got-column[r]) / (1 + math.Abs(column[r]))
	}, 4e-6},
}

func TestColumnKernelsMatchDefinition(t *testing.T) {
	for _, k := range columnKernels {
		for _, set := range Available() {
			t.Run(k.name+"/"+set.Name, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(1, 2))
				worst := 0.0
				for _, rows := range k.rows {
					for _, cols := range []int{1, 7, 8, 9, 15, 16, 17, 33, 50} {
						c := block(rng, set, rows, cols, k.spread)
						k.run(set, c)
						for j := range cols {
							y := k.reference(c, column(c, j))
							for r := range y {
								worst = max(worst, k.err(float64(c.Y[r*c.YStride+j]), y, r))
							}
						}
						checkGuards(t, set, c)
					}
				}
				t.Logf("largest error %.2g", worst)
				if !(worst <= k.bound) {
					t.Errorf("largest error %g, documented %g", worst, k.bound)
				}
			})
		}
	}
}

// In place is how attention and GELU layers call the kernels.
func TestColumnKernelsWorkInPlace(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for _, k := range columnKernels {
		for _, set := range Available() {
			c := block(rng, set, 37, 21, k.spread)
			c.YStride = c.XStride
			c.Y = make([]float32, len(c.X))
			k.run(set, c)
			in := *c
			in.Y = in.X
			k.run(set, &in)
			for r := range c.Rows {
				for j := range c.Cols {
					if i := r*c.XStride + j; c.Y[i] != in.Y[i] {
						t.Fatalf("%s of %s: row %d, column %d: %g in place, %g elsewhere", k.name, set.Name, r, j, in.Y[i], c.Y[i])
					}
				}
			}
		}
	}
}

// A column's result is the same bits whichever columns are computed with it.
func TestColumnKernelsIgnoreNeighbours(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	for _, k := range columnKernels {
		for _, set := range Available() {
			c := block(rng, set, 37, 43, k.spread)
			k.run(set, c)
			for j := range c.Cols {
				alone := *c
				alone.X, alone.Cols, alone.Y = c.X[j:], 1, make([]float32, len(c.Y))
				k.run(set, &alone)
				for r := range c.Rows {
					if got, want := alone.Y[r*c.YStride], c.Y[r*c.YStride+j]; got != want {
						t.Fatalf("%s of %s: row %d, column %d: %g alone, %g with others", k.name, set.Name, r, j, got, want)
					}
				}
			}
		}
	}
}

// A value that is not finite spoils its own column, wherever it stands, and no other.
func TestColumnKernelsPropagateNaN(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	for _, k := range columnKernels {
		for _, set := range Available() {
			for _, bad := range []float64{math.NaN(), math.Inf(1)} {
				for at := range 5 {
					c := block(rng, set, 5, 19, k.spread)
					c.X[at*c.XStride+11] = float32(bad)
					k.run(set, c)
					for j := range c.Cols {
						nan := 0
						for r := range c.Rows {
							if y := float64(c.Y[r*c.YStride+j]); math.IsNaN(y) || math.IsInf(y, 0) {
								nan++
							}
						}
						if (nan > 0) != (j == 11) {
							t.Errorf("%s of %s, %g in row %d: column %d has %d values that are not finite", k.name, set.Name, bad, at, j, nan)
						}
					}
				}
			}
		}
	}
}

func TestGELUMatchesDefinition(t *testing.T) {
	const bound = 5e-7 // absolute, for |x| <= 10
	for _, set := range Available() {
		t.Run(set.Name, func(t *testing.T) {
			var x []float32
			for i := range 200001 {
				x = append(x, float32(i-100000)/10000)
			}
			c := &Columns{Rows: 1, Cols: len(x), X: append(x, make([]float32, Slack)...), Y: make([]float32, len(x)+Slack)}
			set.GELU(c)
			worst, at := 0.0, float32(0)
			for i, v := range x {
				want := float64(v) / 2 * math.Erfc(-float64(v)/math.Sqrt2)
				if e := math.Abs(float64(c.Y[i]) - want); e > worst || math.IsNaN(e) {
					worst, at = e, v
				}
			}
			t.Logf("largest error %.2g at %g", worst, at)
			if !(worst <= bound) {
				t.Errorf("error %g at %g, documented %g", worst, at, bound)
			}
		})
	}
}

func TestGELUOfOddLengths(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	for _, set := range Available() {
		for n := 1; n <= 50; n++ {
			c := block(rng, set, 1, n, 2)
			if n > 3 {
				c.X[3] = float32(math.NaN())
			}
			set.GELU(c)
			checkGuards(t, set, c)
			for j, v := range c.X[:n] {
				want := float64(v) / 2 * math.Erfc(-float64(v)/math.Sqrt2)
				if got := float64(c.Y[j]); math.IsNaN(want) != math.IsNaN(got) || math.Abs(got-want) > 5e-7 {
					t.Fatalf("%s: element %d of %d: GELU(%g) = %g, want %g", set.Name, j, n, v, got, want)
				}
			}
		}
	}
}

// Far from zero GELU is 0 or x, without overflow on the way.
func TestGELUFarFromZero(t *testing.T) {
	for _, set := range Available() {
		for _, x := range []float32{20, 100, 1e4, 1e18, 1e30, 3e38} {
			c := &Columns{Rows: 1, Cols: 2, X: make([]float32, 2+Slack), Y: make([]float32, 2+Slack)}
			c.X[0], c.X[1] = x, -x
			set.GELU(c)
			if got := fmt.Sprint(c.Y[0]); c.Y[0] != x || math.Abs(float64(c.Y[1])) > 1e-30 {
				t.Errorf("%s: GELU(±%g) = %s and %g", set.Name, x, got, c.Y[1])
			}
		}
	}
}
