package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// withMatrix are the sets that have a matrix unit.
func withMatrix(t testing.TB) []*Set {
	var sets []*Set
	for _, s := range AvailableBF16() {
		if s.MatrixUnit() {
			sets = append(sets, s)
		}
	}
	if len(sets) == 0 {
		t.Skip("no matrix unit on this processor")
	}
	return sets
}

// randomMatrix draws a block of rows by vecs over steps of depth rows of cells; some rows are ablated, some have no residual.
func randomMatrix(rng *rand.Rand, rows, sides, vecs, depth, steps int) *Matrix {
	m := NewMatrix(depth)
	m.Rows, m.Stride, m.BStep = rows, 200+16*rng.IntN(3)+rng.IntN(2), 16+rng.IntN(20)
	m.A = cells(rng, steps*sides*MatrixWeights+Slack)
	m.B = cells(rng, 4096+16*m.Stride)
	for range steps {
		m.Steps = append(m.Steps, int32(rng.IntN(3000)))
	}
	m.ReLU, m.Cells = rng.IntN(2), rng.IntN(2)
	const long = 400 // from one row of Out and Res to the next
	m.Out = make([]float32, MatrixRows*long+600)
	for i := range m.Out {
		m.Out[i] = math.Float32frombits(rng.Uint32())
	}
	m.Res = normals(rng, len(m.Out))
	halves := rng.IntN(2) == 1
	if halves {
		CellsOf(m.Res, m.Res, normals(rng, len(m.Res)))
	}
	for r := range MatrixRows {
		m.Scale[r], m.Shift[r] = float32(rng.NormFloat64()), float32(rng.NormFloat64())
		if rng.IntN(6) == 0 {
			m.Scale[r] = 0
		}
		m.OutRow[r], m.ResRow[r] = int32(r*long), int32(r*long)
		if m.Cells == 0 && r >= rows || rng.IntN(8) == 0 {
			m.ResRow[r] = -1
		}
		if r >= rows {
			m.OutRow[r] = -1
		}
		if halves {
			m.Form[r] = Low + Form(rng.IntN(2))
		}
	}
	for i := range 1 + rng.IntN(3) {
		m.Spans = append(m.Spans, Span{In: int32(rng.IntN(50)), Out: int32(80*i + rng.IntN(3)), Res: int32(80*i + rng.IntN(3)), Last: int32(1 + rng.IntN(16))})
	}
	return m
}

func cells(rng *rand.Rand, n int) []float32 {
	x := normals(rng, n)
	CellsOf(x, x, normals(rng, n))
	return x
}

// matrixElement is the value of row r at lane j of the span.
func matrixElement(m *Matrix, s Span, sides, r, j int) float64 {
	acc := 0.0
	if m.Scale[r] != 0 {
		for i, step := range m.Steps {
			for c := range int(m.Config[48+6]) {
				aLow, aHigh := Halves(m.A[(i*sides+r/MatrixSide)*MatrixWeights+r%MatrixSide*MatrixSide+c])
				bLow, bHigh := Halves(m.B[int(s.In)+j/16*m.BStep+int(step)+c*m.Stride+j%16])
				acc += float64(aLow)*float64(bLow) + float64(aHigh)*float64(bHigh)
			}
		}
	}
	y := acc*float64(m.Scale[r]) + float64(m.Shift[r])
	if m.ResRow[r] >= 0 {
		x := m.Res[int(m.ResRow[r])+int(s.Res)+j]
		low, high := Halves(x)
		y += float64([]float32{F32: x, Low: low, High: high}[m.Form[r]])
	}
	if m.ReLU != 0 {
		y = max(y, 0)
	}
	return y
}

