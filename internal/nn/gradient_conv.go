package nn

// inputGradient adds to the gradient of x what the layer l, which reads x, passes on: Wᵀ * d, where d is the gradient of
// W * x. What was added before is the residual of that convolution.
func (b *Builder) inputGradient(x *Map, l Layer, d *Map) {
	if !x.reached {
		return
	}
	if l.Stride == 2 {
		b.stridedGradient(x, l, d)
		return
	}
	if x.halved != nil {
		b.fail("%s reads a map that is read subsampled as well", l.Key)
	}
	t := l.transposed()
	v, node := b.read(d, t)
	var res *residual
	if x.gradient != nil {
		res = residualOf(x.gradient)
	}
	x.gradient = b.layer(d, v, node, t, None, x.Plane, res)
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
