package models

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"coar/internal/checkpoint"
	"coar/internal/fault"
)

// synthetic is a checkpoint of shapes alone: its tensors are zero, and those of one size share their memory.
type synthetic struct {
	shapes map[string][]int
	keys   []string
}

func (s *synthetic) add(key string, shape ...int) {
	if s.shapes == nil {
		s.shapes = map[string][]int{}
	}
	s.shapes[key] = shape
	s.keys = append(s.keys, key)
}

func (s *synthetic) Path() string   { return "synthetic.pth" }
func (s *synthetic) Keys() []string { return s.keys }

func (s *synthetic) Shape(key string) ([]int, bool) {
	shape, ok := s.shapes[key]
	return shape, ok
}

// Bind is strict in both directions, as a checkpoint's is.
func (s *synthetic) Bind(wants []checkpoint.Want) (map[string][]float32, error) {
	bound, sizes, used := map[string][]float32{}, map[int][]float32{}, map[string]bool{}
	for _, w := range wants {
		n := 1
		for _, d := range w.Shape {
			n *= d
		}
		found := false
		for _, key := range append([]string{w.Key}, w.Aliases...) {
			shape, ok := s.shapes[key]
			if ok && !slices.Equal(shape, w.Shape) {
				return nil, fault.Conflictf("%s has shape %v, want %v", key, shape, w.Shape)
			}
			found, used[key] = found || ok, true
		}
		if !found {
			return nil, fault.Conflictf("%s is missing", w.Key)
		}
		if sizes[n] == nil {
			sizes[n] = make([]float32, n)
		}
		bound[w.Key] = sizes[n]
	}
	for _, key := range s.keys {
		if !used[key] {
			return nil, fault.Conflictf("%s is unexpected", key)
		}
	}
	return bound, nil
}

func (s *synthetic) convNorm(conv, norm string, out, in, kernel int) {
	s.add(conv+".weight", out, in, kernel, kernel)
	for _, n := range []string{"weight", "bias", "running_mean", "running_var"} {
		s.add(norm+"."+n, out)
	}
}

func (s *synthetic) linear(key string, out, in int) {
	s.add(key+".weight", out, in)
	s.add(key+".bias", out)
}

// cifar is a CIFAR ResNet of 6n+2 layers as PyTorch's state dict lists it.
func cifar(n int) *synthetic {
	s := &synthetic{}
	s.convNorm("conv1", "bn1", 16, 3, 3)
	in := 16
	for stage, width := range []int{16, 32, 64} {
		for i := range n {
			k := fmt.Sprintf("layer%d.%d.", stage+1, i)
			s.convNorm(k+"conv1", k+"bn1", width, in, 3)
			s.convNorm(k+"conv2", k+"bn2", width, width, 3)
			in = width
		}
	}
	s.linear("linear", 10, 64)
	return s
}

// bottlenecks is a ResNet of torchvision with bottleneck blocks.
func bottlenecks(counts ...int) *synthetic {
	s := &synthetic{}
	s.convNorm("conv1", "bn1", 64, 3, 7)
	in := 64
	for stage, n := range counts {
		width := 64 << stage
		for i := range n {
			k := fmt.Sprintf("layer%d.%d.", stage+1, i)
			s.convNorm(k+"conv1", k+"bn1", width, in, 1)
			s.convNorm(k+"conv2", k+"bn2", width, width, 3)
			s.convNorm(k+"conv3", k+"bn3", 4*width, width, 1)
			if i == 0 {
				s.convNorm(k+"downsample.0", k+"downsample.1", 4*width, in, 1)
			}
			in = 4 * width
		}
	}
	s.linear("fc", 1000, in)
	return s
}

// mini is the paper's single-stage ResNet; name is the form of its blocks' keys.
func mini(name string, planes, blocks int) *synthetic {
	s := &synthetic{}
	s.convNorm("conv1", "bn1", planes, 3, 3)
	for i := range blocks {
		k := fmt.Sprintf(name, i)
		s.convNorm(k+".conv1", k+".bn1", planes, planes, 3)
		s.convNorm(k+".conv2", k+".bn2", planes, planes, 3)
	}
	s.linear("linear", 10, planes*16)
	return s
}

// transformer is a ViT of torchvision; mlp gives the names of its two linear maps.
func transformer(width, hidden, layers, patch, side int, mlp ...string) *synthetic {
	s := &synthetic{}
	s.add("class_token", 1, 1, width)
	s.add("conv_proj.weight", width, 3, patch, patch)
	s.add("conv_proj.bias", width)
	s.add("encoder.pos_embedding", 1, side/patch*(side/patch)+1, width)
	norm := func(key string) { s.add(key+".weight", width); s.add(key+".bias", width) }
	for i := range layers {
		k := fmt.Sprintf("encoder.layers.encoder_layer_%d.", i)
		norm(k + "ln_1")
		s.add(k+"self_attention.in_proj_weight", 3*width, width)
		s.add(k+"self_attention.in_proj_bias", 3*width)
		s.linear(k+"self_attention.out_proj", width, width)
		norm(k + "ln_2")
		s.linear(k+"mlp."+mlp[0], hidden, width)
		s.linear(k+"mlp."+mlp[1], width, hidden)
	}
	norm("encoder.ln")
	s.linear("heads.head", 10, width)
	return s
}

