package gradient

import "gonum.org/v1/gonum/floats"

// Rows is what all examples share of the gradient rows.
type Rows struct {
	Softened, Kept []int      // [nComponents] rows in which a component is softened, and those of the first KeptRows in which it is kept
	MeanKeep       []float64  // [nComponents] over all rows
	Groups         []int      // sizes of the component groups, which add up to nComponents
	Softening      *Softening // of the first rows; nil where it is not known
}

// Example is what the rows say of one example.
type Example struct {
	Sum, SumSq []float64 // [nComponents] of the derivatives in the rows that soften a component, and of their squares
	KeptSum    []float64 // [nComponents] of the derivatives in those of the first KeptRows that keep it
	Margins    []float64 // [nRows] logits
}

// Attributions are what gradient rows say of one example.
type Attributions struct {
	Theta     []float64 // [nComponents] logits
	SE        []float64 // [nComponents] standard errors of Theta, logits
	Intercept float64   // logits: Intercept + sum of Theta over kept components predicts the margin
}

// Estimator makes attributions of what the rows say of an example and of what all examples have in common.
//
// The mean derivative s over the rows that soften a component estimates its attribution without bias but for the softened
// context, and with the variance V/n of n rows. The mean k over the rows that keep it is soon known much better, from many more
// rows, but is the derivative at one end only. So s is drawn towards ρk:
//
//	θ = ρk + B(s - ρk),  B = g/(g + 1/n),
//
// the posterior mean if attributions scatter about ρk with variance gV. For each component group, ρ is the regression of s
// on k and g what s scatters beyond V/n, over all examples and components; V is the variance of a derivative of one example,
// over the group's components. Few rows rest on ρk, many on s alone. How much of its slope at the kept end a component retains
// differs from one to the next, in the same way for all examples: ρ is drawn from the group's towards the component's own regression, as far
// as the components' own scatter beyond their errors.
//
// The posterior variance is gU/(1 + gn), which tends to U/n, with U the variance of the component's own derivatives, drawn
// towards V. How far a component's derivatives scatter differs by tens of times within a group, so that U says where the
// attributions may be wrong; but it goes with their size too, so that g and B are better without it. Where the rows' keep
// values are known, their margins correct θ as far as these variances allow (Softening).
type Estimator struct {
	rows   Rows
	groups []groupPool
	rho    []float64 // [nComponents] ρ
	spread []float64 // [nGroups] g
}

// Estimate returns the attributions of an example that was added to the pool.
func (p *Estimator) Estimate(e Example) Attributions {
	n := len(p.rows.Softened)
	theta, variance, kept := make([]float64, n), make([]float64, n), make([]float64, n)
	for l, spread := range p.spread {
		g := &p.groups[l]
		v := p.rows.variance(g, e)
		for c := g.first; c < g.last; c++ {
			count := float64(p.rows.Softened[c])
			kept[c] = p.rows.kept(e, c)
			s, prior := 0.0, p.rho[c]*kept[c]
			if count > 0 {
				s = e.Sum[c] / count
			}
			if v == 0 && count > 0 { // the same derivative in every row
				theta[c] = s
			} else {
				b := spread * count / (spread*count + 1)
				theta[c] = prior + b*(s-prior)
			}
			variance[c] = p.rows.own(e, c, v) * spread / (1 + spread*count)
		}
	}
	if p.rows.Softening != nil {
		p.rows.Softening.update(theta, variance, kept, p.rows.Kept, e.Margins)
	}
	mean := floats.Sum(e.Margins) / float64(max(1, len(e.Margins)))
	return Attributions{Theta: theta, SE: standardErrors(variance), Intercept: mean - floats.Dot(theta, p.rows.MeanKeep)}
}

// kept is the mean derivative over the rows that keep component c; 0 if none does.
func (r *Rows) kept(e Example, c int) float64 {
	if n := r.Kept[c]; n > 0 {
		return e.KeptSum[c] / float64(n)
	}
	return 0
}

// variance is V: of the derivatives of one example about the means of their components, over a group. Where no component
// is softened twice that is unknown, and their mean square stands in for it.
func (r *Rows) variance(g *groupPool, e Example) float64 {
	var within, freedom, square, seen float64
	for c := g.first; c < g.last; c++ {
		if n := float64(r.Softened[c]); n > 0 {
			mean := e.Sum[c] / n
			within += max(0, e.SumSq[c]-n*mean*mean)
			freedom += n - 1
			square += mean * mean
			seen++
		}
	}
	if freedom > 0 {
		return within / freedom
	}
	return square / max(1, seen)
}

// own is U: the variance of the derivatives of component c of one example, drawn towards v, that of its group.
func (r *Rows) own(e Example, c int, v float64) float64 {
	n := float64(r.Softened[c])
	if n < 2 {
		return v
	}
	return (max(0, e.SumSq[c]-e.Sum[c]*e.Sum[c]/n) + groupFreedom*v) / (n - 1 + groupFreedom)
}
