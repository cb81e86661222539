package gradient

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"

	"gonum.org/v1/gonum/floats"
)

// product is a function of keep values far from linear, whose least-squares coefficients are known: the sum over pairs of
// neighbours of a[c]·k[c]·k[c+1], and of b[c]·k[c]². Under independent keep values with mean 1-f the coefficient of c is
// its mean at keep 1 less that at keep 0: b[c] + a[c](1-f) + a[c-1](1-f).
type product struct{ a, b []float64 }

func (f product) value(k []float64) float64 {
	v := 0.0
	for c := range k {
		v += f.b[c] * k[c] * k[c]
		if c+1 < len(k) {
			v += f.a[c] * k[c] * k[c+1]
		}
	}
	return v
}

func (f product) derivative(k []float64, c int) float64 {
	d := 2 * f.b[c] * k[c]
	if c+1 < len(k) {
		d += f.a[c] * k[c+1]
	}
	if c > 0 {
		d += f.a[c-1] * k[c-1]
	}
	return d
}

func (f product) coefficient(c int, fraction float64) float64 {
	d := f.b[c]
	if c+1 < len(f.b) {
		d += f.a[c] * (1 - fraction)
	}
	if c > 0 {
		d += f.a[c-1] * (1 - fraction)
	}
	return d
}

// sample draws nRows softened rows and what they say of f.
func sample(f product, nRows int, fraction float64, random *rand.Rand) (Rows, Example) {
	p := len(f.b)
	rows := Rows{Softened: make([]int, p), Kept: make([]int, p), MeanKeep: make([]float64, p), Groups: []int{p / 2, p - p/2}, Softening: NewSoftening(p)}
	e := Example{Sum: make([]float64, p), SumSq: make([]float64, p), KeptSum: make([]float64, p)}
	k, keep := make([]float64, p), make([]float32, p)
	for r := range nRows {
		for c := range k {
			k[c] = 1
			if random.Float64() < 2*fraction {
				k[c] = random.Float64()
			}
			keep[c] = float32(k[c])
			rows.MeanKeep[c] += k[c] / float64(nRows)
		}
		if r < MarginRows {
			rows.Softening.Add(keep)
		}
		e.Margins = append(e.Margins, f.value(k))
		for c := range k {
			d := f.derivative(k, c)
			if k[c] == 1 {
				rows.Kept[c]++
				e.KeptSum[c] += d
				continue
			}
			rows.Softened[c]++
			e.Sum[c] += d
			e.SumSq[c] += d * d
		}
	}
	return rows, e
}

// estimate is the estimate from one example alone.
func estimate(rows Rows, e Example) Attributions {
	pool := NewPool(rows)
	pool.Add(e)
	return pool.Fit().Estimate(e)
}

func newProduct(p int, random *rand.Rand) product {
	f := product{make([]float64, p), make([]float64, p)}
	for c := range p {
		f.a[c], f.b[c] = random.NormFloat64(), random.NormFloat64()
	}
	return f
}

// The estimate is the least-squares coefficient, although the function is far from linear in every keep value; and its
// standard errors cover as often as they should.
func TestEstimateFindsTheCoefficients(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 0))
	const p, fraction, studies = 60, 0.1, 80 // the share of 80 studies has a standard deviation of 0.4 %
	inside, all := 0, 0
	for range studies {
		f := newProduct(p, random)
		a := estimate(sample(f, 150, fraction, random))
		for c := range p {
			all++
			if math.Abs(a.Theta[c]-f.coefficient(c, fraction)) < 1.96*a.SE[c] {
				inside++
			}
		}
	}
	if share := float64(inside) / float64(all); share < 0.93 || share > 0.975 {
		t.Errorf("95 %% intervals cover %.1f %% of the coefficients", 100*share)
	}
	f := newProduct(p, random)
	a := estimate(sample(f, 100000, fraction, random))
	for c := range p {
		if want := f.coefficient(c, fraction); math.Abs(a.Theta[c]-want) > 0.05 {
			t.Errorf("component %d: %g, want %g", c, a.Theta[c], want)
		}
	}
	if mean := estimate(sample(f, 100000, fraction, random)).Intercept; math.Abs(mean-a.Intercept) > 0.2 {
		t.Errorf("intercepts %g and %g of two long runs", a.Intercept, mean)
	}
}

