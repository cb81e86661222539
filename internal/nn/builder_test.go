package nn

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"coar/internal/kernel"
)

// gorgonia's own convolution knows nothing of planes, offsets and phases.
func TestConvAgreesWithGorgonia(t *testing.T) {
	eachSet(t, func(t *testing.T, set *kernel.Set, rng *rand.Rand) {
		for _, c := range []struct{ kernel, stride, side int }{{1, 1, 7}, {3, 1, 9}, {3, 2, 14}, {7, 2, 28}, {1, 2, 14}} {
			const n, in, out = 2, 3, 5
			l := drawLayer(rng, "conv.weight", out, in, c.kernel, c.stride)
			l.Scale, l.Shift = nil, nil
			m := drawImages(rng, n, in, c.side, c.side)
			p := compile(t, set, n, in, c.side, c.side, nil, func(b *Builder) *Map {
				x := b.Pack(l.Pad)
				return b.Conv(&x, l, None, 0)
			})
			load(p, m)
			near(t, fmt.Sprintf("%+v", c), run(t, p), stockConv(t, m, l))
		}
	})
}

func stockConv(t *testing.T, m images, l Layer) []float64 {
	t.Helper()
	x := make([]float32, len(m.x))
	for i, v := range m.x {
		x[i] = float32(v)
	}
	g := G.NewGraph()
	node := func(name string, data []float32, shape ...int) *G.Node {
		return G.NewTensor(g, tensor.Float32, len(shape), G.WithShape(shape...), G.WithName(name),
			G.WithValue(tensor.New(tensor.WithShape(shape...), tensor.WithBacking(data))))
	}
	out, err := G.Conv2d(node("x", x, m.n, m.c, m.h, m.w), node("w", l.Weight, l.Out, l.In, l.Kernel, l.Kernel),
		tensor.Shape{l.Kernel, l.Kernel}, []int{l.Pad, l.Pad}, []int{l.Stride, l.Stride}, []int{1, 1})
	if err != nil {
		t.Fatal(err)
	}
	var value G.Value
	G.Read(out, &value)
	vm := G.NewTapeMachine(g)
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	var y []float64
	for _, v := range value.Data().([]float32) {
		y = append(y, float64(v))
	}
	return y
}

func detect(t *testing.T) *kernel.Set {
	t.Helper()
	set, err := kernel.Detect(false)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestAveragePoolMatchesDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, c := range []struct{ side, windows, size, pad int }{{8, 1, 3, 0}, {7, 1, 1, 1}, {8, 4, 2, 1}, {9, 3, 16, 0}, {5, 5, 4, 2}} {
		m := drawImages(rng, c.size, 3, c.side, c.side)
		b := NewBuilder(detect(t), false, c.size, 3, c.side, c.side, nil)
		in := b.Pack(c.pad)
		p, err := b.Compile(b.AveragePool("pool", &in, c.windows))
		if err != nil {
			t.Fatal(err)
		}
		load(p, m)
		w := c.side / c.windows
		want := make([]float64, c.size*3*c.windows*c.windows)
		for i := range want {
			x, y, channel := i%c.windows, i/c.windows%c.windows, i/c.windows/c.windows
			for k := range w * w {
				want[i] += m.at(channel/3, channel%3, y*w+k/w, x*w+k%w) / float64(w*w)
			}
		}
		near(t, fmt.Sprintf("%+v", c), run(t, p), want)
		p.Close()
	}
}

// gorgonia takes two inputs of one name for one; the second layer would silently compute with the first one's weights.
func TestCompileRefusesNamesUsedTwice(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	l, other := drawLayer(rng, "conv.weight", 3, 3, 3, 1), drawLayer(rng, "conv.weight", 3, 3, 3, 1)
	b := NewBuilder(detect(t), false, 2, 3, 7, 7, nil)
	in := b.Pack(1)
	x := b.Conv(b.Conv(&in, l, ReLU, 1), other, None, 0)
	if _, err := b.Compile(b.AveragePool("pool", x, 1)); err == nil || !strings.Contains(err.Error(), "conv.weight") {
		t.Errorf("a key used twice: %v", err)
	}
}

// Names that differ can still hash alike: 32 bits are few.
func TestCompileRefusesCollidingHashes(t *testing.T) {
	const features = 4
	names, data := map[uint32]string{}, make([]float32, features*features)
	var one, two string
	g := G.NewGraph()
	for i := 0; two == ""; i++ {
		if i == 1e6 {
			t.Fatal("no collision among a million names")
		}
		name := fmt.Sprintf("layer%d.weight", i)
		h := G.NewTensor(g, tensor.Float32, 2, G.WithShape(features, features), G.WithName(name)).Hashcode()
		if names[h] != "" {
			one, two = names[h], name
		}
		names[h] = name
	}
	b := NewBuilder(detect(t), false, 1, features, 1, 1, nil)
	in := b.Pack(0)
	layer := func(key string) Layer {
		return Layer{Key: key, Weight: data, Out: features, In: features, Kernel: 1, Stride: 1}
	}
	x := b.Conv(b.Conv(&in, layer(one), None, 0), layer(two), None, 0)
	if _, err := b.Compile(x); err == nil || !strings.Contains(err.Error(), "hash") {
		t.Errorf("weights %s and %s hash alike: %v", one, two, err)
	}
}

func TestBuilderKeepsItsFirstError(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 3))
	for what, l := range map[string]Layer{
		"5 channels":  drawLayer(rng, "conv.weight", 4, 5, 3, 1),
		"border of 3": drawLayer(rng, "conv.weight", 4, 3, 7, 1),
	} {
		b := NewBuilder(detect(t), false, 2, 3, 9, 9, nil)
		in := b.Pack(1)
		x := b.Conv(b.Conv(&in, l, ReLU, 0), drawLayer(rng, "next.weight", 4, 9, 3, 2), ReLU, 0)
		if _, err := b.Compile(b.AveragePool("pool", x, 1)); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("want an error about %q, got %v", what, err)
		}
	}
}
