package regress

import (
	"context"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
)

// normalForm is one way of writing the normal equations of ridge and least squares as (A + λI)x = b.
//
// Its unknowns x are attributions (gramForm) or weights of the rows (kernelForm); A's eigenvalues are the same but for
// zeros.
type normalForm interface {
	// begin prepares the block.
	begin(ctx context.Context, b *block) error
	// rightHandSide writes b for example e.
	rightHandSide(dst []float64, b *block, p part, e int)
	// excess returns how far the objective is above its minimum where b − (A + λI)x has these shares of all's eigenvectors.
	excess(all *spectrum, shares []float64, lambda float64) float64
	// solved takes example e's x for all rows.
	solved(b *block, e int, x []float64, out *fitted)
	// finish completes the block's results.
	finish(ctx context.Context, b *block, out *fitted) error
}

// spectralEngine fits ridge and least squares through eigendecompositions, one of the rows fitted while λ is chosen and
// one of all rows, shared by all examples and all λ.
type spectralEngine struct {
	d      *design
	opts   Options
	form   normalForm
	matrix []float64 // [n][n] A over all rows
	all    *spectrum
	train  *spectrum // nil where no rows are held out
	path   []float64
	// projection times the shares of a solution predicts the held-out margins: [nHeld][train.n].
	projection []float64
	workers    []spectralWorker
}

type spectralWorker struct {
	right     []float64 // right-hand side, then what the solution leaves of it
	shares    []float64
	solution  []float64
	filtered  []float64 // [train.n][len(path)]
	predicted []float64 // [nHeld][len(path)]
	column    []float64 // [nHeld]
	actual    []float64 // [nHeld]
}

// spectralBytes is what each worker holds for matrices of n.
func spectralBytes(n, nHeld, pathLength int) int64 {
	return 8 * (int64(n)*3 + (int64(n)+int64(nHeld))*int64(pathLength) + 2*int64(nHeld))
}

// ready makes path and scratch once form, matrix, spectra and projection are there.
func (engine *spectralEngine) ready() {
	engine.path = []float64{max(engine.opts.Lambda, 0)}
	if engine.train != nil && engine.opts.Method == Ridge && engine.opts.Lambda < 0 {
		engine.path = engine.train.ridgePath(engine.opts)
	}
	n := engine.all.n
	engine.workers = make([]spectralWorker, engine.opts.Workers)
	for w := range engine.workers {
		worker := &engine.workers[w]
		worker.right, worker.shares, worker.solution = make([]float64, n), make([]float64, n), make([]float64, n)
		if engine.train != nil {
			worker.filtered = make([]float64, engine.train.n*len(engine.path))
			worker.predicted = make([]float64, engine.d.nHeld*len(engine.path))
			worker.column, worker.actual = make([]float64, engine.d.nHeld), make([]float64, engine.d.nHeld)
		}
	}
}

func (engine *spectralEngine) fitBlock(ctx context.Context, b *block, out *fitted, done func()) error {
	if err := engine.form.begin(ctx, b); err != nil {
		return err
	}
	err := parallel(ctx, engine.opts.Workers, b.n, func(worker, e int) error {
		if b.constant[allRows][e] {
			out.setConstant(b, e)
			clear(engine.workers[worker].solution)
			engine.form.solved(b, e, engine.workers[worker].solution, out)
			return nil
		}
		engine.fitExample(&engine.workers[worker], b, e, out)
		return nil
	}, done)
	if err != nil {
		return err
	}
	return engine.form.finish(ctx, b, out)
}

func (engine *spectralEngine) fitExample(w *spectralWorker, b *block, e int, out *fitted) {
	lambda := engine.path[0]
	out.atPathEnd[e] = false
	if engine.train != nil {
		at, score := engine.choose(w, b, e)
		lambda = engine.path[at]
		out.Validation[e] = score
		out.atPathEnd[e] = len(engine.path) > 1 && at == len(engine.path)-1
	}
	n := engine.all.n
	engine.form.rightHandSide(w.right, b, allRows, e)
	engine.all.analyse(w.shares, w.right)
	for k := range w.shares {
		w.shares[k] *= engine.all.inverse(k, lambda)
	}
	engine.all.synthesise(w.solution, w.shares)

	// What is left of the right-hand side says how well the equations are solved.
	multiply(blas.NoTrans, engine.matrix, n, n, w.shares, w.solution)
	for i := range w.right {
		w.right[i] -= w.shares[i] + lambda*w.solution[i]
	}
	engine.all.analyse(w.shares, w.right)
	out.Gap[e] = engine.form.excess(engine.all, w.shares, lambda) / (b.variance(allRows, e) / 2)
	out.Lambda[e], out.Sweeps[e], out.Converged[e] = lambda, 0, true
	engine.form.solved(b, e, w.solution, out)
}

// choose scores every λ of the path on the held-out rows and returns the place of the best.
func (engine *spectralEngine) choose(w *spectralWorker, b *block, e int) (int, Score) {
	n, length, nHeld := engine.train.n, len(engine.path), engine.d.nHeld
	right, shares := w.right[:n], w.shares[:n]
	engine.form.rightHandSide(right, b, trainRows, e)
	engine.train.analyse(shares, right)
	for k, share := range shares {
		for l, lambda := range engine.path {
			w.filtered[k*length+l] = share * engine.train.inverse(k, lambda)
		}
	}
	blas64.Gemm(blas.NoTrans, blas.NoTrans, 1,
		blas64.General{Rows: nHeld, Cols: n, Stride: n, Data: engine.projection},
		blas64.General{Rows: n, Cols: length, Stride: length, Data: w.filtered},
		0, blas64.General{Rows: nHeld, Cols: length, Stride: length, Data: w.predicted})
	b.held(w.actual, e)
	null := meanSquare(w.actual)
	var chosen selection
	for l := range engine.path {
		for i := range w.column {
			w.column[i] = w.predicted[i*length+l]
		}
		chosen.offer(scoreOf(w.column, w.actual, null))
	}
	return chosen.at, chosen.best
}
