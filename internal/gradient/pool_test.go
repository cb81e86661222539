package gradient

import (
	"math"
	"math/rand/v2"
	"testing"
)

// powers is the sum of w[c]·k[c]^q[c], of which the slope at the kept end is q[c] times the mean slope, and of pairs a[c]·k[c]·k[c+1].
type powers struct{ w, q, a []float64 }

// derivatives fills d with those at k.
func (f powers) derivatives(k, d []float64) {
	for c := range d {
		d[c] = f.w[c] * f.q[c] * math.Pow(k[c], f.q[c]-1)
		if c+1 < len(d) {
			d[c] += f.a[c] * k[c+1]
		}
		if c > 0 {
			d[c] += f.a[c-1] * k[c-1]
		}
	}
}

// coefficient is that of component c where the others are kept with this probability.
func (f powers) coefficient(c int, kept float64) float64 {
	v := f.w[c]
	if c+1 < len(f.w) {
		v += f.a[c] * kept
	}
	if c > 0 {
		v += f.a[c-1] * kept
	}
	return v
}

// newPowers draws functions of exponents q. Sizes of components differ by tens of times, alike in all functions; of what pairs add, the
// share common (in squares) is the same in all.
func newPowers(n, p int, q func(c int) float64, common float64, random *rand.Rand) []powers {
	size, shared := make([]float64, p), make([]float64, p)
	for c := range p {
		size[c], shared[c] = math.Exp(random.NormFloat64()), random.NormFloat64()
	}
	functions := make([]powers, n)
	for i := range functions {
		f := powers{make([]float64, p), make([]float64, p), make([]float64, p)}
		for c := range p {
			f.w[c], f.q[c] = size[c]*(1+0.5*random.NormFloat64()), q(c)
			f.a[c] = 2 * math.Sqrt(size[c]*size[(c+1)%p]) * (math.Sqrt(common)*shared[c] + math.Sqrt(1-common)*random.NormFloat64())
		}
		functions[i] = f
	}
	return functions
}

// balanced draws rows as ablate.SoftSampler does: blocks that soften every component once, at values of a sequence of low discrepancy.
func balanced(nRows, p int, fraction float64, random *rand.Rand) [][]float64 {
	rows, offset, slot := make([][]float64, nRows), make([]float64, p), make([]int, p)
	for c := range offset {
		offset[c] = random.Float64()
	}
	block := int(1 / (2 * fraction))
	for r := range rows {
		rows[r] = make([]float64, p)
		for c := range p {
			if r%block == 0 {
				slot[c] = random.IntN(block)
			}
			rows[r][c] = 1
			if slot[c] == r%block {
				_, rows[r][c] = math.Modf(offset[c] + float64(r/block)*math.Phi)
			}
		}
	}
	return rows
}

// errorOfSlopes is the squared error of estimates from the same 50 rows of all functions, relative to that with one slope for each component group.
func errorOfSlopes(functions []powers, random *rand.Rand) float64 {
	const nRows, fraction = 50, 0.1
	p := len(functions[0].w)
	rows := Rows{Softened: make([]int, p), Kept: make([]int, p), MeanKeep: make([]float64, p), Groups: []int{p / 2, p - p/2}}
	examples := make([]Example, len(functions))
	for i := range examples {
		examples[i] = Example{Sum: make([]float64, p), SumSq: make([]float64, p), KeptSum: make([]float64, p), Margins: make([]float64, nRows)}
	}
	d := make([]float64, p)
	for _, k := range balanced(nRows, p, fraction, random) {
		for c, v := range k {
			if v < 1 {
				rows.Softened[c]++
			} else {
				rows.Kept[c]++
			}
		}
		for i, f := range functions {
			f.derivatives(k, d)
			for c, v := range d {
				if k[c] == 1 {
					examples[i].KeptSum[c] += v
				} else {
					examples[i].Sum[c] += v
					examples[i].SumSq[c] += v * v
				}
			}
		}
	}
	pool := NewPool(rows)
	for _, e := range examples {
		pool.Add(e)
	}
	squares := func(e *Estimator) (sum float64) {
		for i, f := range functions {
			for c, v := range e.Estimate(examples[i]).Theta {
				sum += math.Pow(v-f.coefficient(c, 1-fraction), 2)
			}
		}
		return sum
	}
	own, grouped := pool.Fit(), pool.Fit()
	for _, g := range grouped.groups {
		rho, _ := g.fit()
		for c := g.first; c < g.last; c++ {
			grouped.rho[c] = rho
		}
	}
	return squares(own) / squares(grouped)
}

// Where components differ in how much of their slope at the kept end they retain, the examples say so together; one alone does not.
func TestSlopesDifferWhereComponentsDo(t *testing.T) {
	const p, studies = 120, 20
	for _, n := range []int{1, 2, 10, 60} {
		ratio := 0.0
		for seed := range uint64(studies) {
			random := rand.New(rand.NewPCG(seed, 0))
			functions := newPowers(n, p, func(c int) float64 { return 1 + float64(c%4) }, 0.1, random)
			ratio += errorOfSlopes(functions, random) / studies
		}
		if bound := map[bool]float64{true: 1.01, false: 0.96}[n == 1]; ratio > bound {
			t.Errorf("%d examples: squared error %.3f of that with one slope for each group, want at most %g", n, ratio, bound)
		}
	}
}

// What slopes scatter beyond their errors is found whatever their precision, and nothing where there is nothing.
func TestScatter(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 0))
	const groups, size = 400, 30
	for _, tau := range []float64{0, 0.05, 0.3, 2} {
		var excess, scale float64
		for range groups {
			components, precision := make([]componentPool, size), make([]float64, size)
			for c := range components {
				precision[c] = math.Exp(4 + 2*random.NormFloat64())
				kk := math.Exp(random.NormFloat64())
				components[c] = componentPool{kk: kk, sk: kk * (0.7 + tau*random.NormFloat64() + random.NormFloat64()/math.Sqrt(precision[c]))}
			}
			precision[0] = 0 // one that no row keeps
			components[0] = componentPool{}
			q, s := scatter(components, precision)
			excess, scale = excess+q, scale+s
		}
		if got := excess / scale; math.Abs(got-tau*tau) > 0.05*tau*tau+5e-5 {
			t.Errorf("variance %g of slopes that have %g", got, tau*tau)
		}
	}
	if q, s := scatter(make([]componentPool, 3), make([]float64, 3)); q != 0 || s != 0 {
		t.Errorf("no slope: %g, %g", q, s)
	}
}