// runInParts runs a block whose reduction pauses after every so many steps.
func runInParts(set *Set, m *Matrix, sides, vecs, part int) {
	steps, a := m.Steps, m.A
	m.Sums = make([]float32, len(m.Spans)*MatrixSums)
	for from := 0; from < len(steps); from += part {
		to := min(from+part, len(steps))
		m.Steps, m.A, m.Resume, m.Pause = steps[from:to], a[from*sides*MatrixWeights:], min(from, 1), min(len(steps)-to, 1)
		set.RunMatrix(m, sides, vecs)
	}
	m.Steps, m.A = steps, a
}

// checkMatrix runs a block and fails where Out differs from the definition, be it where it had to stay as it was, or from the
// same block in parts.
func checkMatrix(t *testing.T, set *Set, m *Matrix, sides, vecs int) {
	t.Helper()
	old := append([]float32(nil), m.Out...)
	set.RunMatrix(m, sides, vecs)
	if len(m.Steps) > 1 {
		whole := append([]float32(nil), m.Out...)
		copy(m.Out, old)
		runInParts(set, m, sides, vecs, 1+len(m.Steps)/3)
		for i, x := range whole {
			if math.Float32bits(x) != math.Float32bits(m.Out[i]) {
				t.Fatalf("%s %dx%d, %d steps: Out[%d] = %g in parts, %g whole", set.Name, sides, vecs, len(m.Steps), i, m.Out[i], x)
			}
		}
	}
	written := make([]bool, len(m.Out))
	near := func(at int, got float32, want, rounding float64) {
		products := float64(32 * len(m.Steps))
		if !(math.Abs(float64(got)-want) <= 1e-5*(10+math.Abs(want))*math.Sqrt(products+1)+rounding*math.Abs(want)) {
			t.Fatalf("%s %dx%d, %d steps: Out[%d] = %g, want %g", set.Name, sides, vecs, len(m.Steps), at, got, want)
		}
	}
	for _, s := range m.Spans {
		for r := range m.Rows {
			for j := range (vecs-1)*16 + int(s.Last) {
				want := matrixElement(m, s, sides, r, j)
				if m.Cells == 0 {
					at := int(m.OutRow[r]+s.Out) + j
					written[at] = true
					near(at, m.Out[at], want, 0)
					continue
				}
				at := int(m.OutRow[r&^1]+s.Out) + j
				written[at] = true
				low, high := Halves(m.Out[at])
				near(at, []float32{low, high}[r%2], want, 0x1p-8)
			}
		}
	}
	for i, w := range written {
		if !w && math.Float32bits(old[i]) != math.Float32bits(m.Out[i]) {
			t.Fatalf("%s %dx%d: Out[%d] was written", set.Name, sides, vecs, i)
		}
	}
}

func TestMatrixMatchesDefinition(t *testing.T) {
	for _, set := range withMatrix(t) {
		rng := rand.New(rand.NewPCG(1, 15))
		for sides := 1; sides <= 2; sides++ {
			for vecs := 1; vecs <= MatrixVecs(sides); vecs++ {
				for trial := range 60 {
					rows := (sides-1)*MatrixSide + 1 + rng.IntN(MatrixSide)
					steps := []int{0, 1, 2, 9, 70}[trial%5]
					checkMatrix(t, set, randomMatrix(rng, rows, sides, vecs, 1+rng.IntN(MatrixSide), steps), sides, vecs)
				}
			}
		}
	}
}

// A NaN or an infinity in a column reaches every row of it but the ablated ones, whose sum is not looked at.
func TestMatrixPropagatesNonFinite(t *testing.T) {
	for _, set := range withMatrix(t) {
		for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1))} {
			m := NewMatrix(2)
			m.A, m.B, m.Stride, m.BStep = make([]float32, MatrixWeights), make([]float32, 64), 16, 16
			m.A[0], m.A[16] = Cell(1, 1), Cell(1, 1)
			m.B[16] = Cell(0, bad) // a weight of zero
			m.Steps, m.Out, m.Spans, m.Rows, m.ReLU = []int32{0}, make([]float32, 64), []Span{{Last: 16}}, 2, 1
			m.Scale[0], m.OutRow[1], m.ResRow[0], m.ResRow[1] = 1, 16, -1, -1
			m.Shift[1] = 3
			set.RunMatrix(m, 1, 1)
			if y := m.Out[0]; y == y {
				t.Errorf("%s: %g times 0 came out as %g", set.Name, bad, y)
			}
			if y := m.Out[16]; y != 3 {
				t.Errorf("%s: an ablated row is %g where a column holds %g", set.Name, y, bad)
			}
		}
	}
}

func TestRoundRowsMatchesDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(17, 1))
	for _, set := range withMatrix(t) {
		for _, cols := range []int{1, 2, 15, 16, 17, 31, 32, 33, 64, 197, 300} {
			for _, rows := range []int{1, 5, 16} {
				lines := (cols + 31) / 32
				stride := cols + rng.IntN(cols+1)
				c := Columns{X: normals(rng, (rows-1)*stride+cols), Y: normals(rng, lines*(256+40)), Rows: rows, Cols: cols, XStride: stride, YStride: 256 + rng.IntN(40)}
				old := append([]float32(nil), c.Y...)
				set.RoundRows(&c)
				for i, got := range c.Y {
					line, r, cell := i/c.YStride, i%c.YStride/16, i%c.YStride%16
					want := old[i]
					if line < lines && r < rows {
						at := func(j int) float32 {
							if j >= cols {
								return 0
							}
							return c.X[r*c.XStride+j]
						}
						want = Cell(at(32*line+2*cell), at(32*line+2*cell+1))
					}
					if math.Float32bits(got) != math.Float32bits(want) {
						t.Fatalf("%s, %dx%d: cell %d of row %d in line %d is %08x, want %08x", set.Name, rows, cols, cell, r, line, math.Float32bits(got), math.Float32bits(want))
					}
				}
			}
		}
	}
}

// FuzzMatrix runs blocks of any shape against the definition.
func FuzzMatrix(f *testing.F) {
	f.Add(uint64(1), uint8(0), uint8(0), uint8(0), uint8(0))
	f.Add(uint64(2), uint8(31), uint8(1), uint8(15), uint8(27))
	f.Add(uint64(3), uint8(12), uint8(3), uint8(7), uint8(144))
	sets := withMatrix(f)
	f.Fuzz(func(t *testing.T, seed uint64, rows, vecs, depth, steps uint8) {
		r := 1 + int(rows)%MatrixRows
		sides := (r + MatrixSide - 1) / MatrixSide
		v := 1 + int(vecs)%MatrixVecs(sides)
		for _, set := range sets {
			checkMatrix(t, set, randomMatrix(rand.New(rand.NewPCG(seed, 16)), r, sides, v, 1+int(depth)%MatrixSide, int(steps)), sides, v)
		}
	})
}

func BenchmarkMatrix(b *testing.B) {
	for _, set := range withMatrix(b) {
		for _, steps := range []int{2, 9, 72} {
			b.Run(fmt.Sprintf("%s/steps=%d", set.Name, steps), func(b *testing.B) {
				rng := rand.New(rand.NewPCG(1, 1))
				m := NewMatrix(MatrixSide)
				m.A, m.B, m.Stride, m.BStep = cells(rng, steps*2*MatrixWeights), cells(rng, 1<<16), 1040, 16
				m.Out, m.Rows, m.Cells = make([]float32, 1<<16), MatrixRows, 1
				for i := range steps {
					m.Steps = append(m.Steps, int32(i%8*16))
				}
				for i := range 16 {
					m.Spans = append(m.Spans, Span{In: int32(32 * i), Out: int32(32 * i), Last: 16})
				}
				for r := range MatrixRows {
					m.Scale[r], m.OutRow[r], m.ResRow[r] = 1, int32(r/2*2*1040), -1
				}
				for b.Loop() {
					set.RunMatrix(m, 2, 2)
				}
				flops := 2 * 32 * 32 * 32 * float64(steps*len(m.Spans))
				b.ReportMetric(flops*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOPS")
			})
		}
	}
}
