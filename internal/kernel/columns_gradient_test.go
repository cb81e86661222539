package kernel

import (
	"math"
	"math/rand/v2"
	"testing"
)

// gradientBlock is a block with a gradient, no slice of which starts at a whole vector.
func gradientBlock(rng *rand.Rand, set *Set, rows, cols int, spread float64) *Columns {
	c := block(rng, set, rows, cols, spread)
	c.GStride = (cols+set.Lanes-1)/set.Lanes*set.Lanes + rng.IntN(20)
	c.G = normals(rng, rows*c.GStride+Slack)
	for _, s := range []*[]float32{&c.X, &c.Y, &c.G} {
		shift := 1 + rng.IntN(7)
		moved := make([]float32, shift, shift+len(*s))
		*s = append(moved, *s...)[shift:]
	}
	return c
}

// gradientColumn is column j of G in float64.
func gradientColumn(c *Columns, j int) []float64 {
	g := make([]float64, c.Rows)
	for r := range g {
		g[r] = float64(c.G[r*c.GStride+j])
	}
	return g
}

// softmaxGradientReference returns the gradient of a column and the error that is documented for each element.
func softmaxGradientReference(_ *Columns, x, g []float64) (y, bound []float64) {
	var sum, size float64
	for r := range x {
		sum += x[r] * g[r]
		size += math.Abs(x[r] * g[r])
	}
	for r := range x {
		y = append(y, x[r]*(g[r]-sum))
		bound = append(bound, 0x1p-23*float64(len(x)+2)*math.Abs(x[r])*size+0x1p-22*math.Abs(x[r]*g[r]))
	}
	return y, bound
}

func layerNormGradientReference(c *Columns, x, g []float64) (y, bound []float64) {
	n := float64(len(x))
	var mean, ss, shift, slope, top float64
	for _, v := range x {
		mean += v / n
	}
	for _, v := range x {
		ss += (v - mean) * (v - mean) / n
	}
	std := math.Sqrt(ss + float64(c.Eps))
	for r, v := range x {
		u := float64(c.Gamma[r]) * g[r]
		shift += u / n
		slope += u * (v - mean) / std / n
		top = math.Max(top, math.Abs(u))
	}
	for r, v := range x {
		y = append(y, (float64(c.Gamma[r])*g[r]-shift-slope*(v-mean)/std)/std)
		bound = append(bound, 4e-6*top/std+0x1p-23*math.Abs(y[r]))
	}
	return y, bound
}

// gradientKernels are the kernels of derivatives that work down columns.
var gradientKernels = []struct {
	name      string
	spread    float64
	rows      []int
	run       func(*Set, *Columns)
	reference func(c *Columns, x, g []float64) (y, bound []float64)
}{
	{"softmax", 1, []int{1, 2, 3, 17, 50, 197}, (*Set).SoftmaxGradient, softmaxGradientReference},
	{"layer norm", 3, []int{1, 17, 50, 197, 768}, (*Set).LayerNormGradient, layerNormGradientReference},
}

func TestGradientKernelsMatchDefinition(t *testing.T) {
	for _, k := range gradientKernels {
		for _, set := range Available() {
			t.Run(k.name+"/"+set.Name, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(1, 2))
				worst := 0.0 // error beside what is documented
				for _, rows := range k.rows {
					for _, cols := range []int{1, 7, 8, 9, 15, 16, 17, 33, 50} {
						c := gradientBlock(rng, set, rows, cols, k.spread)
						k.run(set, c)
						for j := range cols {
							y, bound := k.reference(c, column(c, j), gradientColumn(c, j))
							for r := range y {
								e := math.Abs(float64(c.Y[r*c.YStride+j])-y[r]) / bound[r]
								if e > worst || math.IsNaN(e) {
									worst = e
								}
							}
						}
						checkGuards(t, set, c)
					}
				}
				t.Logf("largest error %.2g of what is documented", worst)
				if !(worst <= 1) {
					t.Errorf("largest error %g times what is documented", worst)
				}
			})
		}
	}
}

