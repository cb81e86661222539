package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// randomCellTile draws a tile over cells: rows in all forms, output cells that hold something already, and now and then
// two rows that are the halves of the same cells without being a pair.
func randomCellTile(rng *rand.Rand, rows, vecs, lanes, k int) *CellTile {
	t := &CellTile{Tile: *randomTile(rng, rows, vecs, lanes, k)}
	for _, x := range [][]float32{t.A, t.A2, t.B} {
		CellsOf(x, x, normals(rng, len(x)))
	}
	for i := range t.Out {
		t.Out[i] = math.Float32frombits(rng.Uint32())
	}
	halves := rng.IntN(2) == 0 // of Res, whose elements are read in one form only
	if halves && t.Res != nil {
		CellsOf(t.Res, t.Res, normals(rng, len(t.Res)))
	}
	for r := range rows {
		t.OutForm[r] = Form(rng.IntN(4))
		if t.OutForm[r] == Pair && r == rows-1 {
			t.OutForm[r] = Low
		}
		if r > 0 && t.OutForm[r-1] == Low && rng.IntN(2) == 0 {
			t.OutForm[r], t.OutRow[r] = High, t.OutRow[r-1]
		}
		if halves {
			t.ResForm[r] = Low + Form(rng.IntN(2))
		}
	}
	return t
}

// element is what one element of Out must hold, and the bits of it that a tile computes.
type element struct {
	f32, low, high float64 // of which whole says which
	whole          bool
	old, written   uint32
}

// cellReference computes a tile over cells in float64.
func cellReference(t *CellTile, rows, vecs, lanes int) []element {
	want := make([]element, len(t.Out))
	for i, x := range t.Out {
		want[i].old = math.Float32bits(x)
	}
	for _, s := range t.Spans {
		paired := false // with the row before
		for r := range rows {
			form, row := t.OutForm[r], int(t.OutRow[r])
			switch {
			case paired:
				form, row, paired = High, int(t.OutRow[r-1]), false
			case form == Pair:
				form, paired = Low, true
			}
			for j := range (vecs-1)*lanes + int(s.Last) {
				y := cellElement(t, s, r, j/lanes, j%lanes, j)
				w := &want[row+int(s.Out)+j]
				switch form {
				case F32:
					w.f32, w.whole, w.written = y, true, ^uint32(0)
				case Low:
					w.low, w.written = y, w.written|0xffff
				case High:
					w.high, w.written = y, w.written|0xffff0000
				}
			}
		}
	}
	return want
}

// cellElement is the value of row r at lane j of the span, which is the given lane of vector v.
func cellElement(t *CellTile, s Span, r, v, lane, j int) float64 {
	acc := 0.0
	add := func(a []float32, row int32, steps []Offset) {
		for _, k := range steps {
			aLow, aHigh := Halves(a[int(row)+int(k.A)])
			bLow, bHigh := Halves(t.B[int(s.In)+v*t.BStep+int(k.B)+lane])
			acc += float64(aLow)*float64(bLow) + float64(aHigh)*float64(bHigh)
		}
	}
	add(t.A, t.ARow[r], t.K)
	add(t.A2, t.A2Row[r], t.K2)
	y := acc*float64(t.Scale[r]) + float64(t.Shift[r])
	if len(t.Res) > 0 {
		x := t.Res[int(t.ResRow[r])+int(s.Res)+j]
		low, high := Halves(x)
		y += float64([]float32{F32: x, Low: low, High: high}[t.ResForm[r]])
	}
	if t.ReLU != 0 {
		y = max(y, 0)
	}
	return y
}

// checkCellTile runs a tile and fails where Out differs from the definition, be it in a half that had to stay.
func checkCellTile(t *testing.T, set *Set, tile *CellTile, rows, vecs int) {
	t.Helper()
	want := cellReference(tile, rows, vecs, set.Lanes)
	set.TileBF16(tile, rows, vecs)
	steps := float64(2*len(tile.K) + 2*len(tile.K2))
	for i, w := range want {
		bits := math.Float32bits(tile.Out[i])
		if (bits^w.old)&^w.written != 0 {
			t.Fatalf("%s %dx%d: Out[%d] was %08x, became %08x, should change under %08x", set.Name, rows, vecs, i, w.old, bits, w.written)
		}
		near := func(got float32, want, rounding float64) {
			if !(math.Abs(float64(got)-want) <= 1e-5*(10+math.Abs(want))*math.Sqrt(steps+1)+rounding*math.Abs(want)) {
				t.Fatalf("%s %dx%d, %g products: Out[%d] = %g, want %g", set.Name, rows, vecs, steps, i, got, want)
			}
		}
		low, high := Halves(tile.Out[i])
		if w.whole {
			near(tile.Out[i], w.f32, 0)
			continue
		}
		if w.written&1 != 0 {
			near(low, w.low, 0x1p-8)
		}
		if w.written>>31 != 0 {
			near(high, w.high, 0x1p-8)
		}
	}
}

