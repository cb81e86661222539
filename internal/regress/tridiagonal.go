package regress

import (
	"context"
	"errors"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/lapack/gonum"
)

// tridiagonal is a symmetric matrix A [n][n] without negative eigenvalues, written as A = Q·T·Qᵀ with T tridiagonal.
//
// One reduction serves every λ and every right-hand side: (T + λI) is solved in O(n), which is what eigenvectors would
// buy, at a fraction of their cost. Q stays a product of reflections.
type tridiagonal struct {
	n   int
	q   []float64 // [n][n]: the first i elements of row i are v of H_i = I - tau·v·vᵀ, Q = H_{n-1}…H_1
	tau []float64 // [n]
	d   []float64 // [n] diagonal of T
	off []float64 // [n-1] beside it

	rank     int     // eigenvalues that are not 0 to within rounding
	smallest float64 // of those; 0 where there are none
	cutoff   float64 // below which an eigenvalue counts as 0
	mean     float64 // of those that do not; 1 where there are none
}

const epsilon = 1.0 / (1 << 52)

// reduce overwrites a, [n][n], of which the lower half is read.
//
// Cost: see reduction. Results do not depend on the workers.
func reduce(ctx context.Context, a []float64, n, workers int) (*tridiagonal, error) {
	t := &tridiagonal{n: n, q: a, tau: make([]float64, n), d: make([]float64, n), off: make([]float64, n-1), mean: 1}
	r := reduction{t, make([]float64, reductionRows*n), make([]float64, reductionParts*n), workers}
	if err := r.run(ctx); err != nil {
		return nil, err
	}
	values := append([]float64(nil), t.d...)
	if !new(gonum.Implementation).Dsterf(n, values, append([]float64(nil), t.off...)) {
		return nil, errors.New("regress: the eigenvalues of the normal equations did not converge")
	}
	t.cutoff = 8 * float64(n) * epsilon * max(values[n-1], 0)
	sum := 0.0
	for i := n - 1; i >= 0 && values[i] > t.cutoff; i-- {
		t.rank++
		t.smallest = values[i]
		sum += values[i]
	}
	if t.rank > 0 {
		t.mean = sum / float64(t.rank)
	}
	return t, nil
}

// rotate overwrites x with Qᵀx.
//
// Cost: n² multiplications, as those of a vector with half a matrix, twice.
func (t *tridiagonal) rotate(x []float64) {
	for i := t.n - 1; i > 0; i-- {
		t.reflect(i, x)
	}
}

// rowsAtOnce are rotated together, so that the reflections are read from memory once for all of them.
const rowsAtOnce = 16

// rotateRows overwrites every row of x, [nRows][n], with Qᵀ times it.
func (t *tridiagonal) rotateRows(ctx context.Context, x []float64, nRows, workers int) error {
	return parallel(ctx, workers, (nRows+rowsAtOnce-1)/rowsAtOnce, func(_, unit int) error {
		some := x[unit*rowsAtOnce*t.n : min((unit+1)*rowsAtOnce, nRows)*t.n]
		for i := t.n - 1; i > 0; i-- {
			for at := 0; at < len(some); at += t.n {
				t.reflect(i, some[at:])
			}
		}
		return nil
	}, nil)
}

// rotateBack overwrites x with Qx.
func (t *tridiagonal) rotateBack(x []float64) {
	for i := 1; i < t.n; i++ {
		t.reflect(i, x)
	}
}

// reflect overwrites x with H_i·x.
func (t *tridiagonal) reflect(i int, x []float64) {
	if v := t.q[i*t.n : i*t.n+i]; t.tau[i] != 0 {
		axpy(-t.tau[i]*dot(v, x[:i]), v, x[:i])
	}
}

// apply sets dst to Tx.
func (t *tridiagonal) apply(dst, x []float64) {
	for i := range dst {
		dst[i] = t.applyRow(i, x)
	}
}

func (t *tridiagonal) applyRow(i int, x []float64) float64 {
	v := t.d[i] * x[i]
	if i > 0 {
		v += t.off[i-1] * x[i-1]
	}
	if i+1 < t.n {
		v += t.off[i] * x[i+1]
	}
	return v
}

// multiply sets dst to a·x, a: [n][n].
func multiply(a []float64, n int, dst, x []float64) {
	blas64.Gemv(blas.NoTrans, 1, blas64.General{Rows: n, Cols: n, Stride: n, Data: a}, vector(x), 0, vector(dst))
}

// shifted solves (T + λI)x = b; where that matrix is singular, for the least x that comes nearest.
type shifted struct {
	t      *tridiagonal
	shift  float64   // λ, or a little more where T + λI is singular
	rounds int       // of refinement: 1 unless singular
	d, l   []float64 // LDLᵀ of T + shift·I: [n] diagonal, [n-1] beside the unit diagonal
}

// singularRounds take a share of the error down by singularShift/(1 + singularShift) each, to below rounding in all.
const (
	singularRounds = 16
	singularShift  = 0.1 // of the smallest eigenvalue that is not 0
)

// shift factors T + λI.
//
// Where that is singular, the shift is singularShift of the smallest eigenvalue that counts, and solving is repeated on
// what is left of b. What rounding leaves of b along the eigenvalues that are 0 grows by no more than rounds/shift.
func (t *tridiagonal) shift(lambda float64) *shifted {
	s := &shifted{t: t, shift: lambda, rounds: 1, d: make([]float64, t.n), l: make([]float64, t.n-1)}
	if t.rank < t.n && lambda <= t.cutoff {
		s.shift, s.rounds = singularShift*t.smallest, singularRounds
		if t.rank == 0 {
			s.shift = 1
		}
	}
	s.d[0] = t.d[0] + s.shift
	for i, off := range t.off {
		s.l[i] = off / s.d[i]
		s.d[i+1] = t.d[i+1] + s.shift - s.l[i]*off
	}
	return s
}

// solve overwrites b with x. scratch is [2n].
func (s *shifted) solve(b, scratch []float64) {
	if s.rounds == 1 {
		s.solveOnce(b)
		return
	}
	n := s.t.n
	left, step := scratch[:n], scratch[n:2*n]
	copy(left, b)
	clear(b)
	for range s.rounds {
		copy(step, left)
		s.solveOnce(step)
		for i, v := range step {
			b[i] += v
			left[i] -= s.t.applyRow(i, step)
		}
	}
}

func (s *shifted) solveOnce(b []float64) {
	for i, l := range s.l {
		b[i+1] -= l * b[i]
	}
	for i := range b {
		b[i] /= s.d[i]
	}
	for i := len(s.l) - 1; i >= 0; i-- {
		b[i] -= s.l[i] * b[i+1]
	}
}

// ridgePath returns the path of λ for ridge: geometric about the mean non-zero eigenvalue s, from s/ratio to s·ratio.
//
// Where λ equals an eigenvalue, ridge halves what least squares attributes along its eigenvector, so the path runs from
// almost nothing attributed to almost least squares.
func (t *tridiagonal) ridgePath(opts Options) []float64 {
	if opts.PathLength == 1 {
		return []float64{t.mean}
	}
	return geometric(t.mean/opts.PathRatio, opts.PathRatio*opts.PathRatio, opts.PathLength)
}
