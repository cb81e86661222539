package nn

import (
	G "gorgonia.org/gorgonia"

	"coar/internal/kernel"
)

// round brings a float32 plane into cells of bfloat16.
type round struct {
	base
	set  *kernel.Set
	in   Plane
	args kernel.Cells
}

// cells returns the map in bfloat16, made once however many layers read it so.
func (b *Builder) cells(x *Map) *Map {
	if x.Cells {
		return x
	}
	if x.rounded == nil {
		out := x.Plane
		out.Cells = true
		x.rounded = &Map{Plane: out, node: b.apply(&round{base: newPlaneBase(x.node.Name()+x.node.Op().String()+"/cells", out), set: b.set, in: x.Plane}, x.node)}
	}
	return x.rounded
}

func (r *round) Do(in ...G.Value) (G.Value, error) {
	x, stride := floats(in[0]), r.in.Stride()
	for c := 0; c < r.in.C; c += 2 {
		r.args = kernel.Cells{Even: x[c*stride:], Cells: r.buf[c/2*stride:], Cols: r.in.extent(r.in.H) * r.in.RowLen()}
		if c+1 < r.in.C {
			r.args.Odd = x[(c+1)*stride:]
		}
		r.set.RoundCells(&r.args)
	}
	return r.out, nil
}

// cellWeights returns the weight as cells [out, ceil(in/2), kernel, kernel]: pairs of input channels.
func (l Layer) cellWeights() []float32 {
	d := l.derived()
	d.onceCells.Do(func() {
		area, pairs := l.Kernel*l.Kernel, (l.In+1)/2
		d.cells = make([]float32, l.Out*pairs*area)
		for r := range l.Out {
			for c := 0; c < l.In; c += 2 {
				even := l.Weight[(r*l.In+c)*area:][:area]
				var odd []float32
				if c+1 < l.In {
					odd = l.Weight[(r*l.In+c+1)*area:][:area]
				}
				kernel.CellsOf(d.cells[(r*pairs+c/2)*area:], even, odd)
			}
		}
	})
	return d.cells
}

// pair marks rows of a block that are the two halves of the same cells, which are then stored together.
func (b *block) pair(rows []int32) {
	for i := 0; i+1 < b.rows; i++ {
		if b.outForm[i] == kernel.Low && b.outForm[i+1] == kernel.High && rows[i]+1 == rows[i+1] {
			b.outForm[i] = kernel.Pair
			i++
		}
	}
}