// The gradient of a layer norm or a softmax is the derivative of what the other kernel computes.
func TestGradientKernelsMatchDifferences(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	const rows, h = 23, 1e-4
	for _, k := range []struct {
		name    string
		forward func(*Columns, []float64) []float64
		run     func(set *Set, c *Columns, y []float64)
	}{
		{"layer norm", layerNormReference, func(set *Set, c *Columns, _ []float64) { set.LayerNormGradient(c) }},
		{"softmax", softmaxReference, func(set *Set, c *Columns, y []float64) {
			for r, v := range y {
				c.X[r*c.XStride] = float32(v)
			}
			set.SoftmaxGradient(c)
		}},
	} {
		for _, set := range Available() {
			c := gradientBlock(rng, set, rows, 1, 2)
			x, g := column(c, 0), gradientColumn(c, 0)
			direction := normals(rng, rows)
			step := func(by float64) float64 {
				moved, sum := make([]float64, rows), 0.0
				for r := range moved {
					moved[r] = x[r] + by*float64(direction[r])
				}
				for r, v := range k.forward(c, moved) {
					sum += v * g[r]
				}
				return sum
			}
			want := (step(h) - step(-h)) / (2 * h)
			k.run(set, c, k.forward(c, x))
			got := 0.0
			for r := range rows {
				got += float64(c.Y[r*c.YStride]) * float64(direction[r])
			}
			if math.Abs(got-want) > 1e-5*(1+math.Abs(want)) {
				t.Errorf("%s of %s: derivative %g along a direction, differences give %g", k.name, set.Name, got, want)
			}
		}
	}
}

// The layers overwrite the gradient that they are given.
func TestGradientKernelsWorkInPlace(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for _, k := range gradientKernels {
		for _, set := range Available() {
			c := gradientBlock(rng, set, 37, 21, k.spread)
			k.run(set, c)
			in := *c
			in.Y, in.YStride = in.G, in.GStride
			k.run(set, &in)
			for r := range c.Rows {
				for j := range c.Cols {
					if a, b := c.Y[r*c.YStride+j], in.Y[r*in.YStride+j]; a != b {
						t.Fatalf("%s of %s: row %d, column %d: %g in place, %g elsewhere", k.name, set.Name, r, j, b, a)
					}
				}
			}
		}
	}
}