func TestArchitecturesFromShapes(t *testing.T) {
	for _, c := range []struct {
		weights    *synthetic
		arch       string
		components int
	}{
		{cifar(3), "resnet20", 688},
		{cifar(5), "resnet32", 1136},
		{cifar(7), "resnet44", 1584},
		{cifar(9), "resnet56", 2032},
		{cifar(18), "resnet110", 4048},
		{bottlenecks(3, 4, 6, 3), "resnet50", 22720},
		{bottlenecks(3, 4, 23, 3), "resnet101", 48832},
		{bottlenecks(3, 8, 36, 3), "resnet152", 71872},
		{mini("layer.%d", 256, 4), "mini_resnet:256x4", 2304},
		{mini("block%d", 8, 1), "mini_resnet:8x1", 24},
		{transformer(768, 3072, 2, 16, 224, "0", "3"), "vit:224,16,2,12,768,3072,10", 2 * (2304 + 768 + 3072 + 768)},
		{transformer(64, 128, 1, 4, 28, "linear_1", "linear_2"), "vit:28,4,1,1,64,128,10", 4*64 + 128 + 64},
	} {
		m, err := Open(c.weights, Options{})
		if err != nil {
			t.Errorf("%s: %v", c.arch, err)
			continue
		}
		if m.Arch != c.arch || m.Components() != c.components {
			t.Errorf("%s with %d components, want %s with %d", m.Arch, m.Components(), c.arch, c.components)
		}
	}
}

func TestComponentTotalsOfGoldens(t *testing.T) {
	for name, want := range map[string]struct {
		arch       string
		components int
	}{
		"mini_resnet_256": {"mini_resnet:256x4", 2304},
		"resnet50_224":    {"resnet50", 22720},
		"resnet50_64":     {"resnet50", 22720},
		"vit_b_16":        {"vit_b_16", 82944},
		"resnet20":        {"resnet20", 688},
		"resnet56":        {"resnet56", 2032},
		"resnet18_64":     {"resnet18", 3904},
		"resnet34_64":     {"resnet34", 7616},
	} {
		g := readGolden(t, name)
		s := &synthetic{}
		for _, tensor := range g.Tensors {
			s.add(tensor.Key, tensor.Shape...)
		}
		m, err := Open(s, Options{Heads: g.Heads})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if m.Arch != want.arch || m.Components() != want.components || !slices.Equal(m.Groups, g.Groups) {
			t.Errorf("%s is a %s with %d components in groups %v, want %s with %d in %v",
				name, m.Arch, m.Components(), m.Groups, want.arch, want.components, g.Groups)
		}
	}
}

func groupKeys(m *Model) string {
	var keys []string
	for _, g := range m.Groups {
		keys = append(keys, g.Key)
	}
	return strings.Join(keys, " ")
}

func TestIncludeAndExclude(t *testing.T) {
	for _, c := range []struct {
		weights          *synthetic
		include, exclude []string
		want             string
	}{
		{mini("layer.%d", 8, 1), nil, nil, "conv1.weight layer.0.conv1.weight layer.0.conv2.weight"},
		{mini("layer.%d", 8, 1), nil, []string{"conv1.weight"}, "layer.0.conv1.weight layer.0.conv2.weight"},
		{mini("layer.%d", 8, 1), nil, []string{"*conv1*"}, "layer.0.conv2.weight"},
		{mini("layer.%d", 8, 1), []string{"linear.*"}, nil, "linear.weight"},
		{mini("layer.%d", 8, 1), []string{"linear.weight", "*.conv[12].*"}, []string{"*.conv1.*"}, "layer.0.conv2.weight linear.weight"},
		{mini("layer.%d", 8, 2), []string{"layer.1.*"}, nil, "layer.1.conv1.weight layer.1.conv2.weight"},
		{bottlenecks(3, 4, 6, 3), []string{"*.downsample.*"}, []string{"layer[34]*"}, "layer1.0.downsample.0.weight layer2.0.downsample.0.weight"},
	} {
		m, err := Open(c.weights, Options{Include: c.include, Exclude: c.exclude})
		if err != nil {
			t.Errorf("include %q, exclude %q: %v", c.include, c.exclude, err)
		} else if got := groupKeys(m); got != c.want {
			t.Errorf("include %q, exclude %q: groups %s, want %s", c.include, c.exclude, got, c.want)
		}
	}
}

// without is s without one key.
func (s *synthetic) without(key string) *synthetic {
	c := &synthetic{}
	for _, k := range s.keys {
		if k != key {
			c.add(k, s.shapes[k]...)
		}
	}
	return c
}

