package kernel

import (
	"math"
	"math/rand/v2"
	"testing"

	"coar/internal/kernel/abi"
)

const (
	wa, wb = abi.PointA, abi.PointB
	wsum   = wa*wa + wb*wb
)

// The transforms' matrices, written out from the points 0, ±a, ±b, ∞ with a·b = 1.
var (
	winogradB = [6][6]float64{ // Bᵀ
		{1, 0, -wsum, 0, 1, 0},
		{0, -wa * wb * wb, -wb * wb, wa, 1, 0},
		{0, wa * wb * wb, -wb * wb, -wa, 1, 0},
		{0, -wb * wa * wa, -wa * wa, wb, 1, 0},
		{0, wb * wa * wa, -wa * wa, -wb, 1, 0},
		{0, 1, 0, -wsum, 0, 1},
	}
	winogradA = [4][6]float64{ // Aᵀ
		{1, 1, 1, 1, 1, 0},
		{0, wa, -wa, wb, -wb, 0},
		{0, wa * wa, wa * wa, wb * wb, wb * wb, 0},
		{0, wa * wa * wa, -wa * wa * wa, wb * wb * wb, -wb * wb * wb, 1},
	}
)

// randomWinograd draws the arguments of a transform with arbitrary places, and guard cells around its output.
func randomWinograd(rng *rand.Rand, lanes, n int) *Winograd {
	w := &Winograd{X: normals(rng, 40000), Res: normals(rng, 4000), Scratch: make([]float32, WinogradProducts*lanes), N: n,
		Plane: 40*lanes + rng.IntN(50), XRow: rng.IntN(200), YRow: 30 * lanes, ResRow: rng.IntN(100), XStep: rng.IntN(64), YStep: lanes, ResStep: rng.IntN(50),
		Rows: rng.IntN(5), Cols: rng.IntN(5), ReLU: rng.IntN(2), Scaled: rng.IntN(2), Scale: float32(rng.NormFloat64()), Shift: float32(rng.NormFloat64())}
	w.Y = make([]float32, WinogradProducts*w.Plane+100)
	for i := range w.Y {
		w.Y[i] = guard
	}
	for j := range w.XCol {
		w.XCol[j] = int32(rng.IntN(500))
	}
	for i, j := range rng.Perm(4) {
		w.YCol[i], w.ResCol[i] = int32(5*lanes*j+rng.IntN(5)), int32(rng.IntN(300))
	}
	if rng.IntN(2) == 0 {
		w.Res = nil
	}
	return w
}

// product is the matrix product l·d·lᵀ, element (i, j).
func product(l func(i, k int) float64, d *[6][6]float64, i, j int) float64 {
	sum := 0.0
	for k := range 6 {
		for m := range 6 {
			sum += l(i, k) * d[k][m] * l(j, m)
		}
	}
	return sum
}

// checkCells fails where Y differs from want by more than 1e-5 of the magnitudes involved, or a guard cell was touched.
func checkCells(t *testing.T, set *Set, w *Winograd, want map[int]float64) {
	t.Helper()
	for i, got := range w.Y {
		v, written := want[i]
		if !written && got != guard {
			t.Fatalf("%s: guard cell %d overwritten with %g", set.Name, i, got)
		}
		if written && !(math.Abs(float64(got)-v) <= 2e-5*(10+math.Abs(v))) {
			t.Fatalf("%s: element %d is %g, want %g", set.Name, i, got, v)
		}
	}
}

func winogradInputReference(w *Winograd, lanes int) map[int]float64 {
	want := map[int]float64{}
	for at := range w.N * lanes {
		n, lane := at/lanes, at%lanes
		var d [6][6]float64
		for k := range 36 {
			d[k/6][k%6] = float64(w.X[k/6*w.XRow+int(w.XCol[k%6])+n*w.XStep+lane])
			if w.Scaled != 0 {
				d[k/6][k%6] *= float64(w.Scale)
			}
		}
		for k := range 36 {
			want[k*w.Plane+n*w.YStep+lane] = product(func(i, j int) float64 { return winogradB[i][j] }, &d, k/6, k%6)
		}
	}
	return want
}

func winogradOutputReference(w *Winograd, lanes int) map[int]float64 {
	want := map[int]float64{}
	for at := range w.N * lanes {
		n, lane := at/lanes, at%lanes
		var m [6][6]float64
		for k := range 36 {
			m[k/6][k%6] = float64(w.X[k*w.Plane+n*w.XStep+lane])
		}
		for i := range w.Rows {
			for j := range w.Cols {
				y := product(func(i, j int) float64 { return winogradA[i][j] }, &m, i, j)*float64(w.Scale) + float64(w.Shift)
				if w.Res != nil {
					y += float64(w.Res[i*w.ResRow+int(w.ResCol[j])+n*w.ResStep+lane])
				}
				if w.ReLU != 0 {
					y = max(y, 0)
				}
				want[i*w.YRow+int(w.YCol[j])+n*w.YStep+lane] = y
			}
		}
	}
	return want
}

