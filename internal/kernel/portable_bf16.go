package kernel

import "math"

// portableBF16 is the specification of every kernel over cells, in plain Go.
func portableBF16(maxRows, maxVecs int) *bf16 {
	k := &bf16{round: roundCellsPortable, widen: widenCellsPortable, layerNorm: layerNormCellsPortable, gelu: geluCellsPortable}
	for rows := 1; rows <= maxRows; rows++ {
		for vecs := 1; vecs <= maxVecs; vecs++ {
			k.tiles[rows-1] = append(k.tiles[rows-1], func(t *CellTile) { cellTilePortable(t, rows, vecs) })
		}
	}
	return k
}

// cellTilePortable is the tile of package abi over cells.
func cellTilePortable(t *CellTile, rows, vecs int) {
	for _, s := range t.Spans {
		for r := 0; r < rows; r++ {
			if t.OutForm[r] == Pair {
				cellTileRow(t, s, r, vecs, Low, t.OutRow[r])
				cellTileRow(t, s, r+1, vecs, High, t.OutRow[r])
				r++
				continue
			}
			cellTileRow(t, s, r, vecs, t.OutForm[r], t.OutRow[r])
		}
	}
}

// cellTileRow computes row r at span s and writes it in the given form, channel 0 of which lies at outRow.
func cellTileRow(t *CellTile, s Span, r, vecs int, form Form, outRow int32) {
	for v := range vecs {
		n := portableLanes
		if v == vecs-1 {
			n = int(s.Last)
		}
		var acc [portableLanes]float32
		b := t.B[int(s.In)+v*t.BStep:]
		reduceCells(acc[:n], t.A, b, int(t.ARow[r]), t.K)
		reduceCells(acc[:n], t.A2, b, int(t.A2Row[r]), t.K2)
		out := t.Out[int(outRow)+int(s.Out)+v*portableLanes:][:n]
		for j := range out {
			y := acc[j]*t.Scale[r] + t.Shift[r]
			if len(t.Res) > 0 {
				y += read(t.Res[int(t.ResRow[r])+int(s.Res)+v*portableLanes+j], t.ResForm[r])
			}
			if t.ReLU != 0 && y < 0 {
				y = 0
			}
			write(&out[j], y, form)
		}
	}
}

// reduceCells adds the products of every step to acc.
func reduceCells(acc, a, b []float32, row int, steps []Offset) {
	for _, k := range steps {
		low, high := Halves(a[row+int(k.A)])
		for j, x := range b[k.B:][:len(acc)] {
			xLow, xHigh := Halves(x)
			acc[j] += high * xHigh
			acc[j] += low * xLow
		}
	}
}

// read is the value of an element of Res.
func read(x float32, form Form) float32 {
	low, high := Halves(x)
	switch form {
	case Low:
		return low
	case High:
		return high
	}
	return x
}

// write puts y into an element of Out; of a cell, the other half stays as it is, whatever its bits mean.
func write(dst *float32, y float32, form Form) {
	old := math.Float32bits(*dst)
	switch form {
	case Low:
		y = math.Float32frombits(old&^0xffff | uint32(RoundBF16(y)))
	case High:
		y = math.Float32frombits(old&0xffff | uint32(RoundBF16(y))<<16)
	}
	*dst = y
}

func roundCellsPortable(c *Cells) {
	for j := range c.Cols {
		var even, odd float32
		if len(c.Even) > 0 {
			even = c.Even[j]
		}
		if len(c.Odd) > 0 {
			odd = c.Odd[j]
		}
		c.Cells[j] = Cell(even, odd)
	}
}

func widenCellsPortable(c *Cells) {
	for j, cell := range c.Cells[:c.Cols] {
		even, odd := Halves(cell)
		if len(c.Even) > 0 {
			c.Even[j] = even
		}
		if len(c.Odd) > 0 {
			c.Odd[j] = odd
		}
	}
}

func layerNormCellsPortable(c *Columns) {
	for j := range c.Cols {
		mean, std := moments(c, j)
		for r := 0; r < c.Rows; r += 2 {
			var odd float32
			if r+1 < c.Rows {
				odd = (c.X[(r+1)*c.XStride+j]-mean)/std*c.Gamma[r+1] + c.Beta[r+1]
			}
			c.Y[r/2*c.YStride+j] = Cell((c.X[r*c.XStride+j]-mean)/std*c.Gamma[r]+c.Beta[r], odd)
		}
	}
}

func geluCellsPortable(c *Columns) {
	for j, x := range c.X[:c.Cols] {
		even, odd := Halves(x)
		c.Y[j] = Cell(geluOf(even), geluOf(odd))
	}
}
