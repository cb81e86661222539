package gradient

// Pool gathers what examples have in common. Add every example first, then Fit.
type Pool struct {
	rows       Rows
	groups     []groupPool
	components []componentPool
}

// groupPool gathers sums over a group's components and all examples, each in units of the example's V.
type groupPool struct {
	first, last            int
	ss, sk, kk, inverse, n float64 // Σs²/V, Σsk/V, Σk²/V, Σ1/n, number of terms
	examples               int     // of which V is not 0
}

// componentPool gathers sums over all examples.
type componentPool struct{ sk, kk, noise float64 } // Σsk/V, Σk²/V, Σk²U/V²

// leastSpread bounds g from below.
const leastSpread = 1e-3

// groupFreedom is the degrees of freedom that V counts for in U.
const groupFreedom = 4

// sharedNoise is the share of a derivative's variance over the rows that is the same for all examples, which the same rows
// ablate. Measured (docs/estimator.md).
const sharedNoise = 0.07

// NewPool starts a pool without examples.
func NewPool(rows Rows) *Pool {
	p := &Pool{rows: rows, components: make([]componentPool, len(rows.Softened))}
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
		v := p.rows.variance(g, e)
		if v == 0 {
			continue
		}
		g.examples++
		for c := g.first; c < g.last; c++ {
			if n := p.rows.Softened[c]; n > 0 {
				s, k := e.Sum[c]/float64(n), p.rows.kept(e, c)
				g.ss += s * s / v
				g.sk += s * k / v
				g.kk += k * k / v
				g.inverse += 1 / float64(n)
				g.n++
				own := &p.components[c]
				own.sk += s * k / v
				own.kk += k * k / v
				own.noise += k * k / v * p.rows.own(e, c, v) / v
			}
		}
	}
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

// Fit returns the estimator that the examples so far lead to.
func (p *Pool) Fit() *Estimator {
	e := &Estimator{rows: p.rows, groups: p.groups, rho: make([]float64, len(p.components)), spread: make([]float64, len(p.groups))}
	precision := make([]float64, len(p.components)) // of a component's own ρ; 0 where it has none
	var excess, scale float64
	for l := range p.groups {
		g := &p.groups[l]
		var rho float64
		rho, e.spread[l] = g.fit()
		for c := g.first; c < g.last; c++ {
			e.rho[c] = rho
			if own := p.components[c]; own.kk > 0 {
				precision[c] = 1 / p.slopeVariance(c, e.spread[l], g.examples)
			}
		}
		q, s := scatter(p.components[g.first:g.last], precision[g.first:g.last])
		excess, scale = excess+q, scale+s
	}
	if !(excess > 0 && scale > 0) {
		return e
	}
	tau2 := excess / scale
	for c, own := range p.components {
		if weight := tau2 * precision[c]; weight > 0 {
			e.rho[c] += weight / (1 + weight) * (own.sk/own.kk - e.rho[c])
		}
	}
	return e
}

// slopeVariance is that of the regression of s on k over the examples, component c alone: from the attributions' own scatter,
// and from derivatives that scatter by U over n rows. The examples share a part of the latter, which more of them do not reduce.
func (p *Pool) slopeVariance(c int, spread float64, nExamples int) float64 {
	own := p.components[c]
	noise := own.noise / own.kk / float64(p.rows.Softened[c])
	return (spread + noise*(1+sharedNoise*float64(nExamples))) / own.kk
}

// scatter says how far a group's slopes scatter about their mean beyond their precision: the variance of what they estimate is
// excess/scale, of several groups the sum of the ones by the sum of the others.
//
// Source: DerSimonian, Laird, Controlled Clinical Trials 7:3 (1986), equation 8.
func scatter(components []componentPool, precision []float64) (excess, scale float64) {
	var sum, squares, weighted float64
	for i, w := range precision {
		if w > 0 {
			sum += w
			squares += w * w
			weighted += w * components[i].sk / components[i].kk
		}
	}
	if sum == 0 {
		return 0, 0
	}
	mean := weighted / sum
	for i, w := range precision {
		if w > 0 {
			d := components[i].sk/components[i].kk - mean
			excess += w*d*d - 1
		}
	}
	return excess + 1, sum - squares/sum
}