// A column's gradient is the same bits whichever columns are computed with it.
func TestGradientKernelsIgnoreNeighbours(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	for _, k := range gradientKernels {
		for _, set := range Available() {
			c := gradientBlock(rng, set, 37, 43, k.spread)
			k.run(set, c)
			for j := range c.Cols {
				alone := *c
				alone.X, alone.G, alone.Cols, alone.Y = c.X[j:], c.G[j:], 1, make([]float32, len(c.Y))
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

// A value that is not finite spoils its own column, in X as in G, and no other.
func TestGradientKernelsPropagateNaN(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	for _, k := range gradientKernels {
		for _, set := range Available() {
			for _, bad := range []float64{math.NaN(), math.Inf(1)} {
				for at := range 10 {
					c := gradientBlock(rng, set, 5, 19, k.spread)
					if at < 5 {
						c.X[at*c.XStride+11] = float32(bad)
					} else {
						c.G[(at-5)*c.GStride+11] = float32(bad)
					}
					k.run(set, c)
					for j := range c.Cols {
						bad := 0
						for r := range c.Rows {
							if y := float64(c.Y[r*c.YStride+j]); math.IsNaN(y) || math.IsInf(y, 0) {
								bad++
							}
						}
						if (bad > 0) != (j == 11) {
							t.Errorf("%s of %s, case %d: column %d has %d values that are not finite", k.name, set.Name, at, j, bad)
						}
					}
				}
			}
		}
	}
}

// What is to be added is added, and nothing else changes.
func TestLayerNormGradientAdds(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	for _, set := range Available() {
		for _, cols := range []int{1, 16, 37} {
			c := gradientBlock(rng, set, 23, cols, 2)
			set.LayerNormGradient(c)
			added := *c
			added.Res, added.Y = normals(rng, len(c.Y)), append([]float32(nil), c.Y...)
			set.LayerNormGradient(&added)
			for r := range c.Rows {
				for j := range cols {
					i := r*c.YStride + j
					want := float64(c.Y[i]) + float64(added.Res[i])
					if math.Abs(float64(added.Y[i])-want) > 3e-7*(math.Abs(float64(c.Y[i]))+math.Abs(float64(added.Res[i]))) {
						t.Fatalf("%s: row %d, column %d: %g, want %g", set.Name, r, j, added.Y[i], want)
					}
				}
			}
			checkGuards(t, set, &added)
		}
	}
}

func geluSlopeReference(x float64) float64 {
	return math.Erfc(-x/math.Sqrt2)/2 + x*math.Exp(-x*x/2)/math.Sqrt(2*math.Pi)
}

func TestGELUSlopeMatchesDefinition(t *testing.T) {
	const bound = 5e-7
	for _, set := range Available() {
		t.Run(set.Name, func(t *testing.T) {
			var x []float32
			for i := range 300001 {
				x = append(x, float32(i-150000)/10000)
			}
			x = append(x, 20, -20, 100, -1e4, 1e18, -1e30, 3e38, -3e38, float32(math.Inf(1)), float32(math.Inf(-1)))
			c := &Columns{Rows: 1, Cols: len(x), X: append(x, make([]float32, Slack)...), Y: make([]float32, len(x)+Slack), G: make([]float32, len(x)+Slack)}
			set.GELUSlope(c)
			plain := *c
			plain.Y = make([]float32, len(c.Y))
			set.GELU(&plain)
			worst, at := 0.0, float32(0)
			for i, v := range x {
				want := geluSlopeReference(math.Max(-1e3, math.Min(1e3, float64(v))))
				if e := math.Abs(float64(c.G[i]) - want); e > worst || math.IsNaN(e) {
					worst, at = e, v
				}
				if d := math.Abs(float64(c.Y[i] - plain.Y[i])); d > 1e-6*math.Max(1, math.Abs(float64(v))) {
					t.Fatalf("GELU(%g) is %g with the slope, %g without", v, c.Y[i], plain.Y[i])
				}
			}
			t.Logf("largest error %.2g at %g", worst, at)
			if !(worst <= bound) {
				t.Errorf("error %g at %g, documented %g", worst, at, bound)
			}
		})
	}
}

func TestGELUSlopeAndMultiplyOfOddLengths(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	for _, set := range Available() {
		for n := 1; n <= 50; n++ {
			c := gradientBlock(rng, set, 1, n, 2)
			if n > 4 {
				c.X[3] = float32(math.NaN())
			}
			before := append([]float32(nil), c.G...)
			set.GELUSlope(c)
			checkGuards(t, set, c)
			for j, v := range c.X[:n] {
				want, got := geluSlopeReference(float64(v)), float64(c.G[j])
				if math.IsNaN(want) != math.IsNaN(got) || math.Abs(got-want) > 5e-7 {
					t.Fatalf("%s: element %d of %d: GELU'(%g) = %g, want %g", set.Name, j, n, v, got, want)
				}
			}
			for i := (n + set.Lanes - 1) / set.Lanes * set.Lanes; i < len(c.G); i++ {
				if c.G[i] != before[i] {
					t.Fatalf("%s: element %d beyond %d slopes became %g", set.Name, i, n, c.G[i])
				}
			}
			set.Multiply(c)
			checkGuards(t, set, c)
			for j, v := range c.X[:n] {
				if want := v * c.G[j]; c.Y[j] != want && want == want {
					t.Fatalf("%s: element %d of %d: %g·%g = %g", set.Name, j, n, v, c.G[j], c.Y[j])
				}
			}
		}
	}
}

func TestAffineMatchesDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 11))
	for _, set := range Available() {
		for n := 1; n <= 50; n++ {
			for _, add := range []bool{false, true} {
				c := gradientBlock(rng, set, 1, n, 2)
				if add {
					c.Res = normals(rng, len(c.Y))
				}
				if n > 3 {
					c.X[3] = float32(math.NaN())
				}
				set.Affine(c)
				checkGuards(t, set, c)
				for j, x := range c.X[:n] {
					want, size := float64(c.Gamma[0])*float64(x)+float64(c.Beta[0]), math.Abs(float64(c.Gamma[0])*float64(x))+math.Abs(float64(c.Beta[0]))
					if add {
						want, size = want+float64(c.Res[j]), size+math.Abs(float64(c.Res[j]))
					}
					if got := float64(c.Y[j]); math.IsNaN(want) != math.IsNaN(got) || math.Abs(got-want) > 3e-7*size {
						t.Fatalf("%s: element %d of %d is %g, want %g", set.Name, j, n, got, want)
					}
				}
			}
		}
	}
}

func TestTransposeMatchesDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	up := func(n int) int { return (n + TransposeSide - 1) / TransposeSide * TransposeSide }
	for _, set := range Available() {
		for _, rows := range []int{1, 7, 8, 9, 16, 50} {
			for _, cols := range []int{1, 7, 8, 9, 33} {
				c := &Columns{Rows: rows, Cols: cols, XStride: up(cols) + rng.IntN(9), YStride: up(rows) + rng.IntN(9)}
				c.X, c.Y = normals(rng, up(rows)*c.XStride+1)[1:], make([]float32, up(cols)*c.YStride+20)[1:]
				for i := range c.Y {
					c.Y[i] = guard
				}
				c.X[0] = float32(math.NaN())
				set.Transpose(c)
				for i := range c.Y {
					row, at := i/c.YStride, i%c.YStride
					switch {
					case row < cols && at < rows:
						if want := c.X[at*c.XStride+row]; math.Float32bits(c.Y[i]) != math.Float32bits(want) {
							t.Fatalf("%s: %dx%d: element %d, %d is %g, want %g", set.Name, rows, cols, row, at, c.Y[i], want)
						}
					case (row >= up(cols) || at >= up(rows)) && c.Y[i] != guard:
						t.Fatalf("%s: %dx%d: element %d, %d beyond the whole squares became %g", set.Name, rows, cols, row, at, c.Y[i])
					}
				}
			}
		}
	}
}