// The plane goes through the mean of the rows, and rows that are few leave nothing undefined.
func TestEstimateOfFewRows(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 0))
	f := newProduct(30, random)
	for _, nRows := range []int{1, 2, 5} {
		rows, e := sample(f, nRows, 0.05, random)
		a := estimate(rows, e)
		sum := a.Intercept
		for c := range a.Theta {
			sum += a.Theta[c] * rows.MeanKeep[c]
			if math.IsNaN(a.Theta[c]) {
				t.Errorf("component %d has %g", c, a.Theta[c])
			}
			if !(a.SE[c] >= 0) || math.IsInf(a.SE[c], 0) {
				t.Errorf("standard error %v", a.SE[c])
			}
		}
		if mean := floats.Sum(e.Margins) / float64(nRows); math.Abs(sum-mean) > 1e-9 {
			t.Errorf("the plane is at %g in the middle of the rows, their mean margin is %g", sum, mean)
		}
	}
}

func TestOnlyTheFirstRowsUseKeptComponents(t *testing.T) {
	keep := []float32{1, 0.5, 0}
	if r := Roles(KeptRows-1, keep); r[0] != Kept || r[1] != Softened || r[2] != Unused {
		t.Errorf("row %d: %v", KeptRows-1, r)
	}
	if r := Roles(KeptRows, keep); r[0] != Unused || r[1] != Softened || r[2] != Unused {
		t.Errorf("row %d: %v", KeptRows, r)
	}
}

