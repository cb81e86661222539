package kernel

import "math"

const portableLanes = 8

// portable is the specification of every kernel, in plain Go.
func portable() *Set {
	s := &Set{Name: "portable", Lanes: portableLanes, MaxRows: 4, MaxVecs: 2,
		softmax: softmaxPortable, layerNorm: layerNormPortable, gelu: geluPortable}
	for rows := 1; rows <= s.MaxRows; rows++ {
		for vecs := 1; vecs <= s.MaxVecs; vecs++ {
			s.tiles[rows-1] = append(s.tiles[rows-1], func(t *Tile) { tilePortable(t, rows, vecs) })
		}
	}
	return s
}

// tilePortable is the tile of package abi, row by row and vector by vector.
func tilePortable(t *Tile, rows, vecs int) {
	for r := range rows {
		for v := range vecs {
			n := portableLanes
			if v == vecs-1 {
				n = t.Last
			}
			tileVector(t, r, v, n)
		}
	}
}

// tileVector computes the first n lanes of vector v in row r.
func tileVector(t *Tile, r, v, n int) {
	var acc [portableLanes]float32
	a, base := t.A, t.BAt+v*t.BStep
	row := int(t.ARow[r])
	for _, k := range t.K {
		w := a[row+int(k.A)]
		b := t.B[base+int(k.B):][:n]
		for j, x := range b {
			acc[j] += w * x
		}
	}
	out := t.Out[int(t.OutRow[r])+t.OutAt+v*portableLanes:][:n]
	for j := range out {
		y := acc[j]*t.Scale[r] + t.Shift[r]
		if len(t.Res) > 0 {
			y += t.Res[int(t.ResRow[r])+t.ResAt+v*portableLanes+j]
		}
		if t.ReLU != 0 && y < 0 {
			y = 0
		}
		out[j] = y
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
		var mean, ss float32
		for r := range c.Rows {
			mean += c.X[r*c.XStride+j]
		}
		mean *= c.InvRows
		for r := range c.Rows {
			d := c.X[r*c.XStride+j] - mean
			ss += d * d
		}
		std := float32(math.Sqrt(float64(ss*c.InvRows + c.Eps)))
		for r := range c.Rows {
			c.Y[r*c.YStride+j] = (c.X[r*c.XStride+j]-mean)/std*c.Gamma[r] + c.Beta[r]
		}
	}
}

func geluPortable(c *Columns) {
	for j, x := range c.X[:c.Cols] {
		c.Y[j] = float32(float64(x) * 0.5 * math.Erfc(-float64(x)/math.Sqrt2))
	}
}
