package kernel

import "math"

// portableDerivatives is the specification of the kernels of gradients, in plain Go.
func portableDerivatives() derivatives {
	return derivatives{softmaxGradientPortable, layerNormGradientPortable, geluSlopePortable, multiplyPortable, affinePortable}
}

func softmaxGradientPortable(c *Columns) {
	for j := range c.Cols {
		var sum float32
		for r := range c.Rows {
			sum += c.X[r*c.XStride+j] * c.G[r*c.GStride+j]
		}
		for r := range c.Rows {
			c.Y[r*c.YStride+j] = c.X[r*c.XStride+j] * (c.G[r*c.GStride+j] - sum)
		}
	}
}

func layerNormGradientPortable(c *Columns) {
	for j := range c.Cols {
		mean, std := moments(c, j)
		var shift, slope float32 // mean of Γ∘G, and of Γ∘G∘(X − mean) over the variance
		for r := range c.Rows {
			g := c.Gamma[r] * c.G[r*c.GStride+j]
			shift += g
			slope += g * (c.X[r*c.XStride+j] - mean)
		}
		shift, slope = shift*c.InvRows, slope*c.InvRows/std/std
		for r := range c.Rows {
			g := c.Gamma[r] * c.G[r*c.GStride+j]
			y := (g - shift - slope*(c.X[r*c.XStride+j]-mean)) / std
			if len(c.Res) > 0 {
				y += c.Res[r*c.YStride+j]
			}
			c.Y[r*c.YStride+j] = y
		}
	}
}

func geluSlopePortable(c *Columns) {
	for j, x := range c.X[:c.Cols] {
		c.Y[j], c.G[j] = geluOf(x), geluSlope(x)
	}
}

func multiplyPortable(c *Columns) {
	for j, x := range c.X[:c.Cols] {
		c.Y[j] = x * c.G[j]
	}
}

func affinePortable(c *Columns) {
	for j, x := range c.X[:c.Cols] {
		y := x*c.Gamma[0] + c.Beta[0]
		if len(c.Res) > 0 {
			y += c.Res[j]
		}
		c.Y[j] = y
	}
}

// geluSlope is the derivative of GELU, Φ(x) + x·φ(x).
func geluSlope(x float32) float32 {
	const end = 13 // beyond it the slope is 0 or 1, and x·φ(x) may be no number
	v := min(max(float64(x), -end), end)
	return float32(0.5*math.Erfc(-v/math.Sqrt2) + v*math.Exp(-v*v/2)/(math.Sqrt2*math.SqrtPi))
}

// transposePortable walks down strips of rows, so that what it writes of Y stays in few cache lines.
func transposePortable(c *Columns) {
	const strip = 16
	for first := 0; first < c.Rows; first += strip {
		n := min(strip, c.Rows-first)
		for j := range c.Cols {
			to, from := c.Y[j*c.YStride+first:][:n], c.X[first*c.XStride+j:]
			for i := range to {
				to[i] = from[i*c.XStride]
			}
		}
	}
}

func dotsPortable(c *Columns) {
	for r := range c.Rows {
		g := c.G[r*c.GStride:][:c.Cols]
		var sum float32
		for j, x := range c.X[r*c.XStride:][:c.Cols] {
			sum += x * g[j]
		}
		c.Y[r*c.YStride] = sum
	}
}
