package regress

import (
	"errors"
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/lapack"
	"gonum.org/v1/gonum/lapack/lapack64"
)

// spectrum is the eigendecomposition of a symmetric matrix A [n][n] that has no negative eigenvalues but by rounding.
//
// One decomposition solves (A + λI)x = b for every λ, and tells the rank.
type spectrum struct {
	n       int
	vectors []float64 // [n][n], eigenvector k in column k
	values  []float64 // [n] ascending
	null    int       // how many of the first are 0 to within rounding
}

// decompose overwrites a, [n][n], which the spectrum keeps as its vectors.
//
// Cost: about 9n³ multiplications.
func decompose(a []float64, n int) (*spectrum, error) {
	s := &spectrum{n: n, vectors: a, values: make([]float64, n)}
	matrix := blas64.Symmetric{N: n, Stride: n, Data: a, Uplo: blas.Upper}
	size := make([]float64, 1)
	lapack64.Syev(lapack.EVCompute, matrix, s.values, size, -1)
	work := make([]float64, int(size[0]))
	if !lapack64.Syev(lapack.EVCompute, matrix, s.values, work, len(work)) {
		return nil, errors.New("regress: the eigenvalue iteration did not converge")
	}
	cutoff := 8 * float64(n) * epsilon * s.values[n-1]
	for s.null < n && !(s.values[s.null] > cutoff) {
		s.null++
	}
	return s, nil
}

const epsilon = 1.0 / (1 << 52)

// spectrumBytes is what decompose holds besides the matrix.
func spectrumBytes(n int) int64 { return 8 * 40 * int64(n) }

func (s *spectrum) rank() int { return s.n - s.null }

// meanEigenvalue is over those that are not zero; 1 where all are.
func (s *spectrum) meanEigenvalue() float64 {
	sum := 0.0
	for _, v := range s.values[s.null:] {
		sum += v
	}
	if s.rank() == 0 {
		return 1
	}
	return sum / float64(s.rank())
}

// inverse returns what eigenvector k's share of b is multiplied by in the solution of (A + λI)x = b that is least.
func (s *spectrum) inverse(k int, lambda float64) float64 {
	if k < s.null {
		return 0
	}
	return 1 / (s.values[k] + lambda)
}

// analyse writes b's share of every eigenvector to dst.
func (s *spectrum) analyse(dst, b []float64) { multiply(blas.Trans, s.vectors, s.n, s.n, dst, b) }

// synthesise writes the sum of the eigenvectors times their shares to dst.
func (s *spectrum) synthesise(dst, shares []float64) {
	multiply(blas.NoTrans, s.vectors, s.n, s.n, dst, shares)
}

// multiply sets dst to a·x or aᵀ·x, a: [rows][cols].
func multiply(t blas.Transpose, a []float64, rows, cols int, dst, x []float64) {
	blas64.Gemv(t, 1, blas64.General{Rows: rows, Cols: cols, Stride: cols, Data: a},
		blas64.Vector{N: len(x), Inc: 1, Data: x}, 0, blas64.Vector{N: len(dst), Inc: 1, Data: dst})
}

// ridgePath returns the path of λ for ridge: geometric about the mean non-zero eigenvalue s, from s/ratio to s·ratio.
//
// Where λ equals an eigenvalue, ridge halves what least squares attributes along its eigenvector, so the path runs from
// almost nothing attributed to almost least squares.
func (s *spectrum) ridgePath(opts Options) []float64 {
	middle := s.meanEigenvalue()
	if opts.PathLength == 1 {
		return []float64{middle}
	}
	path := geometric(middle/opts.PathRatio, opts.PathRatio*opts.PathRatio, opts.PathLength)
	if math.IsInf(path[0], 0) {
		return []float64{middle}
	}
	return path
}