func TestTileBF16MatchesDefinition(t *testing.T) {
	for _, set := range AvailableBF16() {
		t.Run(set.Name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 12))
			for rows := 1; rows <= set.MaxRows; rows++ {
				for vecs := 1; vecs <= set.MaxVecs; vecs++ {
					for trial := range 40 {
						k := []int{0, 1, 2, 3, 27, 300}[trial%6]
						checkCellTile(t, set, randomCellTile(rng, rows, vecs, set.Lanes, k), rows, vecs)
					}
				}
			}
		})
	}
}

// Products of bfloat16 values are exact in float32, so the order of additions alone decides the bits of a sum.
func TestTileBF16SumsAreTheSameBitsInEverySet(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 13))
	a, b := normals(rng, 500), normals(rng, 500+64)
	CellsOf(a, a, normals(rng, len(a)))
	CellsOf(b, b, normals(rng, len(b)))
	var first []float32
	for _, set := range AvailableBF16() {
		tile := &CellTile{Tile: Tile{A: a, B: b, Out: make([]float32, 64), BStep: set.Lanes, Spans: []Span{{Last: int32(set.Lanes)}}}}
		tile.Scale[0] = 1
		for i := range 500 {
			tile.K = append(tile.K, Offset{A: int32(i), B: int32(i)})
		}
		set.TileBF16(tile, 1, 16/set.Lanes)
		if first == nil {
			first = tile.Out
		}
		for j := range 16 {
			if tile.Out[j] != first[j] {
				t.Fatalf("%s has %g in lane %d, %s has %g", set.Name, tile.Out[j], j, AvailableBF16()[0].Name, first[j])
			}
		}
	}
}

// As for float32 tiles: a NaN must leave a tile in whatever form, and so must what overflows.
func TestTileBF16PropagatesNonFinite(t *testing.T) {
	for _, set := range AvailableBF16() {
		for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1))} {
			for _, form := range []Form{F32, Low, High, Pair} {
				tile := &CellTile{Tile: Tile{A: []float32{Cell(1, 1), Cell(1, bad)}, B: make([]float32, 64), K: []Offset{{}, {A: 1}},
					Out: make([]float32, 64), Spans: []Span{{Last: int32(set.Lanes)}}, ReLU: 1, BStep: set.Lanes}}
				tile.Scale[0], tile.Scale[1] = 1, 1
				tile.OutForm[0], tile.OutRow[1] = form, 32
				set.TileBF16(tile, 2, 1)
				low, high := Halves(tile.Out[0])
				got := map[Form][]float32{F32: tile.Out[:1], Low: {low}, High: {high}, Pair: {low, high}}[form]
				for _, v := range got {
					if v == v {
						t.Errorf("%s, form %d: %g times 0 came out as %g", set.Name, form, bad, v)
					}
				}
			}
		}
	}
}

func BenchmarkTileBF16(b *testing.B) {
	forms := map[string]Form{"f32": F32, "halves": Low, "pairs": Pair}
	for _, set := range AvailableBF16() {
		for _, name := range []string{"f32", "halves", "pairs"} {
			for _, k := range []int{32, 576} {
				b.Run(fmt.Sprintf("%s/%s/k=%d", set.Name, name, k), func(b *testing.B) {
					rng := rand.New(rand.NewPCG(1, 1))
					t := &CellTile{Tile: Tile{A: normals(rng, MaxRows*k), B: normals(rng, 64*64), Out: make([]float32, 4000), Spans: []Span{{Last: int32(set.Lanes)}}, BStep: set.Lanes}}
					CellsOf(t.A, t.A, t.A)
					CellsOf(t.B, t.B, t.B)
					for r := range MaxRows {
						t.ARow[r], t.OutRow[r], t.OutForm[r] = int32(r*k), int32(r*64), forms[name]
						if name != "f32" {
							t.OutRow[r] = int32(r / 2 * 64)
						}
						if name == "halves" {
							t.OutForm[r] = Low + Form(r%2)
						}
					}
					for i := range k {
						t.K = append(t.K, Offset{A: int32(i), B: int32(i % 64 * 48)})
					}
					for b.Loop() {
						set.TileBF16(t, set.MaxRows, set.MaxVecs)
					}
					flops := 4 * float64(set.MaxRows*set.MaxVecs*set.Lanes*k)
					b.ReportMetric(flops*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOPS")
				})
			}
		}
	}
}
