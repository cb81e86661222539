package regress

import (
	"math"
)

// residualDescent keeps an example's residuals up to date, and works on the rows in a component's rarer state.
//
// Cost: per coordinate visited, the rows listed for it, twice if its coefficient changes. A sweep visits the working
// set: the components that the sequential strong rule lets in, and any that a pass over all components then finds to
// violate the optimality conditions.
// Source: Tibshirani et al., JRSS B 74:2 (2012), section 7.
type residualDescent struct {
	d     *design
	lists *lists

	part     part
	m        float64
	variance float64
	margins  []float64 // [positions] centred
	residual []float64 // [positions] margins less z·θ; the centred residual is this plus shift
	shift    float64   // Σ θ_c mean_c
	gradient []float64 // [nComponents] as of the last pass over all of them
	coef     []float64
	working  []int32
}

func newResidualDescent(d *design, l *lists) *residualDescent {
	return &residualDescent{
		d: d, lists: l,
		margins:  make([]float64, len(d.rows)),
		residual: make([]float64, len(d.rows)),
		gradient: make([]float64, d.nComponents),
		coef:     make([]float64, d.nComponents),
		working:  make([]int32, 0, d.nComponents),
	}
}

// residualBytes is what each worker's residualDescent holds.
func residualBytes(nRows, nComponents int) int64 {
	return 16*(int64(nRows)+128) + 21*int64(nComponents)
}

func (rd *residualDescent) begin(b *block, x *cross, p part, e int, theta []float64) {
	rd.part, rd.m = p, float64(rd.d.size(p))
	rd.margins = b.centred(rd.margins[:cap(rd.margins)], p, e)
	rd.variance = b.variance(p, e)
	rd.residual = rd.residual[:len(rd.margins)]
	copy(rd.residual, rd.margins)
	rd.shift = 0
	clear(rd.coef)
	moved := false
	for c, t := range theta {
		if t != 0 && rd.curvature(c) > 0 {
			rd.coef[c] = t
			rd.subtract(c, t)
			moved = true
		}
	}
	if moved {
		rd.pass()
	} else {
		copy(rd.gradient, x.of(p, e))
	}
}

func (rd *residualDescent) theta() []float64 { return rd.coef }

// lambdaMax holds while theta is zero, as begin leaves it where it is given none.
func (rd *residualDescent) lambdaMax() float64 { return maxAbs(rd.gradient) }

func (rd *residualDescent) solve(lambda, previous, tol float64) progress {
	var done progress
	entering := lambda
	if previous < math.Inf(1) {
		entering = min(lambda, 2*lambda-previous)
	}
	rd.choose(entering)
	step := tol * rd.variance // a sweep whose largest change explains less than this may be the last
	for {
		done.gap = rd.gap(lambda)
		done.converged = done.gap <= tol
		if done.converged || done.sweeps >= maxSweeps {
			return done
		}
		for done.sweeps < maxSweeps {
			done.sweeps++
			if rd.sweep(lambda) <= step {
				break
			}
		}
		step /= 4
		rd.pass()
		rd.choose(lambda)
	}
}

// choose makes the working set: the components with a coefficient, or with a gradient of at least threshold.
func (rd *residualDescent) choose(threshold float64) {
	rd.working = rd.working[:0]
	for c, g := range rd.gradient {
		if rd.coef[c] != 0 || math.Abs(g) >= threshold {
			rd.working = append(rd.working, int32(c))
		}
	}
}

// sweep visits the working set once and returns the largest change, as the fall of the mean squared residual it is worth.
func (rd *residualDescent) sweep(lambda float64) float64 {
	largest := 0.0
	for _, c32 := range rd.working {
		c := int(c32)
		curvature := rd.curvature(c)
		if curvature == 0 {
			continue
		}
		old := rd.coef[c]
		next := softThreshold(rd.slope(c)+curvature*old, lambda) / curvature
		if change := next - old; change != 0 {
			rd.coef[c] = next
			rd.subtract(c, change)
			largest = max(largest, change*change*curvature)
		}
	}
	return largest
}

// pass brings the gradient of every component up to date.
func (rd *residualDescent) pass() {
	for c := range rd.gradient {
		rd.gradient[c] = rd.slope(c)
	}
}

// slope returns (z_c − mean)ᵀr/m; the centred residual r sums to zero, so the mean drops out.
func (rd *residualDescent) slope(c int) float64 {
	list := rd.lists.of(rd.part, c)
	if rd.curvature(c) == 0 {
		return 0
	}
	return (gather(rd.residual, list) + float64(len(list))*rd.shift) / rd.m
}

// curvature is the variance of component c's bits.
func (rd *residualDescent) curvature(c int) float64 {
	mean := float64(rd.d.ones(rd.part, c)) / rd.m
	return mean * (1 - mean)
}

func (rd *residualDescent) subtract(c int, change float64) {
	scatter(rd.residual, rd.lists.of(rd.part, c), -change)
	rd.shift += change * rd.d.mean(rd.part, c)
}

func (rd *residualDescent) gap(lambda float64) float64 {
	var residual, along, norm1 float64
	for at, row := range rd.d.rows[:len(rd.residual)] {
		if row >= 0 {
			r := rd.residual[at] + rd.shift
			residual += r * r
			along += r * rd.margins[at]
		}
	}
	for _, t := range rd.coef {
		norm1 += math.Abs(t)
	}
	return relativeGap(lambda, rd.variance, rd.variance-along/rd.m, residual/rd.m, norm1, maxAbs(rd.gradient))
}

// gather sums the listed entries of values.
func gather(values []float64, list []int32) float64 {
	var s0, s1, s2, s3 float64
	for ; len(list) >= 4; list = list[4:] {
		s0 += values[list[0]]
		s1 += values[list[1]]
		s2 += values[list[2]]
		s3 += values[list[3]]
	}
	for _, at := range list {
		s0 += values[at]
	}
	return (s0 + s1) + (s2 + s3)
}

// scatter adds v to the listed entries of values.
func scatter(values []float64, list []int32, v float64) {
	for _, at := range list {
		values[at] += v
	}
}
