package kernel

import "math"

const portableLanes = 8

// portable is the specification of every kernel, in plain Go.
func portable() *Set {
	s := &Set{Name: "portable", Lanes: portableLanes, MaxRows: 4, MaxVecs: 2,
		softmax: softmaxPortable, layerNorm: layerNormPortable, gelu: geluPortable, gradient: gradientPortable, signs: signsPortable,
		back: portableDerivatives(), transpose: transposePortable, dots: dotsPortable,
		winoIn: winogradInputPortable, winoOut: winogradOutputPortable}
	for rows := 1; rows <= s.MaxRows; rows++ {
		for vecs := 1; vecs <= s.MaxVecs; vecs++ {
			s.tiles[rows-1] = append(s.tiles[rows-1], func(t *Tile) { tilePortable(t, rows, vecs) })
		}
	}
	s.bf16 = portableBF16(s.MaxRows, s.MaxVecs)
	return s
}

// tilePortable is the tile of package abi, span by span, row by row and vector by vector.
func tilePortable(t *Tile, rows, vecs int) {
	for _, s := range t.Spans {
		for r := range rows {
			for v := range vecs {
				n := portableLanes
				if v == vecs-1 {
					n = int(s.Last)
				}
				tileVector(t, s, r, v, n)
			}
		}
	}
}

// tileVector computes the first n lanes of vector v in row r.
func tileVector(t *Tile, s Span, r, v, n int) {
	var acc [portableLanes]float32
	b := t.B[int(s.In)+v*t.BStep:]
	reduce(acc[:n], t.A, b, int(t.ARow[r]), t.K)
	reduce(acc[:n], t.A2, b, int(t.A2Row[r]), t.K2)
	out := t.Out[int(t.OutRow[r])+int(s.Out)+v*portableLanes:][:n]
	for j := range out {
		y := acc[j]*t.Scale[r] + t.Shift[r]
		if len(t.Res) > 0 {
			y += t.Res[int(t.ResRow[r])+int(s.Res)+v*portableLanes+j]
		}
		if t.ReLU != 0 && y < 0 {
			y = 0
		}
		out[j] = y
	}
}

// reduce adds the products of every step to acc.
func reduce(acc, a, b []float32, row int, steps []Offset) {
	for _, k := range steps {
		w := a[row+int(k.A)]
		for j, x := range b[k.B:][:len(acc)] {
			acc[j] += w * x
		}
	}
}

func softmaxPortable(c *Columns) {
	for j := range c.Cols {
		top := c.X[j]
		for r := 1; r < c.Rows; r++ {
			top = max(top, c.X[r*c.XStride+j])
		}
		var sum float32
		for r := range c.Rows {
			e := float32(math.Exp(float64(c.X[r*c.XStride+j] - top)))
			c.Y[r*c.YStride+j] = e
			sum += e
		}
		for r := range c.Rows {
			c.Y[r*c.YStride+j] *= 1 / sum
		}
	}
}

func layerNormPortable(c *Columns) {
	for j := range c.Cols {
		mean, std := moments(c, j)
		for r := range c.Rows {
			c.Y[r*c.YStride+j] = (c.X[r*c.XStride+j]-mean)/std*c.Gamma[r] + c.Beta[r]
		}
	}
}

// moments are the mean and the standard deviation of column j of X.
func moments(c *Columns, j int) (mean, std float32) {
	var ss float32
	for r := range c.Rows {
		mean += c.X[r*c.XStride+j]
	}
	mean *= c.InvRows
	for r := range c.Rows {
		d := c.X[r*c.XStride+j] - mean
		ss += d * d
	}
	return mean, float32(math.Sqrt(float64(ss*c.InvRows + c.Eps)))
}

func geluPortable(c *Columns) {
	for j, x := range c.X[:c.Cols] {
		c.Y[j] = geluOf(x)
	}
}

func geluOf(x float32) float32 {
	return float32(float64(x) * 0.5 * math.Erfc(-float64(x)/math.Sqrt2))
}
