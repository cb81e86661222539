package kernel

import (
	"math"
	"math/rand/v2"
	"testing"
)

// randomTile draws a tile with arbitrary offsets, strides and guard cells around its output.
func randomTile(rng *rand.Rand, rows, vecs, lanes, k int) *Tile {
	t := &Tile{A: normals(rng, 4000), B: normals(rng, 4000), Out: make([]float32, 4000), Res: normals(rng, 4000),
		BAt: rng.IntN(100), BStep: 1 + rng.IntN(3*lanes), OutAt: rng.IntN(100), ResAt: rng.IntN(100), Last: 1 + rng.IntN(lanes), ReLU: rng.IntN(2)}
	if rng.IntN(2) == 0 {
		t.Res = nil
	}
	for range k {
		t.K = append(t.K, Offset{A: int32(rng.IntN(1000)), B: int32(rng.IntN(1000))})
	}
	for i, o := range rng.Perm(MaxRows) {
		t.ARow[i] = int32(rng.IntN(2000))
		t.OutRow[i], t.ResRow[i] = int32(200+o*vecs*lanes), int32(rng.IntN(2000))
		t.Scale[i], t.Shift[i] = float32(rng.NormFloat64()), float32(rng.NormFloat64())
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
	for r := range rows {
		for j := range (vecs-1)*lanes + t.Last {
			v, lane := j/lanes, j%lanes
			acc := 0.0
			for _, k := range t.K {
				acc += float64(t.A[int(t.ARow[r])+int(k.A)]) * float64(t.B[t.BAt+v*t.BStep+int(k.B)+lane])
			}
			y := acc*float64(t.Scale[r]) + float64(t.Shift[r])
			if len(t.Res) > 0 {
				y += float64(t.Res[int(t.ResRow[r])+t.ResAt+j])
			}
			if t.ReLU != 0 {
				y = max(y, 0)
			}
			want[int(t.OutRow[r])+t.OutAt+j] = y
		}
	}
	return want
}

func TestTileMatchesDefinition(t *testing.T) {
	for _, set := range Available() {
		t.Run(set.Name, func(t *testing.T) {
			seed := rand.Uint64()
			rng := rand.New(rand.NewPCG(seed, 1))
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
									t.Fatalf("%dx%d k=%d seed %d: guard cell %d overwritten with %g", rows, vecs, k, seed, i, got)
								}
								continue
							}
							if math.Abs(got-w) > 1e-5*(10+math.Abs(w))*math.Sqrt(float64(k)+1) {
								t.Fatalf("%dx%d k=%d seed %d: Out[%d] = %g, want %g", rows, vecs, k, seed, i, got, w)
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
			tile := &Tile{A: []float32{1, bad}, B: make([]float32, 64), K: []Offset{{}, {A: 1}}, Out: make([]float32, 64), Last: set.Lanes, ReLU: 1, BStep: set.Lanes}
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
			t := &Tile{A: normals(rng, MaxRows*k), B: normals(rng, k*64), Out: make([]float32, 4000), Last: set.Lanes, BStep: set.Lanes}
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
