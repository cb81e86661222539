package regress

import (
	"math"
	"math/rand/v2"
)

// synthetic is a random study: margins are a dense linear function of the rows, plus noise of the same variance.
type synthetic struct {
	nRows, nComponents, nExamples int
	keep                          []byte    // [nRows][nComponents]
	margins                       []float32 // [nRows][nExamples]
}

func newSynthetic(nRows, nComponents, nExamples int, fraction float64, seed uint64) *synthetic {
	random := rand.New(rand.NewPCG(seed, 0))
	s := &synthetic{nRows: nRows, nComponents: nComponents, nExamples: nExamples,
		keep: make([]byte, nRows*nComponents), margins: make([]float32, nRows*nExamples)}
	theta := make([]float64, nComponents*nExamples)
	for i := range theta {
		theta[i] = random.ExpFloat64() * random.NormFloat64()
	}
	sums := make([]float64, nExamples)
	noise := math.Sqrt(2 * float64(nComponents) * fraction * (1 - fraction))
	for row := range nRows {
		clear(sums)
		for c := range nComponents {
			if random.Float64() >= fraction {
				s.keep[row*nComponents+c] = 1
				continue
			}
			for e := range sums {
				sums[e] -= theta[c*nExamples+e]
			}
		}
		for e, v := range sums {
			s.margins[row*nExamples+e] = float32(5 + v + noise*random.NormFloat64())
		}
	}
	return s
}

func (s *synthetic) Shape() (int, int, int) { return s.nRows, s.nComponents, s.nExamples }

func (s *synthetic) KeepRow(row int, dst []byte) error {
	copy(dst, s.keep[row*s.nComponents:])
	return nil
}

func (s *synthetic) Margins(first, last int, dst []float32) error {
	for row := range s.nRows {
		copy(dst[row*(last-first):(row+1)*(last-first)], s.margins[row*s.nExamples+first:])
	}
	return nil
}