func TestTally(t *testing.T) {
	const nRows, p, n = 3, 4, 5
	got := make([]Sums, n)
	keep := []float32{0.5, 1, 0.25, 0}
	tally := NewTally([][]Role{Roles(0, keep), Roles(1, keep), Roles(2, []float32{1, 1, 0.5, 0.5})}, n, func(example int, s Sums) error { got[example] = s; return nil })
	var group sync.WaitGroup
	for e := range n {
		group.Go(func() {
			for r := range nRows {
				g := []float32{float32(e + r), 7, float32(r), -1}
				if err := tally.Visit(r, e, float32(10*e+r), g); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	for e, s := range got {
		if s.Sum[0] != float32(2*e+1) || s.KeptSum[0] != float32(e+2) || s.Sum[1] != 0 || s.KeptSum[1] != 21 || s.Sum[3] != -1 || s.SumSq[2] != 5 || s.Margins[2] != float32(10*e+2) {
			t.Errorf("example %d: %+v", e, s)
		}
	}
	if tally.Visit(1, 0, 0, make([]float32, p)) == nil {
		t.Error("a row out of order was taken")
	}
}

// A tally that goes on from what another had says the same in the end, bit for bit, and neither touches the other's sums.
func TestTallyResumes(t *testing.T) {
	const nRows, p = 9, 6
	random := rand.New(rand.NewPCG(3, 0))
	roles, derivatives := make([][]Role, nRows), make([][]float32, nRows)
	for r := range nRows {
		keep := make([]float32, p)
		derivatives[r] = make([]float32, p)
		for c := range p {
			keep[c], derivatives[r][c] = []float32{0, 0.3, 1}[random.IntN(3)], float32(random.NormFloat64())
		}
		roles[r] = Roles(r, keep)
	}
	run := func(stop int) (got Sums) {
		finish := func(_ int, s Sums) error { got = s; return nil }
		tally := NewTally(roles, 1, finish)
		for r := range nRows {
			if r == stop {
				so := tally.Partial(0)
				tally = NewTally(roles, 1, finish)
				if so != nil {
					tally.Resume(0, *so)
					so.Sum[0], so.Margins[0] = 1e9, 1e9
				}
			}
			if err := tally.Visit(r, 0, float32(r), derivatives[r]); err != nil {
				t.Fatal(err)
			}
		}
		if tally.Partial(0) != nil {
			t.Error("an example that has had all rows is still open")
		}
		return got
	}
	want := run(nRows)
	for stop := range nRows {
		if got := run(stop); !reflect.DeepEqual(got, want) {
			t.Errorf("stopped after %d rows: %+v, want %+v", stop, got, want)
		}
	}
}

// Of few rows and many examples, what the kept rows say is worth more than what is thrown away: the estimate is closer to
// the coefficients than the mean derivative alone. A study of its own says little: one in a thousand has a ratio above 0.8.
func TestEstimateOfFewRowsUsesTheKeptOnes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 0))
	const p, fraction, n, studies = 80, 0.05, 30, 40
	ratio := 0.0
	for study := range uint64(studies) {
		var rows Rows
		var examples []Example
		var functions []product
		for range n {
			f := newProduct(p, random)
			for c := range f.b {
				f.b[c] *= 0.1
			}
			var e Example
			rows, e = sample(f, 40, fraction, rand.New(rand.NewPCG(study, 1))) // the same rows for all
			examples, functions = append(examples, e), append(functions, f)
		}
		pool := NewPool(rows)
		for _, e := range examples {
			pool.Add(e)
		}
		estimator := pool.Fit()
		var drawn, plain float64
		for i, e := range examples {
			a := estimator.Estimate(e)
			for c := range p {
				want := functions[i].coefficient(c, fraction)
				drawn += (a.Theta[c] - want) * (a.Theta[c] - want)
				mean := e.Sum[c] / float64(max(1, rows.Softened[c]))
				plain += (mean - want) * (mean - want)
			}
		}
		ratio += drawn / plain / studies
	}
	if ratio > 0.4 {
		t.Errorf("squared error %.2f of the mean derivatives'", ratio)
	}
}

// resolvent against the eigenvalues themselves, in the two cases where they are all alike, and by quadrature of the
// Marchenko-Pastur density.
func TestResolvent(t *testing.T) {
	for _, c := range []struct {
		rows, components int
		variance, lambda float64
	}{{1000, 100, 0.09, 0.05}, {100, 400, 0.0475, 0.01}, {300, 299, 0.25, 0.3}, {50, 5000, 0.1, 2}} {
		gamma := float64(c.components) / float64(c.rows)
		low, high := c.variance*(1-math.Sqrt(gamma))*(1-math.Sqrt(gamma)), c.variance*(1+math.Sqrt(gamma))*(1+math.Sqrt(gamma))
		atZero := max(0, 1-1/gamma)
		wantS, wantS2 := atZero/c.lambda, atZero/c.lambda/c.lambda
		const steps = 200000
		for i := range steps { // x = middle + half·cos φ takes the square roots out of the ends
			phi := math.Pi * (float64(i) + 0.5) / steps
			half := (high - low) / 2
			x := (high+low)/2 + half*math.Cos(phi)
			density := half * half * math.Sin(phi) * math.Sin(phi) / (2 * math.Pi * c.variance * gamma * x) * math.Pi / steps
			wantS += density / (x + c.lambda)
			wantS2 += density / (x + c.lambda) / (x + c.lambda)
		}
		variance := slices.Repeat([]float64{c.variance}, c.components)
		diagonal, squared := Correction{Rows: c.rows, Variance: variance, Lambda: c.lambda}.resolvent()
		s, s2 := diagonal[7], squared[7]
		if math.Abs(s/wantS-1) > 1e-6 || math.Abs(s2/wantS2-1) > 1e-6 {
			t.Errorf("%+v: %g and %g, want %g and %g", c, s, s2, wantS, wantS2)
		}
	}
}

// No rows' worth of trust in the regression leaves the prior's errors; all of it, those of least squares.
func TestRidgeErrorsAtTheEnds(t *testing.T) {
	c := Correction{Rows: 1000, Variance: slices.Repeat([]float64{0.09}, 100), Residual: 4, Lambda: 1e6}
	se := make([]float64, len(c.Variance))
	for i := range se {
		se[i] = 0.1 + 0.01*float64(i)
	}
	RidgeErrors(se, c)
	for i := range se {
		if want := 0.1 + 0.01*float64(i); math.Abs(se[i]-want) > 1e-3 {
			t.Errorf("standard error %g, want the prior's %g", se[i], want)
		}
	}
	c.Lambda = 0
	RidgeErrors(se, c)
	want := math.Sqrt(4 / (0.09 * 900)) // σ²/(v(m-p))
	for _, v := range se {
		if math.Abs(v/want-1) > 1e-3 {
			t.Errorf("standard error %g, want that of least squares, %g", v, want)
		}
	}
}
