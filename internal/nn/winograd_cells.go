package nn

import "coar/internal/kernel"

// Winograd's algorithm over maps in bfloat16 cells: two channels at a time are widened to float32, transformed, and the
// results rounded.

// growWide makes room for two channels of a strip as float32.
func (w *winograd) growWide() {
	if !w.x.Cells {
		return
	}
	rows := w.strip*kernel.WinogradTile + 2
	for h := range 2 {
		grow(&w.work.in[h], rows*w.x.RowLen())
		grow(&w.work.out[h], rows*w.out.RowLen())
		if w.res != nil && w.res.plane.Cells {
			grow(&w.work.res[h], rows*(w.res.at(1)-w.res.at(0)))
		}
	}
}

// inputRows is channel c of a strip of the input as float32.
func (w *winograd) inputRows(x []float32, c, start, rows int) []float32 {
	if !w.x.Cells {
		return x[c*w.in.stride+start:]
	}
	if w.wide != c/2 {
		n := (rows*kernel.WinogradTile + 2) * w.x.RowLen()
		w.widen(x[c/2*w.in.stride+start:], &w.work.in, n)
		w.wide = c / 2
	}
	return w.work.in[c%2]
}

// widen brings n cells into float32.
func (w *winograd) widen(cells []float32, to *[2][]float32, n int) {
	w.pair = kernel.Cells{Even: to[0], Odd: to[1], Cells: cells, Cols: n}
	w.set.WidenCells(&w.pair)
}

// transformKeptCells writes a strip of every kept row, two at a time. Where one of the two is ablated, its half is
// already in dst; it is read and written back as it was.
func (w *winograd) transformKeptCells(c *conv, a layerArgs, shift, dst []float32, first, rows int) {
	y := first * kernel.WinogradTile
	n := min(rows*kernel.WinogradTile, w.out.H-y) * w.out.RowLen()
	for _, half := range w.work.out {
		clear(half[:lines(n)]) // borders are rounded with the rest, in whole vectors, and other layers' channels may lie there
	}
	for i := 0; i < len(w.kept); {
		r := int(w.kept[i])
		both := r%2 == 0 && i+1 < len(w.kept) && int(w.kept[i+1]) == r+1
		cells := dst[r/2*w.out.Stride()+w.out.At(y, 0):]
		if !both {
			w.widen(cells, &w.work.out, n)
		}
		count := 1
		if both {
			count = 2
		}
		for h := range count {
			w.transformOutput(c, a, i+h, r+h, shift, w.work.out[(r+h)%2], w.residualRows(c, a, r+h, h > 0, y, rows), first, rows)
		}
		w.pair = kernel.Cells{Even: w.work.out[0], Odd: w.work.out[1], Cells: cells, Cols: n}
		w.set.RoundCells(&w.pair)
		i += count
	}
}

// residualRows is what is added to a strip of row r, as float32; nil where there is none. With again, the channel beside
// r's was the last one asked for.
func (w *winograd) residualRows(c *conv, a layerArgs, r int, again bool, y, rows int) []float32 {
	if !c.res.covers(r) {
		return nil
	}
	at, form := c.res.row(r)
	res := a.res[int(at)+c.res.at(y):]
	if form == kernel.F32 {
		return res
	}
	if !again || form == kernel.Low {
		w.widen(res, &w.work.res, min(rows*kernel.WinogradTile, w.out.H-y)*w.resRowLen(c))
	}
	return w.work.res[form-kernel.Low]
}
