package regress

import "context"

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
	engine.n, engine.matrix = d.nComponents, all
	if err := engine.reduceBoth(ctx, train, d.nComponents); err != nil {
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

// reduceBoth reduces train, [nTrain][nTrain], where there is one, and a copy of engine.matrix where more is wanted than
// scores.
func (engine *normalEngine) reduceBoth(ctx context.Context, train []float64, nTrain int) (err error) {
	if train != nil {
		if engine.train, err = reduce(ctx, train, nTrain, engine.opts.Workers); err != nil || engine.opts.scoreOnly {
			return err
		}
	}
	engine.all, err = reduce(ctx, append([]float64(nil), engine.matrix...), engine.n, engine.opts.Workers)
	return err
}

// projectHeld returns the centred and scaled rows held out times Q: [nHeld][nComponents].
//
// Cost: nComponents² multiplications for each of those rows.
func projectHeld(ctx context.Context, d *design, t *tridiagonal, s scales, workers int) ([]float64, error) {
	n := d.nComponents
	rows := packRows(d, d.nTrain)
	projection := make([]float64, d.nHeld*n)
	for i := range d.nHeld {
		row := projection[i*n : (i+1)*n]
		for c := range row {
			row[c] = -s.of(c) * d.mean(trainRows, c)
		}
		rows.each(d.nTrain+i, func(c int) { row[c] += s.of(c) })
	}
	return projection, t.rotateRows(ctx, projection, d.nHeld, workers)
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
	engine.n, engine.matrix = d.nRows, k.all
	if err := engine.reduceBoth(ctx, k.train, d.nTrain); err != nil {
		return nil, err
	}
	if d.nHeld > 0 {
		engine.projection = k.held
		if err := engine.train.rotateRows(ctx, k.held, d.nHeld, opts.Workers); err != nil {
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
