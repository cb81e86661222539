package gradient

import "math"

// Rows is what all examples share of the gradient rows.
type Rows struct {
	Softened, Kept []int     // [nComponents] rows in which a component is softened, and those of the first KeptRows in which it is kept
	MeanKeep       []float64 // [nComponents] over all rows
	Groups         []int     // sizes of the component groups, which add up to nComponents
}

// Example is what the rows say of one example.
type Example struct {
	Sum, SumSq []float64 // [nComponents] of the derivatives in the rows that soften a component, and of their squares
	KeptSum    []float64 // [nComponents] of the derivatives in those of the first KeptRows that keep it
	MeanMargin float64   // over all rows, logits
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
// over the group's components. Few rows rest on ρk, many on s alone. The standard error is that of the posterior,
// √(gV/(1 + gn)), which tends to √(V/n).
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
	a := Attributions{Theta: make([]float64, n), SE: make([]float64, n), Intercept: e.MeanMargin}
	for i := range p.groups {
		g := &p.groups[i]
		rho, spread := g.fit()
		v := p.variance(g, e)
		for c := g.first; c < g.last; c++ {
			count := float64(p.rows.Softened[c])
			s, prior := 0.0, rho*p.kept(e, c)
			if count > 0 {
				s = e.Sum[c] / count
			}
			if v == 0 && count > 0 { // the same derivative in every row
				a.Theta[c] = s
			} else {
				b := spread * count / (spread*count + 1)
				a.Theta[c] = prior + b*(s-prior)
			}
			a.SE[c] = math.Sqrt(v * spread / (1 + spread*count))
			a.Intercept -= a.Theta[c] * p.rows.MeanKeep[c]
		}
	}
	return a
}
