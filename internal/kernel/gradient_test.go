package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// drawGradient draws an argument block whose operands start anywhere and whose rows have gaps, with guards in what is written.
func drawGradient(rng *rand.Rand, rows, n int, relu, h, dot bool) *Gradient {
	g := &Gradient{Rows: rows, N: n, Scale: float32(rng.NormFloat64())}
	for _, row := range []*int{&g.GRow, &g.RawRow, &g.HRow, &g.DRow} {
		*row = n + rng.IntN(20)
	}
	operand := func(row int, spread float64) []float32 {
		x := normals(rng, rows*row+Slack+3)
		for i := range x {
			x[i] *= float32(spread)
		}
		return x[rng.IntN(3):]
	}
	guarded := func(n int) []float32 {
		x := make([]float32, n+Slack)
		for i := range x {
			x[i] = guard
		}
		return x
	}
	g.G, g.D = operand(g.GRow, 1), guarded(rows*g.DRow)
	if relu {
		g.SignRow = (n+15)/16*2 + rng.IntN(3)
		g.Signs = make([]byte, rows*g.SignRow+2)
		for i := range g.Signs {
			g.Signs[i] = byte(rng.Uint32())
		}
	}
	if h {
		g.H = guarded(rows * g.HRow)
	}
	if dot {
		g.Raw = operand(g.RawRow, 1)
		g.Sum = normals(rng, n+Slack)
		for i := range Slack {
			g.Sum[n+i] = guard
		}
	}
	return g
}

func TestGradientMatchesPortable(t *testing.T) {
	for _, set := range Available() {
		t.Run(set.Name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			for _, n := range []int{1, 3, 7, 8, 9, 15, 16, 17, 31, 33, 48, 64, 100} {
				for _, rows := range []int{0, 1, 2, 5} {
					for kind := range 6 {
						relu, h, dot := kind >= 2, kind >= 4, kind%2 == 1
						g := drawGradient(rng, rows, n, relu, h, dot)
						if rows > 1 {
							g.G[0], g.G[g.GRow] = float32(math.Inf(1)), float32(math.NaN())
						}
						want := *g
						want.D, want.H, want.Sum = append([]float32(nil), g.D...), append([]float32(nil), g.H...), append([]float32(nil), g.Sum...)
						gradientPortable(&want)
						set.Gradient(g)
						what := fmt.Sprintf("%d rows of %d, ReLU %t, residual %t, sums %t", rows, n, relu, h, dot)
						equal(t, what+": D", g.D, want.D)
						equal(t, what+": H", g.H, want.H)
						whole := (n + set.Lanes - 1) / set.Lanes * set.Lanes
						for j := range g.Sum {
							got, w := float64(g.Sum[j]), float64(want.Sum[j])
							if j < n && !(math.Abs(got-w) <= 1e-5) && !math.IsNaN(got+w) && got != w || j >= whole && got != guard {
								t.Fatalf("%s: sum %d is %g, want %g", what, j, got, w)
							}
						}
					}
				}
			}
		})
	}
}

// equal fails where a value is not exactly the one wanted; all NaNs are equal.
func equal(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i, w := range want {
		if got[i] != w && !(got[i] != got[i] && w != w) {
			t.Fatalf("%s: value %d is %g, want %g", what, i, got[i], w)
		}
	}
}

func TestSignsMatchesPortable(t *testing.T) {
	for _, set := range Available() {
		t.Run(set.Name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(5, 6))
			for _, n := range []int{1, 7, 8, 9, 15, 16, 17, 24, 33, 64, 100} {
				for _, rows := range []int{0, 1, 3} {
					s := Signs{Rows: rows, N: n, YRow: n + rng.IntN(20), BitRow: (n+15)/16*2 + rng.IntN(3)}
					s.Y = normals(rng, rows*s.YRow+Slack)
					s.Y[0] = float32(math.NaN())
					for i := 1; i < len(s.Y); i += 1 + rng.IntN(5) {
						s.Y[i] = float32(0 * s.Y[i])
					}
					s.Bits = make([]byte, rows*s.BitRow+2)
					want := s
					want.Bits = make([]byte, len(s.Bits))
					signsPortable(&want)
					set.Signs(&s)
					for i := range rows {
						for j := range s.BitRow {
							mask := byte(0xff) >> max(0, min(8, 8*(j+1)-n)) // the bits that mean something
							if 8*j >= (n+15)/16*16 {
								mask = 0xff // beyond the last vector: nothing is written
							}
							if got, w := s.Bits[i*s.BitRow+j], want.Bits[i*s.BitRow+j]; (got^w)&mask != 0 {
								t.Fatalf("%d rows of %d: byte %d of row %d is %08b, want %08b", rows, n, j, i, got, w)
							}
						}
					}
				}
			}
		})
	}
}

func BenchmarkGradient(b *testing.B) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, set := range Available() {
		for _, dot := range []bool{false, true} {
			g := drawGradient(rng, 16, 256, true, true, dot)
			b.Run(fmt.Sprintf("%s/sums=%t", set.Name, dot), func(b *testing.B) {
				for b.Loop() {
					set.Gradient(g)
				}
				b.ReportMetric(float64(g.Rows*g.N)*float64(b.N)/b.Elapsed().Seconds()/1e9, "Gelements/s")
			})
		}
	}
}
