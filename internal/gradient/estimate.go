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

// Pool estimates attributions from the rows and from what the examples have in common. Add every example first, then
// Estimate.
//
// The mean derivative s over the rows that soften a component estimates its attribution without bias but for the softened
// context, and with the variance V/n of n rows. The mean k over the rows that keep it is soon known much better, from many more
// rows, but is the derivative at one end only. So s is drawn towards ρk:
//
//	θ = ρk + B(s - ρk),  B = g/(g + 1/n),
//
// the posterior mean if attributions scatter about ρk with variance gV. For each component group, ρ is the regression of s
// on k and g what s scatters beyond V/n, over all examples and components; V is the variance of a derivative of one example,
// over the group's components. Few rows rest on ρk, many on s alone.
//
// The posterior variance is gU/(1 + gn), which tends to U/n, with U the variance of the component's own derivatives, drawn
// towards V. How far a component's derivatives scatter differs by tens of times within a group, so that U says where the
// attributions may be wrong; but it goes with their size too, so that g and B are better without it. Where the rows' keep
// values are known, their margins correct θ as far as these variances allow (Softening).
type Pool struct {
	rows   Rows
	groups []groupPool
}

// groupPool gathers sums over a group's components and all examples, each in units of the example's V.
type groupPool struct {
	first, last            int
	ss, sk, kk, inverse, n float64 // Σs²/V, Σsk/V, Σk²/V, Σ1/n, number of terms
}

// leastSpread bounds g from below.
const leastSpread = 1e-3

// groupFreedom is the degrees of freedom that V counts for in U.
const groupFreedom = 4

// NewPool starts a pool without examples.
func NewPool(rows Rows) *Pool {
	p := &Pool{rows: rows}
	first := 0
	for _, size := range rows.Groups {
		p.groups = append(p.groups, groupPool{first: first, last: first + size})
		first += size
	}
	return p
}

// Add takes in one example.
func (p *Pool) Add(e Example) {
	for i := range p.groups {
		g := &p.groups[i]
		v := p.variance(g, e)
		if v == 0 {
			continue
		}
		for c := g.first; c < g.last; c++ {
			if n := p.rows.Softened[c]; n > 0 {
				s, k := e.Sum[c]/float64(n), p.kept(e, c)
				g.ss += s * s / v
				g.sk += s * k / v
				g.kk += k * k / v
				g.inverse += 1 / float64(n)
				g.n++
			}
		}
	}
}

// kept is the mean derivative over the rows that keep component c; 0 if none does.
func (p *Pool) kept(e Example, c int) float64 {
	if n := p.rows.Kept[c]; n > 0 {
		return e.KeptSum[c] / float64(n)
	}
	return 0
}

// variance is V: of the derivatives of one example about the means of their components, over a group. Where no component
// is softened twice that is unknown, and their mean square stands in for it.
func (p *Pool) variance(g *groupPool, e Example) float64 {
	var within, freedom, square, seen float64
	for c := g.first; c < g.last; c++ {
		if n := float64(p.rows.Softened[c]); n > 0 {
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
func (p *Pool) own(e Example, c int, v float64) float64 {
	n := float64(p.rows.Softened[c])
	if n < 2 {
		return v
	}
	return (max(0, e.SumSq[c]-e.Sum[c]*e.Sum[c]/n) + groupFreedom*v) / (n - 1 + groupFreedom)
}

// fit returns ρ and g of a group.
func (g *groupPool) fit() (rho, spread float64) {
	if g.kk > 0 {
		rho = g.sk / g.kk
	}
	if g.n > 0 {
		spread = (g.ss - 2*rho*g.sk + rho*rho*g.kk - g.inverse) / g.n
	}
	return rho, max(spread, leastSpread)
}

// Estimate returns the attributions of an example that was added.
func (p *Pool) Estimate(e Example) Attributions {
	n := len(p.rows.Softened)
	theta, variance, kept := make([]float64, n), make([]float64, n), make([]float64, n)
	for i := range p.groups {
		g := &p.groups[i]
		rho, spread := g.fit()
		v := p.variance(g, e)
		for c := g.first; c < g.last; c++ {
			count := float64(p.rows.Softened[c])
			kept[c] = p.kept(e, c)
			s, prior := 0.0, rho*kept[c]
			if count > 0 {
				s = e.Sum[c] / count
			}
			if v == 0 && count > 0 { // the same derivative in every row
				theta[c] = s
			} else {
				b := spread * count / (spread*count + 1)
				theta[c] = prior + b*(s-prior)
			}
			variance[c] = p.own(e, c, v) * spread / (1 + spread*count)
		}
	}
	if p.rows.Softening != nil {
		p.rows.Softening.update(theta, variance, kept, p.rows.Kept, e.Margins)
	}
	mean := floats.Sum(e.Margins) / float64(max(1, len(e.Margins)))
	return Attributions{Theta: theta, SE: standardErrors(variance), Intercept: mean - floats.Dot(theta, p.rows.MeanKeep)}
}
