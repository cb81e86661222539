package kernel

import (
	"math"
	"math/rand/v2"
	"testing"
)

// randomTile draws a tile with arbitrary offsets, strides and guard cells around its output.
func randomTile(rng *rand.Rand, rows, vecs, lanes, k int) *Tile {
	t := &Tile{A: normals(rng, 4000), B: normals(rng, 4000), Out: make([]float32, 4400), Res: normals(rng, 4000),
		A2: normals(rng, 4000), BStep: 1 + rng.IntN(3*lanes), ReLU: rng.IntN(2)}
	for s := range rng.IntN(4) {
		t.Spans = append(t.Spans, Span{In: int32(rng.IntN(100)), Out: int32(1300*s + rng.IntN(100)), Res: int32(rng.IntN(100)), Last: int32(1 + rng.IntN(lanes))})
	}
	if rng.IntN(2) == 0 {
		t.Res = nil
	}
	for range k {
		t.K = append(t.K, Offset{A: int32(rng.IntN(1000)), B: int32(rng.IntN(1000))})
	}
	for range rng.IntN(10) {
		t.K2 = append(t.K2, Offset{A: int32(rng.IntN(1000)), B: int32(rng.IntN(1000))})
	}
	for i, o := range rng.Perm(MaxRows) {
		t.ARow[i], t.A2Row[i] = int32(rng.IntN(2000)), int32(rng.IntN(2000))
		t.OutRow[i], t.ResRow[i] = int32(200+o*vecs*lanes), int32(rng.IntN(2000))
		t.Scale[i], t.Shift[i] = float32(rng.NormFloat64()), float32(rng.NormFloat64())
	}
	if rng.IntN(2) == 0 { // beyond the end of it, too
		t.Ahead, t.AheadStride = t.A, rng.IntN(1000)
	}
	return t
}

func normals(rng *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

// reference computes a tile in float64 and returns what Out must hold, NaN where it must stay untouched.
func reference(t *Tile, rows, vecs, lanes int) []float64 {
	want := make([]float64, len(t.Out))
	for i := range want {
		want[i] = math.NaN()
	}
	for _, s := range t.Spans {
		for r := range rows {
			for j := range (vecs-1)*lanes + int(s.Last) {
				v, lane := j/lanes, j%lanes
				acc := 0.0
				for _, k := range t.K {
					acc += float64(t.A[int(t.ARow[r])+int(k.A)]) * float64(t.B[int(s.In)+v*t.BStep+int(k.B)+lane])
				}
				for _, k := range t.K2 {
					acc += float64(t.A2[int(t.A2Row[r])+int(k.A)]) * float64(t.B[int(s.In)+v*t.BStep+int(k.B)+lane])
				}
				y := acc*float64(t.Scale[r]) + float64(t.Shift[r])
				if len(t.Res) > 0 {
					y += float64(t.Res[int(t.ResRow[r])+int(s.Res)+j])
				}
				if t.ReLU != 0 {
					y = max(y, 0)
				}
				want[int(t.OutRow[r])+int(s.Out)+j] = y
			}
		}
	}
	return want
}

func TestTileMatchesDefinition(t *testing.T) {
	for _, set := range Available() {
		t.Run(set.Name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 1))
			for rows := 1; rows <= set.MaxRows; rows++ {
				for vecs := 1; vecs <= set.MaxVecs; vecs++ {
					for trial := range 20 {
						k := []int{0, 1, 2, 3, 27, 300}[trial%6]
						tile := randomTile(rng, rows, vecs, set.Lanes, k)
						want := reference(tile, rows, vecs, set.Lanes)
						set.Tile(tile, rows, vecs)
						for i, w := range want {
							got := float64(tile.Out[i])
							if math.IsNaN(w) {
								if got != 0 {
									t.Fatalf("%dx%d k=%d: guard cell %d overwritten with %g", rows, vecs, k, i, got)
								}
								continue
							}
							if math.Abs(got-w) > 1e-5*(10+math.Abs(w))*math.Sqrt(float64(k)+1) {
								t.Fatalf("%dx%d k=%d: Out[%d] = %g, want %g", rows, vecs, k, i, got, w)
							}
						}
					}
				}
			}
		})
	}
}

// A NaN or an infinity that reaches a tile must leave it: the runner refuses non-finite margins, so nothing may hide one.
func TestTilePropagatesNonFinite(t *testing.T) {
	for _, set := range Available() {
		for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1))} {
			tile := &Tile{A: []float32{1, bad}, B: make([]float32, 64), K: []Offset{{}, {A: 1}}, Out: make([]float32, 64), Spans: []Span{{Last: int32(set.Lanes)}}, ReLU: 1, BStep: set.Lanes}
			tile.Scale[0] = 1
			set.Tile(tile, 1, 1)
			if v := float64(tile.Out[0]); !math.IsNaN(v) {
				t.Errorf("%s: %g times 0 came out as %g", set.Name, bad, v)
			}
		}
	}
}

func BenchmarkTile(b *testing.B) {
	for _, set := range Available() {
		b.Run(set.Name, func(b *testing.B) {
			const k = 576
			rng := rand.New(rand.NewPCG(1, 1))
			t := &Tile{A: normals(rng, MaxRows*k), B: normals(rng, k*64), Out: make([]float32, 4000), Spans: []Span{{Last: int32(set.Lanes)}}, BStep: set.Lanes}
			for r := range MaxRows {
				t.ARow[r], t.OutRow[r] = int32(r*k), int32(r*64)
			}
			for i := range k {
				t.K = append(t.K, Offset{A: int32(i), B: int32(i % 64 * 48)})
			}
			for b.Loop() {
				set.Tile(t, set.MaxRows, set.MaxVecs)
			}
			flops := 2 * float64(set.MaxRows*set.MaxVecs*set.Lanes*k)
			b.ReportMetric(flops*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOPS")
		})
	}
}