// with is s with a tensor more, or of another shape.
func (s *synthetic) with(key string, shape ...int) *synthetic {
	c := s.without(key)
	c.add(key, shape...)
	return c
}

func TestOpenRefuses(t *testing.T) {
	vit := transformer(64, 128, 1, 4, 28, "0", "3")
	for what, c := range map[string]struct {
		weights *synthetic
		o       Options
		kind    fault.Kind
		says    string
	}{
		"another --arch":                {cifar(3), Options{Arch: "resnet56"}, fault.Conflict, "resnet20"},
		"another family":                {mini("layer.%d", 8, 1), Options{Arch: "resnet50"}, fault.Conflict, "mini_resnet:8x1"},
		"tensors of nothing known":      {(&synthetic{}).with("features.0.weight", 64, 3, 3, 3), Options{}, fault.Conflict, "features.0.weight"},
		"no tensors":                    {&synthetic{}, Options{}, fault.Conflict, "no known architecture"},
		"a missing tensor":              {cifar(3).without("layer2.1.bn1.bias"), Options{}, fault.Conflict, "layer2.1.bn1.bias"},
		"an unexpected tensor":          {cifar(3).with("layer2.1.conv9.weight", 3), Options{}, fault.Conflict, "layer2.1.conv9.weight"},
		"a misshapen tensor":            {cifar(3).with("layer2.1.conv1.weight", 32, 32, 1, 1), Options{}, fault.Conflict, "layer2.1.conv1.weight"},
		"a missing block":               {bottlenecks(3, 4, 5, 3), Options{}, fault.Conflict, "no known architecture"},
		"globs that leave nothing":      {cifar(3), Options{Exclude: []string{"*"}}, fault.Usage, "leave no component group"},
		"globs that match nothing":      {cifar(3), Options{Include: []string{"fc.*"}}, fault.Usage, "leave no component group"},
		"a broken include glob":         {cifar(3), Options{Include: []string{"[a"}}, fault.Usage, "[a"},
		"a broken exclude glob":         {cifar(3), Options{Exclude: []string{"[a"}}, fault.Usage, "[a"},
		"a width that hides the heads":  {transformer(96, 128, 1, 4, 28, "0", "3"), Options{}, fault.Usage, "--heads"},
		"heads that do not divide":      {vit, Options{Heads: 3}, fault.Usage, "--heads 3"},
		"negative heads":                {vit, Options{Heads: -4}, fault.Usage, "--heads -4"},
		"a transformer without a layer": {vit.without("encoder.layers.encoder_layer_0.ln_1.weight"), Options{}, fault.Conflict, "encoder_layer_0"},
		"no planes":                     {mini("layer.%d", 0, 1), Options{}, fault.Conflict, "conv1.weight"},
		"no channels":                   {cifar(3).with("conv1.weight", 16, 0, 3, 3), Options{}, fault.Conflict, "conv1.weight"},
		"no classes":                    {cifar(3).with("linear.weight", 0, 64).with("linear.bias", 0), Options{}, fault.Conflict, "linear.weight"},
		"patches of no size":            {vit.with("conv_proj.weight", 64, 3, 0, 0), Options{}, fault.Conflict, "conv_proj.weight"},
		"no positions":                  {vit.with("encoder.pos_embedding", 1, 0, 64), Options{}, fault.Conflict, "encoder.pos_embedding"},
		"an oblong grid of positions":   {vit.with("encoder.pos_embedding", 1, 43, 64), Options{}, fault.Conflict, "encoder.pos_embedding"},
	} {
		_, err := Open(c.weights, c.o)
		if err == nil || fault.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %v of kind %d, want kind %d and %q", what, err, fault.KindOf(err), c.kind, c.says)
		}
	}
}

func TestOpenAcceptsTheArchThatItFinds(t *testing.T) {
	for _, c := range []struct {
		weights *synthetic
		o       Options
		heads   int
	}{
		{cifar(3), Options{Arch: "resnet20"}, 0},
		{mini("layer.%d", 8, 1), Options{Arch: "mini_resnet"}, 0},
		{mini("layer.%d", 8, 1), Options{Arch: "mini_resnet:8x1"}, 0},
		{transformer(96, 128, 1, 4, 28, "0", "3"), Options{Arch: "vit", Heads: 6}, 6},
		{transformer(128, 128, 1, 4, 28, "0", "3"), Options{Arch: "auto"}, 2},
	} {
		if m, err := Open(c.weights, c.o); err != nil || m.Heads != c.heads {
			t.Errorf("%+v: model %+v, error %v", c.o, m, err)
		}
	}
}

func TestImagesOfAnotherSizeAreRefused(t *testing.T) {
	m, err := Open(mini("layer.%d", 8, 1), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.NewProgram(Build{Batch: 1, Height: 28, Width: 28}); fault.KindOf(err) != fault.Conflict || err == nil {
		t.Errorf("28x28 images for a model of 32x32: %v", err)
	}
}
