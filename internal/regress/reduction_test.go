package regress

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// symmetric is a random symmetric matrix, [n][n], of which the last zeros rows are 0 but for the diagonal.
func symmetric(n, zeros int, random *rand.Rand) []float64 {
	a := make([]float64, n*n)
	for i := range n {
		for j := range i + 1 {
			v := random.NormFloat64()
			if i >= n-zeros && i != j {
				v = 0
			}
			a[i*n+j], a[j*n+i] = v, v
		}
	}
	return a
}

// QTQᵀ is the matrix again, whatever its size beside that of a block, and in the same bits however many workers there are.
func TestReductionIsTheMatrix(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 3))
	for _, n := range []int{1, 2, 3, reductionRows, reductionRows + 1, reductionRows + 2, 2*reductionRows + 1, partsFrom + 45} {
		for _, zeros := range []int{0, n / 2} {
			a := symmetric(n, zeros, random)
			lower := slices.Clone(a)
			for i := range n {
				for j := i + 1; j < n; j++ {
					lower[i*n+j] = math.NaN() // is not read
				}
			}
			one, err := reduce(t.Context(), slices.Clone(lower), n, 1)
			if err != nil {
				t.Fatal(err)
			}
			many, err := reduce(t.Context(), lower, n, 7)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(one.d, many.d) || !slices.Equal(one.off, many.off) || !slices.Equal(one.tau, many.tau) {
				t.Errorf("n=%d: seven workers have other bits than one", n)
			}
			column, image := make([]float64, n), make([]float64, n)
			for j := range n {
				clear(column)
				column[j] = 1
				one.rotate(column)
				one.apply(image, column)
				one.rotateBack(image)
				for i, v := range image {
					if math.Abs(v-a[i*n+j]) > 1e-12*float64(n) {
						t.Fatalf("n=%d, %d rows of zeros: QTQᵀ has %g at %d, %d instead of %g", n, zeros, v, i, j, a[i*n+j])
					}
				}
			}
		}
	}
}
