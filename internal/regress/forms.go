package regress

import (
	"context"
	"errors"

	"gonum.org/v1/gonum/blas/blas64"
)

// gramForm writes the normal equations by component: A = XᵀX/m, b = Xᵀy/m, x = θ.
type gramForm struct {
	cross   *cross
	scales  scales // of the columns of X, which A, b and x are about
	workers int
}

// newGramEngine reduces the Gram matrices.
func newGramEngine(ctx context.Context, d *design, opts Options, plan plan) (*normalEngine, error) {
	engine := &normalEngine{d: d, opts: opts, form: &gramForm{newCross(d, plan.block, d.parts()...), opts.scales(), opts.Workers}}
	train, all, err := grams(ctx, d, opts.Workers)
	if err != nil {
		return nil, err
	}
	opts.scales().gram(train)
	opts.scales().gram(all)
	engine.matrix = all
	if err := engine.reduceBoth(d.nComponents, train, d.nComponents); err != nil {
		return nil, err
	}
	if d.nHeld > 0 {
		if engine.projection, err = projectHeld(ctx, d, engine.train, opts.scales(), opts.Workers); err != nil {
			return nil, err
		}
	}
	engine.ready()
	return engine, ctx.Err()
}

// reduceBoth reduces a copy of engine.matrix, [n][n], and, where there is one, train, [nTrain][nTrain].
func (engine *normalEngine) reduceBoth(n int, train []float64, nTrain int) error {
	failed := make(chan error, 1)
	go func() {
		if train == nil {
			failed <- nil
			return
		}
		var err error
		engine.train, err = reduce(train, nTrain)
		failed <- err
	}()
	var err error
	engine.all, err = reduce(append([]float64(nil), engine.matrix...), n)
	return errors.Join(err, <-failed)
}

// projectHeld returns the centred and scaled rows held out times Q: [nHeld][nComponents].
//
// Cost: nComponents additions per bit set in those rows.
func projectHeld(ctx context.Context, d *design, t *tridiagonal, s scales, workers int) ([]float64, error) {
	n := d.nComponents
	rows := packRows(d, d.nTrain)
	centre := make([]float64, n)
	row := func(c int) blas64.Vector { return blas64.Vector{N: n, Inc: 1, Data: t.q[c*n : (c+1)*n]} }
	for c := range n {
		blas64.Axpy(s.of(c)*d.mean(trainRows, c), row(c), blas64.Vector{N: n, Inc: 1, Data: centre})
	}
	projection := make([]float64, d.nHeld*n)
	err := parallel(ctx, workers, d.nHeld, func(_, i int) error {
		sum := blas64.Vector{N: n, Inc: 1, Data: projection[i*n : (i+1)*n]}
		rows.each(d.nTrain+i, func(c int) { blas64.Axpy(s.of(c), row(c), sum) })
		blas64.Axpy(-1, blas64.Vector{N: n, Inc: 1, Data: centre}, sum)
		return nil
	}, nil)
	return projection, err
}

func (f *gramForm) begin(ctx context.Context, b *block) error {
	return f.cross.compute(ctx, b, f.workers)
}

func (f *gramForm) rightHandSide(dst []float64, _ *block, p part, e int) {
	copy(dst, f.cross.of(p, e))
	f.scales.columns(dst)
}

// excess is gᵀ(A + λI)⁻¹g/2 for the remainder g.
func (f *gramForm) excess(at *shifted, rest, scratch []float64) float64 {
	solution := scratch[2*len(rest):]
	copy(solution, rest)
	at.solve(solution, scratch)
	return max(0, dot(rest, solution)/2)
}

func (f *gramForm) solved(b *block, e int, x []float64, out *fitted) {
	f.scales.columns(x)
	out.setTheta(b, e, x)
}

func (f *gramForm) finish(context.Context, *block, *fitted) error { return nil }

// kernelForm writes them by row: A = XXᵀ/m, b = y/m, θ = Xᵀx. Where λ is 0, the x of least norm gives the θ of least norm.
type kernelForm struct {
	d       *design
	weights *block // nRows·x of every example, laid out as margins are
	theta   *cross
	scales  scales // of the columns of X
	workers int
}

// newKernelEngine reduces the inner products of the rows.
func newKernelEngine(ctx context.Context, d *design, opts Options, plan plan) (*normalEngine, error) {
	form := &kernelForm{d: d, weights: newBlock(d, plan.block), theta: newCross(d, plan.block, allRows), scales: opts.scales(), workers: opts.Workers}
	engine := &normalEngine{d: d, opts: opts, form: form}
	k, err := makeKernels(ctx, d, form.scales, opts.Workers)
	if err != nil {
		return nil, err
	}
	engine.matrix = k.all
	if err := engine.reduceBoth(d.nRows, k.train, d.nTrain); err != nil {
		return nil, err
	}
	if d.nHeld > 0 {
		engine.projection = make([]float64, d.nHeld*d.nTrain)
		if err := parallel(ctx, opts.Workers, d.nHeld, func(_, row int) error {
			engine.train.rotate(engine.projection[row*d.nTrain:(row+1)*d.nTrain], k.held[row*d.nTrain:(row+1)*d.nTrain])
			return nil
		}, nil); err != nil {
			return nil, err
		}
	}
	engine.ready()
	return engine, ctx.Err()
}

func (f *kernelForm) begin(_ context.Context, b *block) error {
	f.weights.first, f.weights.n = b.first, b.n
	return nil
}

func (f *kernelForm) rightHandSide(dst []float64, b *block, p part, e int) {
	tile, lane, offset := b.tile(e/tileWidth), e%tileWidth, b.offset[p][e]
	m := float64(f.d.size(p))
	i := 0
	for at, row := range f.d.rows[:f.d.positions(p)] {
		if row >= 0 {
			dst[i] = (tile[at*tileWidth+lane] - offset) / m
			i++
		}
	}
}

// excess is m·eᵀ(A + λI)⁻¹Ae/2 for the remainder e.
func (f *kernelForm) excess(at *shifted, rest, scratch []float64) float64 {
	solution := scratch[2*len(rest):]
	at.t.apply(solution, rest)
	at.solve(solution, scratch)
	return max(0, float64(f.d.nRows)*dot(rest, solution)/2)
}

func (f *kernelForm) solved(b *block, e int, x []float64, _ *fitted) {
	tile, lane, m := f.weights.tile(e/tileWidth), e%tileWidth, float64(f.d.nRows)
	i, sum := 0, 0.0
	for at, row := range f.d.rows {
		if row >= 0 {
			tile[at*tileWidth+lane] = m * x[i]
			sum += x[i]
			i++
		}
	}
	f.weights.offset[allRows][e] = sum
}

func (f *kernelForm) finish(ctx context.Context, b *block, out *fitted) error {
	if err := f.theta.compute(ctx, f.weights, f.workers); err != nil {
		return err
	}
	for e := range b.n {
		theta := f.theta.of(allRows, e)
		f.scales.columns(theta) // once for X, once for what its coefficients are multiplied back by
		f.scales.columns(theta)
		out.setTheta(b, e, theta)
	}
	return nil
}

func dot(x, y []float64) float64 {
	return blas64.Dot(blas64.Vector{N: len(x), Inc: 1, Data: x}, blas64.Vector{N: len(y), Inc: 1, Data: y})
}
