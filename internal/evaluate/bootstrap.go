package evaluate

import (
	"math"
	"math/bits"
	"math/rand/v2"

	"gonum.org/v1/gonum/blas"
	blasgo "gonum.org/v1/gonum/blas/gonum"
)

// bootstrapStream separates the bootstrap's random numbers from all others of the same seed.
const bootstrapStream = 0x626f6f74

// drawWeights draws nRows rows with replacement, nDraws times, and returns how often each draw took each row, [nDraws, nRows].
//
// The numbers come from PCG-DXSM(seed, bootstrapStream), draw by draw; each 64-bit value u takes row floor(u·nRows / 2^64).
func drawWeights(nRows, nDraws int, seed uint64) []float64 {
	generator := rand.NewPCG(seed, bootstrapStream)
	weights := make([]float64, nDraws*nRows)
	for d := range nDraws {
		draw := weights[d*nRows : (d+1)*nRows]
		for range nRows {
			row, _ := bits.Mul64(generator.Uint64(), uint64(nRows))
			draw[row]++
		}
	}
	return weights
}

// bootstrapSums returns, for every draw, the sum over examples of the correlation on the rows that the draw took.
//
// Shape: weights [nDraws, nRows]; predicted and measured [examples][nRows].
// The five weighted sums that a correlation needs are one matrix product per block:
// weights × [u, v, u², v², uv], with u and v standardised over all rows, so that nothing cancels when a draw is centred again.
func bootstrapSums(weights []float64, nDraws, nRows int, predicted, measured [][]float64, moments []centred) []float64 {
	n := len(moments)
	width := 5 * n
	products := make([]float64, nRows*width)
	for i, m := range moments {
		if m.undefined() {
			continue // u = v = 0: every draw's correlation is 0
		}
		scaleP, scaleM := math.Sqrt(float64(nRows)/m.pp), math.Sqrt(float64(nRows)/m.mm)
		for row := range nRows {
			u := (predicted[i][row] - m.meanPredicted) * scaleP
			v := (measured[i][row] - m.meanMeasured) * scaleM
			at := products[row*width:]
			at[i], at[n+i], at[2*n+i], at[3*n+i], at[4*n+i] = u, v, u*u, v*v, u*v
		}
	}
	sums := make([]float64, nDraws*width)
	blasgo.Implementation{}.Dgemm(blas.NoTrans, blas.NoTrans, nDraws, width, nRows, 1, weights, nRows, products, width, 0, sums, width)

	totals := make([]float64, nDraws)
	for d := range totals {
		at := sums[d*width : (d+1)*width]
		for i := range n {
			totals[d] += weightedCorrelation(float64(nRows), at[i], at[n+i], at[2*n+i], at[3*n+i], at[4*n+i])
		}
	}
	return totals
}

// negligible is the share of a draw's second moment below which its variance is rounding: the draw took equal values only.
const negligible = 1e-12

// weightedCorrelation is Pearson's correlation from the sums of n values: Σu, Σv, Σu², Σv², Σuv; 0 where a side is constant.
func weightedCorrelation(n, u, v, uu, vv, uv float64) float64 {
	varU, varV := uu-u*u/n, vv-v*v/n
	if varU <= negligible*uu || varV <= negligible*vv {
		return 0
	}
	return clampCorrelation((uv - u*v/n) / math.Sqrt(varU) / math.Sqrt(varV))
}
