package kernel

import (
	"math"
	"math/rand/v2"
	"testing"
)

// LayerNorm of the same set, rounded, is what the kernel promises bit for bit; LayerNorm itself is tested against its definition.
func TestLayerNormCellsIsLayerNormRounded(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 15))
	for _, set := range AvailableBF16() {
		for _, rows := range []int{1, 2, 3, 17, 50, 197} {
			for _, cols := range []int{1, 7, 8, 9, 15, 16, 17, 33, 50} {
				c := block(rng, set, rows, cols, 3)
				if rows > 2 {
					c.X[2*c.XStride+cols/2] = float32([]float64{math.NaN(), math.Inf(1), 1e-39, 1}[rng.IntN(4)])
				}
				plain := *c
				plain.Y = clone(c.Y)
				set.LayerNorm(&plain)
				set.LayerNormCells(c)
				for i := range (rows + 1) / 2 {
					for j := range cols {
						even, odd := plain.Y[2*i*c.YStride+j], float32(0)
						if 2*i+1 < rows {
							odd = plain.Y[(2*i+1)*c.YStride+j]
						}
						if got, want := math.Float32bits(c.Y[i*c.YStride+j]), math.Float32bits(Cell(even, odd)); got != want {
							t.Fatalf("%s, %dx%d: cell %d of column %d is %08x, want %08x", set.Name, rows, cols, i, j, got, want)
						}
					}
				}
				c.Rows = (rows + 1) / 2 // of Y
				checkGuards(t, set, c)
			}
		}
	}
}

// Every bfloat16 value in either half, elsewhere and in place.
func TestGELUCellsIsGELURounded(t *testing.T) {
	const n = 1 << 16
	x := make([]float32, n+Slack)
	even, odd := make([]float32, n+Slack), make([]float32, n+Slack)
	for i := range n {
		h := uint32(i)
		x[i] = math.Float32frombits(h | (h*40503&0xffff)<<16) // an odd factor: the high halves take every value too
		even[i], odd[i] = Halves(x[i])
	}
	for _, set := range AvailableBF16() {
		y, evenY, oddY := make([]float32, n+Slack), make([]float32, n+Slack), make([]float32, n+Slack)
		set.GELUCells(&Columns{X: x, Y: y, Rows: 1, Cols: n})
		set.GELU(&Columns{X: even, Y: evenY, Rows: 1, Cols: n})
		set.GELU(&Columns{X: odd, Y: oddY, Rows: 1, Cols: n})
		inPlace := clone(x)
		set.GELUCells(&Columns{X: inPlace, Y: inPlace, Rows: 1, Cols: n})
		for i := range n {
			got, want := math.Float32bits(y[i]), math.Float32bits(Cell(evenY[i], oddY[i]))
			if got != want || math.Float32bits(inPlace[i]) != want {
				t.Fatalf("%s: GELU of %08x is %08x, in place %08x, want %08x", set.Name, math.Float32bits(x[i]), got, math.Float32bits(inPlace[i]), want)
			}
		}
	}
}

func TestGELUCellsOfOddLengths(t *testing.T) {
	rng := rand.New(rand.NewPCG(16, 16))
	for _, set := range AvailableBF16() {
		for n := 1; n <= 50; n++ {
			c := block(rng, set, 1, n, 2)
			CellsOf(c.X, c.X, c.X)
			set.GELUCells(c)
			checkGuards(t, set, c)
			for j := range n {
				x, y := halves64(c.X[j]), halves64(c.Y[j])
				for h := range x {
					want := x[h] / 2 * math.Erfc(-x[h]/math.Sqrt2)
					if !(math.Abs(y[h]-want) <= 5e-7+0x1p-8*math.Abs(want)) {
						t.Fatalf("%s: half %d of element %d of %d: GELU(%g) = %g, want %g", set.Name, h, j, n, x[h], y[h], want)
					}
				}
			}
		}
	}
}

func halves64(cell float32) [2]float64 {
	even, odd := Halves(cell)
	return [2]float64{float64(even), float64(odd)}
}
