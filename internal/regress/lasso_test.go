package regress

import (
	"context"
	"math"
	"testing"
)

// plain is a Source read into float64 matrices, for checks that share no code with the solvers.
type plain struct {
	m, p, n int
	x       []float64 // [m][p]
	y       []float64 // [m][n]
}

func readPlain(t *testing.T, src Source) plain {
	t.Helper()
	m, p, n := src.Shape()
	d := plain{m, p, n, make([]float64, m*p), make([]float64, m*n)}
	keep, margins := make([]byte, p), make([]float32, m*n)
	for row := range m {
		if err := src.KeepRow(row, keep); err != nil {
			t.Fatal(err)
		}
		for c, k := range keep {
			d.x[row*p+c] = float64(k)
		}
	}
	if err := src.Margins(0, n, margins); err != nil {
		t.Fatal(err)
	}
	for i, v := range margins {
		d.y[i] = float64(v)
	}
	return d
}

// predict returns b + sum of theta over kept components, [m].
func (d plain) predict(got outcome, e int) []float64 {
	predicted := make([]float64, d.m)
	for row := range predicted {
		predicted[row] = got.Intercept[e]
		for c, t := range got.thetaOf(e) {
			predicted[row] += float64(t) * d.x[row*d.p+c]
		}
	}
	return predicted
}

// gradient returns Xᵀr/m, [p], and the mean of r, for the residuals r of example e.
func (d plain) gradient(got outcome, e int) (gradient []float64, mean float64) {
	gradient = make([]float64, d.p)
	for row, predicted := range d.predict(got, e) {
		r := (d.y[row*d.n+e] - predicted) / float64(d.m)
		mean += r
		for c := range gradient {
			gradient[c] += r * d.x[row*d.p+c]
		}
	}
	return gradient, mean
}

func TestLassoMeetsTheOptimalityConditions(t *testing.T) {
	for _, src := range []*synthetic{newSynthetic(400, 70, 6, 0.1, 1), newSynthetic(90, 300, 6, 0.1, 2), newSynthetic(200, 64, 6, 0.95, 3)} {
		d := readPlain(t, src)
		got := mustFit(t, src, Options{Lambda: -1, ValFraction: 0.1})
		for e := range src.nExamples {
			gradient, mean := d.gradient(got, e)
			lambda := got.Lambda[e]
			tol := 2e-3 * lambda
			if math.Abs(mean) > 1e-6 {
				t.Errorf("example %d: residuals of mean %g", e, mean)
			}
			for c, theta := range got.thetaOf(e) {
				switch {
				case theta == 0 && math.Abs(gradient[c]) > lambda+tol:
					t.Errorf("%s, example %d, component %d: gradient %g exceeds λ %g at θ = 0", got.Solver, e, c, gradient[c], lambda)
				case theta != 0 && math.Abs(gradient[c]-math.Copysign(lambda, float64(theta))) > tol:
					t.Errorf("%s, example %d, component %d: gradient %g at θ = %g, λ %g", got.Solver, e, c, gradient[c], theta, lambda)
				}
			}
			if !got.Converged[e] || got.Gap[e] > finalTol {
				t.Errorf("example %d: gap %g after %d sweeps", e, got.Gap[e], got.Sweeps[e])
			}
		}
	}
}

func TestLassoIsZeroAtLambdaMax(t *testing.T) {
	for _, s := range goldens(t) {
		for _, solver := range []Solver{SolverGram, SolverRows} {
			for e, lambdaMax := range s.LambdaMax {
				at := mustFit(t, s, Options{Lambda: lambdaMax * 1.00001, solver: solver})
				below := mustFit(t, s, Options{Lambda: lambdaMax * 0.999, solver: solver})
				if at.NonZeros[e] != 0 || below.NonZeros[e] == 0 {
					t.Errorf("%s, %s, example %d: %d attributions at λmax, %d below", s.Name, solver, e, at.NonZeros[e], below.NonZeros[e])
				}
			}
		}
	}
}

