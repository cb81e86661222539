package nn

// inputGradient adds to the gradient of x what the layer l, which reads x, passes on: Wᵀ * d, where d is the gradient of
// W * x. What was added before is the residual of that convolution.
func (b *Builder) inputGradient(x *Map, l Layer, d *Map) {
	if !x.reached {
		return
	}
	if l.Stride == 2 {
		op := b.newStrided(x, l, d)
		x.gradient = &Map{Plane: x.Plane, pending: &fusible{strided: op}}
		return
	}
	if x.halved != nil {
		b.fail("%s reads a map that is read subsampled as well", l.Key)
	}
	f := &fusible{layer: l.transposed(), d: d}
	if x.gradient != nil {
		f.res = residualOf(b.settled(x.gradient))
	}
	x.gradient = &Map{Plane: x.Plane, pending: f}
	if !f.fits() {
		b.settled(x.gradient)
	}
}

// transposed is the layer of stride 1 that takes the gradient of l's products to the gradient of its input: the weight
// [in, out, kernel, kernel], each filter turned by half a turn.
func (l Layer) transposed() Layer {
	d := l.derived()
	d.onceTransposed.Do(func() {
		area := l.Kernel * l.Kernel
		w := make([]float32, len(l.Weight))
		for r := range l.Out {
			for c := range l.In {
				for k := range area {
					w[(c*l.Out+r)*area+area-1-k] = l.Weight[(r*l.In+c)*area+k]
				}
			}
		}
		d.transposed = Layer{Key: l.Key + "/transposed", Weight: w, Out: l.In, In: l.Out, Kernel: l.Kernel, Stride: 1, Pad: l.Kernel - 1 - l.Pad, Derived: &Derived{}}
	})
	return d.transposed
}