func checkWinograd(t *testing.T, set *Set, rng *rand.Rand, n int) {
	t.Helper()
	w := randomWinograd(rng, set.Lanes, n)
	want := winogradInputReference(w, set.Lanes)
	set.WinogradInput(w)
	checkCells(t, set, w, want)
	w = randomWinograd(rng, set.Lanes, n)
	want = winogradOutputReference(w, set.Lanes)
	set.WinogradOutput(w)
	checkCells(t, set, w, want)
}

func TestWinogradTransformsMatchDefinition(t *testing.T) {
	for _, set := range Available() {
		t.Run(set.Name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 8))
			for trial := range 60 {
				checkWinograd(t, set, rng, trial%6)
			}
		})
	}
}

func FuzzWinograd(f *testing.F) {
	f.Add(uint64(1), uint8(0))
	f.Add(uint64(2), uint8(5))
	sets := Available()
	f.Fuzz(func(t *testing.T, seed uint64, n uint8) {
		for _, set := range sets {
			checkWinograd(t, set, rand.New(rand.NewPCG(seed, 9)), int(n)%6)
		}
	})
}

// A tile's 16 outputs are those of the convolution that the filter was made from.
func TestWinogradIsTheConvolution(t *testing.T) {
	for _, set := range Available() {
		rng := rand.New(rand.NewPCG(4, 4))
		lanes := set.Lanes
		filter, x := normals(rng, 9), normals(rng, 36*lanes)
		var u [WinogradProducts]float32
		WinogradFilter(filter, &u)
		in := &Winograd{X: x, Y: make([]float32, 36*lanes), Scratch: make([]float32, 36*lanes), N: 1, Plane: lanes, XRow: 6 * lanes}
		for j := range in.XCol {
			in.XCol[j] = int32(j * lanes)
		}
		set.WinogradInput(in)
		for i := range in.Y {
			in.Y[i] *= u[i/lanes]
		}
		out := &Winograd{X: in.Y, Y: make([]float32, 16*lanes), Scratch: in.Scratch, N: 1, Plane: lanes, YRow: 4 * lanes, Rows: 4, Cols: 4, Scale: 1}
		for j := range out.YCol {
			out.YCol[j] = int32(j * lanes)
		}
		set.WinogradOutput(out)
		for i, got := range out.Y {
			want := 0.0
			for k, g := range filter {
				want += float64(g) * float64(x[((i/lanes/4+k/3)*6+i/lanes%4+k%3)*lanes+i%lanes])
			}
			if math.Abs(float64(got)-want) > 1e-5*(1+math.Abs(want)) {
				t.Fatalf("%s: output %d is %g, want %g", set.Name, i, got, want)
			}
		}
	}
}

// What is not finite must not be hidden by the clamp; see TestTilePropagatesNonFinite.
func TestWinogradPropagatesNonFinite(t *testing.T) {
	for _, set := range Available() {
		w := &Winograd{X: make([]float32, 36*set.Lanes), Y: make([]float32, 16*set.Lanes), Scratch: make([]float32, 36*set.Lanes), N: 1,
			Plane: set.Lanes, YRow: 4 * set.Lanes, Rows: 4, Cols: 4, ReLU: 1, Scale: 1}
		for j := range w.YCol {
			w.YCol[j] = int32(j * set.Lanes)
		}
		w.X[0] = float32(math.NaN())
		set.WinogradOutput(w)
		if !math.IsNaN(float64(w.Y[0])) {
			t.Errorf("%s: NaN came out as %g", set.Name, w.Y[0])
		}
	}
}

func BenchmarkWinograd(b *testing.B) {
	for _, set := range Available() {
		rng := rand.New(rand.NewPCG(5, 5))
		const n = 8
		w := &Winograd{X: normals(rng, 40000), Y: make([]float32, 40000), Scratch: make([]float32, 36*set.Lanes), N: n, Plane: n * set.Lanes, XRow: 34 * set.Lanes,
			XStep: 4 * set.Lanes, YStep: set.Lanes}
		for j := range w.XCol {
			w.XCol[j] = int32(j * set.Lanes)
		}
		b.Run("input/"+set.Name, func(b *testing.B) {
			for b.Loop() {
				set.WinogradInput(w)
			}
			b.ReportMetric(b.Elapsed().Seconds()*1e9/float64(b.N)/n, "ns/vector")
		})
		o := &Winograd{X: w.Y, Y: w.X, Scratch: w.Scratch, N: n, Plane: n * set.Lanes, YRow: 34 * set.Lanes, XStep: set.Lanes, YStep: 4 * set.Lanes, Rows: 4, Cols: 4, Scale: 1, ReLU: 1}
		for j := range o.YCol {
			o.YCol[j] = int32(j * set.Lanes)
		}
		b.Run("output/"+set.Name, func(b *testing.B) {
			for b.Loop() {
				set.WinogradOutput(o)
			}
			b.ReportMetric(b.Elapsed().Seconds()*1e9/float64(b.N)/n, "ns/vector")
		})
	}
}
