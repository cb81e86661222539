package regress

import (
	"context"
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
)

const (
	reductionRows  = 32  // reflections that are gathered before the rest of the matrix is updated
	reductionParts = 8   // of a product with the matrix, whose sums are added in order
	partsFrom      = 256 // rows: smaller products are not worth parts
	updateRows     = 128 // that are updated at once
)

// reduction reduces a symmetric matrix to tridiagonal form by Householder reflections, row by row from the last.
//
// Row i of q, the lower half of which is read, becomes the vector v of H = I - tau·v·vᵀ, v[i-1] = 1, which clears all of the row but
// its last two elements. A becomes HAH = A - v·wᵀ - w·vᵀ; reductionRows such changes are made together, as a product of
// matrices.
//
// Source: Dongarra, Sorensen, Hammarling, J. Computational and Applied Mathematics 27 (1989), section 5.
type reduction struct {
	*tridiagonal           // whose q is the matrix, and in the end the reflections
	w            []float64 // [reductionRows][n] of reflections that q has not been updated by
	sums         []float64 // [reductionParts][n]
	workers      int
}

// reductionBytes is what a reduction holds besides the matrix, its result included.
func reductionBytes(n int) int64 { return 8 * (reductionRows + reductionParts + 6) * int64(n) }

// run reduces q, whose rows become the reflections.
//
// Cost: 2n³/3 multiplications, half of them while q is read from memory.
func (r *reduction) run(ctx context.Context) error {
	for end := r.n; end > 1; {
		first := max(1, end-reductionRows)
		for i := end - 1; i >= first; i-- {
			if err := r.reflect(ctx, i, first, end); err != nil {
				return err
			}
		}
		r.update(first, end)
		end = first
	}
	r.d[0] = r.q[0]
	return nil
}

// v is the vector of reflection i, [i].
func (r *reduction) v(i int) []float64 { return r.q[i*r.n : i*r.n+i] }

// reflect makes the reflection of row i, one of the block [first, end), and its w.
func (r *reduction) reflect(ctx context.Context, i, first, end int) error {
	row, w := r.q[i*r.n:i*r.n+i+1], r.w[(i-first)*r.n:][:i]
	for j := i + 1; j < end; j++ {
		vj, wj := r.v(j), r.w[(j-first)*r.n:]
		axpy(-wj[i], vj[:i+1], row)
		axpy(-vj[i], wj[:i+1], row)
	}
	r.d[i] = row[i]
	v := row[:i]
	r.tau[i], r.off[i-1] = reflector(v)
	if r.tau[i] == 0 {
		clear(w)
		return nil
	}
	if err := r.multiply(ctx, w, v); err != nil {
		return err
	}
	for j := i + 1; j < end; j++ {
		vj, wj := r.v(j)[:i], r.w[(j-first)*r.n:][:i]
		alongW, alongV := dot(wj, v), dot(vj, v)
		axpy(-alongW, vj, w)
		axpy(-alongV, wj, w)
	}
	scale(r.tau[i], w)
	axpy(-r.tau[i]/2*dot(w, v), v, w)
	return nil
}

// multiply sets dst to the leading part of q, [len(v)][len(v)], times v. Results do not depend on the workers.
func (r *reduction) multiply(ctx context.Context, dst, v []float64) error {
	n, parts, workers := len(v), reductionParts, r.workers
	if n < partsFrom {
		parts, workers = 1, 1
	}
	bound := func(part int) int { return int(float64(n) * math.Sqrt(float64(part)/float64(parts))) } // equal parts of the triangle
	err := parallel(ctx, workers, parts, func(_, part int) error {
		last := bound(part + 1)
		sum := r.sums[part*r.n:][:last]
		clear(sum)
		for i := bound(part); i < last; i++ {
			row := r.q[i*r.n : i*r.n+i+1]
			sum[i] += row[i]*v[i] + dot(row[:i], v[:i])
			axpy(v[i], row[:i], sum[:i])
		}
		return nil
	}, nil)
	if err != nil {
		return err
	}
	copy(dst, r.sums[(parts-1)*r.n:][:n])
	for part := range parts - 1 {
		last := bound(part + 1)
		axpy(1, r.sums[part*r.n:][:last], dst[:last])
	}
	return nil
}

// update takes the v·wᵀ + w·vᵀ of the block [first, end) off the rows before it.
func (r *reduction) update(first, end int) {
	side := func(data []float64, from, to int) blas64.General {
		return blas64.General{Rows: end - first, Cols: to - from, Stride: r.n, Data: data[from:]}
	}
	v := r.q[first*r.n:]
	for from := 0; from < first; from += updateRows {
		to := min(from+updateRows, first)
		rows := blas64.General{Rows: to - from, Cols: to, Stride: r.n, Data: r.q[from*r.n:]}
		blas64.Gemm(blas.Trans, blas.NoTrans, -1, side(v, from, to), side(r.w, 0, to), 1, rows)
		blas64.Gemm(blas.Trans, blas.NoTrans, -1, side(r.w, from, to), side(v, 0, to), 1, rows)
	}
}

// reflector overwrites x, of length at least 1, with the v whose reflection takes x to (0, …, 0, beta); v ends in 1.
func reflector(x []float64) (tau, beta float64) {
	last := len(x) - 1
	alpha := x[last]
	x[last] = 1
	norm := blas64.Nrm2(vector(x[:last]))
	if norm == 0 {
		return 0, alpha
	}
	beta = -math.Copysign(math.Hypot(alpha, norm), alpha)
	scale(1/(alpha-beta), x[:last])
	return (beta - alpha) / beta, beta
}

func vector(x []float64) blas64.Vector { return blas64.Vector{N: len(x), Inc: 1, Data: x} }

func dot(x, y []float64) float64 { return blas64.Dot(vector(x), vector(y)) }

func axpy(alpha float64, x, y []float64) { blas64.Axpy(alpha, vector(x), vector(y)) }

func scale(alpha float64, x []float64) { blas64.Scal(alpha, vector(x)) }