// The λ chosen has the least validation error of the whole path, though the path is left early.
func TestLambdaHasTheLeastValidationError(t *testing.T) {
	for _, src := range []*synthetic{
		newSynthetic(1500, 100, 24, 0.1, 5), newSynthetic(200, 100, 24, 0.1, 6), newSynthetic(120, 300, 24, 0.05, 7), newSynthetic(30, 50, 24, 0.2, 8),
	} {
		opts, err := Options{Lambda: -1, ValFraction: 0.1, Seed: 3}.complete()
		if err != nil {
			t.Fatal(err)
		}
		got := mustFit(t, src, opts)
		d, err := pack(context.Background(), src, splitRows(src.nRows, opts.ValFraction, opts.Seed))
		if err != nil {
			t.Fatal(err)
		}
		b, x, rows := newBlock(d, src.nExamples), newCross(d, src.nExamples, trainRows, allRows), allLists(d)
		if err := b.load(context.Background(), src, 0, src.nExamples, 1); err != nil {
			t.Fatal(err)
		}
		if err := x.compute(context.Background(), b, 1); err != nil {
			t.Fatal(err)
		}
		descent, scorer := newResidualDescent(d, rows), newScorer(d, rows)
		for e := range src.nExamples {
			descent.begin(b, x, trainRows, e, nil)
			scorer.begin(b, e)
			best, bestLambda, previous := math.Inf(1), 0.0, math.Inf(1)
			for _, lambda := range geometric(descent.lambdaMax(), opts.PathRatio, opts.PathLength) {
				descent.solve(lambda, previous, pathTol)
				previous = lambda
				if mse := scorer.score(descent.theta()).MSE; mse < best {
					best, bestLambda = mse, lambda
				}
			}
			if math.Abs(got.Lambda[e]/bestLambda-1) > 1e-9 {
				t.Errorf("%d x %d, example %d: λ %g, but the whole path has its least error at %g", src.nRows, src.nComponents, e, got.Lambda[e], bestLambda)
			}
			if v := got.Result.Validation[e].MSE; v > best*1.001 {
				t.Errorf("%d x %d, example %d: validation error %g, the path has %g", src.nRows, src.nComponents, e, v, best)
			}
		}
	}
}

func TestGapBoundsTheDistanceToTheMinimum(t *testing.T) {
	src := newSynthetic(300, 80, 4, 0.1, 9)
	d, err := pack(context.Background(), src, splitRows(src.nRows, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	b, x, rows := newBlock(d, src.nExamples), newCross(d, src.nExamples, allRows), allLists(d)
	if err := b.load(context.Background(), src, 0, src.nExamples, 1); err != nil {
		t.Fatal(err)
	}
	if err := x.compute(context.Background(), b, 1); err != nil {
		t.Fatal(err)
	}
	_, all, err := grams(context.Background(), d, 1)
	if err != nil {
		t.Fatal(err)
	}
	descents := map[string]descent{
		"covariance": newCovarianceDescent([2][]float64{allRows: all}, d.nComponents),
		"residual":   newResidualDescent(d, rows),
	}
	plain := readPlain(t, src)
	for name, descent := range descents {
		for e := range src.nExamples {
			descent.begin(b, x, allRows, e, nil)
			lambda := descent.lambdaMax() / 50
			descent.solve(lambda, math.Inf(1), 1e-13)
			least := plain.objective(d, descent.theta(), e, lambda)
			for _, tol := range []float64{0.5, 0.1, 1e-3, 1e-5} {
				descent.begin(b, x, allRows, e, nil)
				done := descent.solve(lambda, math.Inf(1), tol)
				excess := (plain.objective(d, descent.theta(), e, lambda) - least) / (b.variance(allRows, e) / 2)
				if excess > done.gap+1e-12 || done.gap > tol {
					t.Errorf("%s, example %d: objective %g above its minimum, gap %g, asked for %g", name, e, excess, done.gap, tol)
				}
			}
		}
	}
}

// objective is (1/2m)‖y − b − Zθ‖² + λ‖θ‖₁ at the best b, with Z the design's bits.
func (d plain) objective(packed *design, theta []float64, e int, lambda float64) float64 {
	r := make([]float64, d.m)
	mean, norm := 0.0, 0.0
	for row := range r {
		r[row] = d.y[row*d.n+e]
		for c, t := range theta {
			z := d.x[row*d.p+c]
			if packed.flipped[c] {
				z = 1 - z
			}
			r[row] -= t * z
		}
		mean += r[row] / float64(d.m)
	}
	sum := 0.0
	for _, v := range r {
		sum += (v - mean) * (v - mean)
	}
	for _, t := range theta {
		norm += math.Abs(t)
	}
	return sum/(2*float64(d.m)) + lambda*norm
}
