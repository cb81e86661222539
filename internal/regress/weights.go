package regress

import "math"

// scales are the square roots of the weights of a ridge: with the columns of X multiplied by them its penalty is an ordinary
// one, and coefficients are multiplied back. nil stands for 1 everywhere.
type scales []float64

// scales returns those of the options' weights, which only the ridge takes.
func (o Options) scales() scales {
	if o.Method != Ridge || o.Weights == nil {
		return nil
	}
	s := make(scales, len(o.Weights))
	for c, w := range o.Weights {
		s[c] = math.Sqrt(w)
	}
	return s
}

// of is the scale of component c.
func (s scales) of(c int) float64 {
	if s == nil {
		return 1
	}
	return s[c]
}

// columns multiplies each entry of v, [nComponents], by its scale.
func (s scales) columns(v []float64) {
	for c, f := range s {
		v[c] *= f
	}
}

// gram multiplies a Gram matrix, [nComponents][nComponents], from both sides.
func (s scales) gram(g []float64) {
	n := len(s)
	if g == nil {
		return
	}
	for i, f := range s {
		row := g[i*n : (i+1)*n]
		s.columns(row)
		for j := range row {
			row[j] *= f
		}
	}
}