// Rows follow each other without a gap, as an example's tokens do, and what lies beyond the last is not a number.
func TestDotsMatchDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(10, 10))
	for _, set := range Available() {
		for _, cols := range []int{1, 7, 8, 9, 15, 16, 17, 32, 50, 197} {
			const rows, step = 3, 5
			nan := float32(math.NaN())
			c := &Columns{Rows: rows, Cols: cols, XStride: cols, GStride: cols, YStride: step,
				X: append(normals(rng, rows*cols), nan), G: append(normals(rng, rows*cols), nan), Y: make([]float32, rows*step)}
			for i := range c.Y {
				c.Y[i] = guard
			}
			if cols > 8 {
				c.G[cols+8] = float32(math.Inf(1)) // spoils row 1 alone
			}
			set.Dots(c)
			for i, y := range c.Y {
				if i%step != 0 {
					if y != guard {
						t.Fatalf("%s: %d columns: element %d became %g", set.Name, cols, i, y)
					}
					continue
				}
				var want, size float64
				for j := range cols {
					v := float64(c.X[i/step*cols+j]) * float64(c.G[i/step*cols+j])
					want += v
					size += math.Abs(v)
				}
				if i/step == 1 && cols > 8 {
					if !math.IsInf(float64(y), 0) && !math.IsNaN(float64(y)) {
						t.Fatalf("%s: %d columns: infinity gives %g", set.Name, cols, y)
					}
				} else if !(math.Abs(float64(y)-want) <= 0x1p-23*float64(cols+4)*size) {
					t.Fatalf("%s: %d columns: row %d is %g, want %g", set.Name, cols, i/step, y, want)
				}
			}
		}
	}
}
