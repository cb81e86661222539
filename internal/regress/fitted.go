package regress

// fitted collects a block's results; engines write example e from one worker.
type fitted struct {
	Result
	d         *design
	atPathEnd []bool
	constant  []bool
}

func newFitted(d *design, capacity int) *fitted {
	f := &fitted{
		d: d,
		Result: Result{
			Theta:     make([]float32, capacity*d.nComponents),
			Intercept: make([]float64, capacity),
			Lambda:    make([]float64, capacity),
			Gap:       make([]float64, capacity),
			Sweeps:    make([]int, capacity),
			Converged: make([]bool, capacity),
			NonZeros:  make([]int, capacity),
		},
		atPathEnd: make([]bool, capacity),
		constant:  make([]bool, capacity),
	}
	if d.nHeld > 0 {
		f.Validation = make([]Score, capacity)
	}
	return f
}

// fittedBytes is what fitted holds per example.
func fittedBytes(nComponents int) int64 { return 4*int64(nComponents) + 96 }

// block returns the results of a block of n examples from first on.
func (f *fitted) block(first, n int) Result {
	r := f.Result
	r.First = first
	r.Theta = r.Theta[:n*f.d.nComponents]
	r.Intercept, r.Lambda, r.Gap = r.Intercept[:n], r.Lambda[:n], r.Gap[:n]
	r.Sweeps, r.Converged, r.NonZeros = r.Sweeps[:n], r.Converged[:n], r.NonZeros[:n]
	if r.Validation != nil {
		r.Validation = r.Validation[:n]
	}
	return r
}

// setTheta turns coefficients of the design's bits into attributions, and derives the intercept from these as rounded.
func (f *fitted) setTheta(b *block, e int, coef []float64) {
	theta := f.Theta[e*f.d.nComponents : (e+1)*f.d.nComponents]
	intercept, nonZeros := b.mean[e], 0
	for c, t := range coef {
		mean := f.d.mean(allRows, c)
		if f.d.flipped[c] {
			t, mean = -t, 1-mean
		}
		if f.d.constant(c) {
			t = 0
		}
		theta[c] = float32(t)
		if theta[c] != 0 {
			nonZeros++
			intercept -= float64(theta[c]) * mean
		} else {
			theta[c] = 0 // not -0
		}
	}
	f.Intercept[e], f.NonZeros[e] = intercept, nonZeros
	f.constant[e] = b.constant[allRows][e]
}

// setConstant is the fit of a margin that is the same in every row: nothing is attributed to any component.
func (f *fitted) setConstant(b *block, e int) {
	clear(f.Theta[e*f.d.nComponents : (e+1)*f.d.nComponents])
	f.Intercept[e], f.Lambda[e], f.Gap[e] = b.mean[e], 0, 0
	f.Sweeps[e], f.Converged[e], f.NonZeros[e] = 0, true, 0
	f.constant[e], f.atPathEnd[e] = true, false
	if f.Validation != nil {
		f.Validation[e] = Score{}
	}
}
