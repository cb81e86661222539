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
	// excess bounds how far the objective is above its minimum where rest = Qᵀ(b − (A + λI)x), which it may overwrite.
	excess(at *shifted, rest, scratch []float64) float64
	// solved takes example e's x for all rows.
	solved(b *block, e int, x []float64, out *fitted)
	// finish completes the block's results.
	finish(ctx context.Context, b *block, out *fitted) error
}

// normalEngine fits ridge and least squares by tridiagonal reductions of A, one over the rows fitted while λ is chosen
// and one over all rows, shared by all examples and all λ.
type normalEngine struct {
	d      *design
	opts   Options
	form   normalForm
	n      int
	matrix []float64    // [n][n] A over all rows
	all    *tridiagonal // nil where only scores are wanted
	train  *tridiagonal // nil where no rows are held out
	path   []float64
	// Per λ of the path, of all and train.
	atAll, atTrain []*shifted
	// projection times Qᵀx predicts the held-out margins: [nHeld][train.n].
	projection []float64
	workers    []normalWorker
}

type normalWorker struct {
	right     []float64 // [n] right-hand side, then what the solution leaves of it
	rotated   []float64 // [n]
	solution  []float64 // [n]
	scratch   []float64 // [3n]
	solutions []float64 // [train.n][len(path)], rotated
	predicted []float64 // [nHeld][len(path)]
	column    []float64 // [nHeld]
	actual    []float64 // [nHeld]
	held      held
}

// normalBytes is what the engine holds besides matrices: for all workers, and for each.
func normalBytes(n, nHeld, pathLength int) (shared, perWorker int64) {
	long, wide := int64(n), int64(pathLength)
	return 32 * long * wide, 8*(6*long+(long+int64(nHeld))*wide+2*int64(nHeld)) + heldBytes(nHeld)
}

// ready makes path and scratch once form, matrix, reductions and projection are there.
func (engine *normalEngine) ready() {
	engine.path = []float64{max(engine.opts.Lambda, 0)}
	if engine.train != nil && engine.opts.Method == Ridge && engine.opts.Lambda < 0 {
		engine.path = engine.train.ridgePath(engine.opts)
	}
	for _, lambda := range engine.path {
		if engine.all != nil {
			engine.atAll = append(engine.atAll, engine.all.shift(lambda))
		}
		if engine.train != nil {
			engine.atTrain = append(engine.atTrain, engine.train.shift(lambda))
		}
	}
	n, length, nHeld := engine.n, len(engine.path), engine.d.nHeld
	engine.workers = make([]normalWorker, engine.opts.Workers)
	for i := range engine.workers {
		w := &engine.workers[i]
		w.right, w.rotated, w.solution = make([]float64, n), make([]float64, n), make([]float64, n)
		w.scratch = make([]float64, 3*n)
		if engine.train != nil {
			w.solutions = make([]float64, engine.train.n*length)
			w.predicted = make([]float64, nHeld*length)
			w.column, w.actual = make([]float64, nHeld), make([]float64, nHeld)
		}
	}
}

// serves says whether the reductions are those of other options, too: ridge and least squares without weights have the same.
func (engine *normalEngine) serves(opts Options) bool {
	return opts.Method != Lasso && engine.opts.scales() == nil && opts.scales() == nil
}

// with goes on with the same reductions under other options.
func (engine *normalEngine) with(opts Options) *normalEngine {
	other := *engine
	other.opts, other.atAll, other.atTrain = opts, nil, nil
	other.ready()
	return &other
}

func (engine *normalEngine) fitBlock(ctx context.Context, b *block, out *fitted, done func()) error {
	if err := engine.form.begin(ctx, b); err != nil {
		return err
	}
	err := parallel(ctx, engine.opts.Workers, b.n, func(worker, e int) error {
		engine.fitExample(&engine.workers[worker], b, e, out)
		return nil
	}, done)
	if err != nil || engine.all == nil {
		return err
	}
	return engine.form.finish(ctx, b, out)
}

func (engine *normalEngine) fitExample(w *normalWorker, b *block, e int, out *fitted) {
	if b.constant[allRows][e] {
		out.setConstant(b, e)
		clear(w.solution)
		engine.form.solved(b, e, w.solution, out)
		return
	}
	at := 0
	out.atPathEnd[e] = false
	if engine.train != nil {
		at, out.Validation[e] = engine.choose(w, b, e)
		out.atPathEnd[e] = len(engine.path) > 1 && at == len(engine.path)-1
	}
	if engine.all == nil {
		return
	}
	lambda := engine.path[at]
	engine.form.rightHandSide(w.right, b, allRows, e)
	copy(w.solution, w.right)
	engine.all.rotate(w.solution)
	engine.atAll[at].solve(w.solution, w.scratch)
	engine.all.rotateBack(w.solution)

	// What is left of the right-hand side says how well the equations are solved.
	multiply(engine.matrix, engine.n, w.rotated, w.solution)
	for i := range w.right {
		w.right[i] -= w.rotated[i] + lambda*w.solution[i]
	}
	engine.all.rotate(w.right)
	out.Gap[e] = engine.form.excess(engine.atAll[at], w.right, w.scratch) / (b.variance(allRows, e) / 2)
	out.Lambda[e], out.Sweeps[e], out.Converged[e] = lambda, 0, true
	engine.form.solved(b, e, w.solution, out)
}

// choose scores every λ of the path on the held-out rows and returns the place of the best.
func (engine *normalEngine) choose(w *normalWorker, b *block, e int) (int, Score) {
	n, length, nHeld := engine.train.n, len(engine.path), engine.d.nHeld
	rotated, solution := w.rotated[:n], w.solution[:n]
	engine.form.rightHandSide(rotated, b, trainRows, e)
	engine.train.rotate(rotated)
	for l, at := range engine.atTrain {
		copy(solution, rotated)
		at.solve(solution, w.scratch)
		for k, v := range solution {
			w.solutions[k*length+l] = v
		}
	}
	blas64.Gemm(blas.NoTrans, blas.NoTrans, 1,
		blas64.General{Rows: nHeld, Cols: n, Stride: n, Data: engine.projection},
		blas64.General{Rows: n, Cols: length, Stride: length, Data: w.solutions},
		0, blas64.General{Rows: nHeld, Cols: length, Stride: length, Data: w.predicted})
	b.held(w.actual, e)
	w.held.begin(b, e, w.actual)
	var chosen selection
	for l := range engine.path {
		for i := range w.column {
			w.column[i] = w.predicted[i*length+l]
		}
		chosen.offer(w.held.score(w.column))
	}
	return chosen.at, chosen.best
}
