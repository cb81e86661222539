package nn

import G "gorgonia.org/gorgonia"

// Batch counts the loads of new examples. What depends on no keep value is computed once per load and kept by its op.
type Batch struct{ loads uint64 }

// Next marks everything that was computed from the old examples as stale.
func (b *Batch) Next() { b.loads++ }

// frozen is part of an op that no keep value reaches.
type frozen struct {
	batch *Batch
	seen  uint64
}

// stale says, once per load, that the op must compute again. An op without a batch is always stale.
func (f *frozen) stale() bool {
	if f.batch == nil {
		return true
	}
	old := f.seen
	f.seen = f.batch.loads
	return old != f.seen
}

// pack brings images [B, C, H, W] into a plane.
type pack struct {
	base
	frozen
	plane Plane
}

func newPack(p Plane, batch *Batch) *pack {
	return &pack{base: newPlaneBase("images/plane", p).lasting(batch), frozen: frozen{batch: batch}, plane: p}
}

func (p *pack) Do(in ...G.Value) (G.Value, error) {
	if !p.stale() {
		return p.out, nil
	}
	x, l := floats(in[0]), p.plane
	for g := range l.G {
		for c := range l.C {
			for y := range l.H {
				src := x[((g*l.C+c)*l.H+y)*l.W:][:l.W]
				dst := p.buf[c*l.Stride()+l.At(y, 0)+g:]
				for i, v := range src {
					dst[i*l.G] = v
				}
			}
		}
	}
	return p.out, nil
}

// phases is a plane split by the parity of its padded rows and columns, so that a convolution of stride 2 reads
// neighbouring positions as neighbours: C channels of four maps of h·w positions.
type phases struct {
	src  Plane
	h, w int
}

func phasesOf(p Plane) phases {
	return phases{p, (p.H + 2*p.Pad + 1) / 2, (p.W + 2*p.Pad + 1) / 2}
}

func (p phases) mapLen() int { return p.h * p.w * p.src.G }
func (p phases) stride() int { return oddLines(4 * p.mapLen()) }

// at is the element of channel 0 that holds padded row y and column x.
func (p phases) at(y, x int) int {
	return (2*(y&1)+x&1)*p.mapLen() + (y>>1*p.w+x>>1)*p.src.G
}

// view reads the phases at stride 2.
func (p phases) view(l Layer) view {
	d := p.src.Pad - l.Pad
	return view{p.stride(), func(y int) int { return y * p.w * p.src.G },
		func(ky, kx int) int { return p.at(ky+d, kx+d) }, p.src.G, false}
}

// split is the op that makes phases.
type split struct {
	base
	frozen
	p phases
}

func newSplit(id string, p phases, batch *Batch) *split {
	return &split{base: newBase(id+"/phases", p, p.src.Rows(), p.stride()).lasting(batch), frozen: frozen{batch: batch}, p: p}
}

func (s *split) Do(in ...G.Value) (G.Value, error) {
	if !s.stale() {
		return s.out, nil
	}
	x, p, g := floats(in[0]), s.p.src, s.p.src.G
	for c := range p.Rows() {
		src, dst := x[c*p.Stride():], s.buf[c*s.p.stride():]
		for y := range p.H + 2*p.Pad {
			row := src[y*p.RowLen():]
			for parity := range 2 {
				copyGangs(dst[s.p.at(y, parity):], g, row[parity*g:], 2*g, (p.W+2*p.Pad-parity+1)/2, g)
			}
		}
	}
	return s.out, nil
}
