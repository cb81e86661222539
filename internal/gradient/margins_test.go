package gradient

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// Where few components matter and their derivatives scatter most, the margins say much about these: the estimate is closer to the
// coefficients than one from derivatives alone, and its standard errors still cover them, the large ones too.
func TestMarginsCorrectLargeAttributions(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 0))
	const p, fraction, nRows, studies = 80, 0.1, 100, 120
	var with, without float64
	inside, all := 0, 0
	for range studies {
		f := newProduct(p, random)
		for c := range p {
			f.a[c] = 0.3 * math.Pow(f.a[c], 3)
			f.b[c] = 0.3 * math.Pow(f.b[c], 3)
		}
		rows, e := sample(f, nRows, fraction, random)
		derivatives := rows
		derivatives.Softening = nil
		a, b := estimate(rows, e), estimate(derivatives, e)
		size := 0.0
		for c := range p {
			size += f.coefficient(c, fraction) * f.coefficient(c, fraction)
		}
		for c := range p {
			want := f.coefficient(c, fraction)
			with += (a.Theta[c] - want) * (a.Theta[c] - want) / size
			without += (b.Theta[c] - want) * (b.Theta[c] - want) / size
			if want*want > size/p {
				all++
				if math.Abs(a.Theta[c]-want) < 1.96*a.SE[c] {
					inside++
				}
			}
		}
	}
	if with > 0.85*without {
		t.Errorf("squared error %.4f, from derivatives alone %.4f", with/studies, without/studies)
	}
	if share := float64(inside) / float64(all); share < 0.8 {
		t.Errorf("95 %% intervals cover %.1f %% of the large coefficients", 100*share)
	}
}

// update against the posterior computed from dense matrices.
func TestUpdateIsThePosterior(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 0))
	const p, n = 9, 25
	s, dense := NewSoftening(p), mat.NewDense(n, p, nil)
	theta, variance, kept, hasKept, margins := make([]float64, p), make([]float64, p), make([]float64, p), make([]int, p), make([]float64, n)
	for c := range p {
		theta[c], variance[c], kept[c], hasKept[c] = random.NormFloat64(), random.ExpFloat64(), random.NormFloat64(), c
	}
	kept[0] = 0 // never kept
	y := mat.NewVecDense(n, nil)
	for r := range n {
		keep := make([]float32, p)
		margins[r] = 3 * random.NormFloat64()
		y.SetVec(r, margins[r])
		for c := range keep {
			keep[c] = float32(min(1, 2*random.Float64()))
			u := 1 - float64(keep[c])
			fall := kept[c]*u*(1-u) + theta[c]*u*u
			dense.Set(r, c, -u*u)
			if c == 0 {
				fall = theta[c] * u
				dense.Set(r, c, -u)
			}
			y.SetVec(r, y.AtVec(r)+fall)
		}
		s.Add(keep)
	}
	centre(y.RawVector().Data, 1)
	centre(dense.RawMatrix().Data, p)
	gram, scaled := mat.NewDense(n, n, nil), mat.NewDense(n, p, nil)
	scaled.Mul(dense, mat.NewDiagDense(p, variance))
	gram.Mul(scaled, dense.T())
	noise := tempering * (mat.Dot(y, y) - mat.Trace(gram)) / (n - 1)
	if noise < tempering*leastNoise*mat.Dot(y, y)/(n-1) {
		t.Fatal("the test's margins are too predictable")
	}
	precision := mat.NewDense(p, p, nil) // (D⁻¹ + AᵀA/noise), which inverted is the posterior's covariance
	precision.Mul(dense.T(), dense)
	precision.Scale(1/noise, precision)
	for c, v := range variance {
		precision.Set(c, c, precision.At(c, c)+1/v)
	}
	var covariance mat.Dense
	if err := covariance.Inverse(precision); err != nil {
		t.Fatal(err)
	}
	var step, move mat.VecDense
	step.MulVec(dense.T(), y)
	move.MulVec(&covariance, &step)
	before := append([]float64(nil), theta...)
	s.update(theta, variance, kept, hasKept, margins)
	for c := range p {
		if want := before[c] + move.AtVec(c)/noise; math.Abs(theta[c]-want) > 1e-10 {
			t.Errorf("component %d moved to %g, want %g", c, theta[c], want)
		}
		if want := covariance.At(c, c); math.Abs(variance[c]-want) > 1e-10 {
			t.Errorf("component %d has variance %g, want %g", c, variance[c], want)
		}
	}
}

// One row, rows that soften nothing, and margins that are all the same or predicted exactly leave numbers behind.
func TestUpdateOfNothing(t *testing.T) {
	for _, rows := range [][][]float32{{{0.5, 1}}, {{1, 1}, {1, 1}}, {{0.5, 1}, {0.25, 0}, {1, 0}}} {
		s := NewSoftening(2)
		for _, keep := range rows {
			s.Add(keep)
		}
		for _, variance := range [][]float64{{0, 0}, {1, 2}} {
			theta := []float64{0, 0}
			s.update(theta, variance, []float64{0, 0}, []int{1, 1}, make([]float64, len(rows)))
			if theta[0] != 0 || theta[1] != 0 || !(variance[0] >= 0) || !(variance[1] >= 0) {
				t.Errorf("%v: %v %v", rows, theta, variance)
			}
		}
	}
}
