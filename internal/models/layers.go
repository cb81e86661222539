package models

import (
	"math"

	"coar/internal/checkpoint"
	"coar/internal/nn"
)

// conv2d is a convolution and the BatchNorm after it, as the checkpoint names them.
type conv2d struct {
	key, norm           string // weight key without ".weight", norm key without ".weight"
	out, in, kernel     int
	stride, pad         int
	aliasKey, aliasNorm string // other names of both, empty if none
}

// batchNormEps is PyTorch's default.
const batchNormEps = 1e-5

func (c conv2d) weight() string { return c.key + ".weight" }

func (c conv2d) group() Group { return Group{c.weight(), c.out} }

// wants lists the tensors of the convolution and its norm.
func (c conv2d) wants() []checkpoint.Want {
	alias := func(key, name string) []string {
		if key == "" {
			return nil
		}
		return []string{key + "." + name}
	}
	w := []checkpoint.Want{{Key: c.weight(), Shape: []int{c.out, c.in, c.kernel, c.kernel}, Aliases: alias(c.aliasKey, "weight")}}
	for _, n := range []string{"weight", "bias", "running_mean", "running_var"} {
		w = append(w, checkpoint.Want{Key: c.norm + "." + n, Shape: []int{c.out}, Aliases: alias(c.aliasNorm, n)})
	}
	return w
}

// layer folds the norm into the convolution's scale and shift. An ablated filter then gives its shift,
// beta - mean·gamma/sqrt(var+eps), as it does in PyTorch.
func (c conv2d) layer(t map[string][]float32) nn.Layer {
	l := nn.Layer{Key: c.weight(), Weight: t[c.weight()], Out: c.out, In: c.in, Kernel: c.kernel, Stride: c.stride, Pad: c.pad,
		Scale: make([]float32, c.out), Shift: make([]float32, c.out), Derived: &nn.Derived{}}
	gamma, beta, mean, variance := t[c.norm+".weight"], t[c.norm+".bias"], t[c.norm+".running_mean"], t[c.norm+".running_var"]
	for i := range l.Scale {
		s := float64(gamma[i]) / math.Sqrt(float64(variance[i])+batchNormEps)
		l.Scale[i], l.Shift[i] = float32(s), float32(float64(beta[i])-float64(mean[i])*s)
	}
	return l
}

// linear is a linear layer with bias.
type linear struct {
	key     string // weight key without ".weight"
	out, in int
	alias   string
}

func (l linear) group() Group { return Group{l.key + ".weight", l.out} }

func (l linear) wants() []checkpoint.Want {
	w := []checkpoint.Want{{Key: l.key + ".weight", Shape: []int{l.out, l.in}}, {Key: l.key + ".bias", Shape: []int{l.out}}}
	if l.alias != "" {
		w[0].Aliases, w[1].Aliases = []string{l.alias + ".weight"}, []string{l.alias + ".bias"}
	}
	return w
}

func (l linear) layer(t map[string][]float32) nn.Layer {
	return dense(l.key+".weight", l.key+".bias", l.out, l.in, t)
}

func dense(weight, bias string, out, in int, t map[string][]float32) nn.Layer {
	return nn.Layer{Key: weight, Weight: t[weight], Shift: t[bias], Out: out, In: in, Kernel: 1, Stride: 1, Derived: &nn.Derived{}}
}

// imagenet is the normalisation that torchvision's models were trained with.
func imagenet(resize, crop int) Preprocess {
	return Preprocess{Resize: resize, Crop: crop, Interpolation: "bilinear",
		Mean: []float32{0.485, 0.456, 0.406}, Std: []float32{0.229, 0.224, 0.225}}
}

// convs adds convolutions to the blueprint as component groups.
func (bp *blueprint) convs(cs ...conv2d) {
	for _, c := range cs {
		bp.add(c.group(), true, c.wants())
	}
}

// head adds the classifier: its rows may be chosen as components but are not by default.
func (bp *blueprint) head(l linear) { bp.add(l.group(), false, l.wants()) }

func (bp *blueprint) add(g Group, byDefault bool, wants []checkpoint.Want) {
	bp.wants = append(bp.wants, wants...)
	bp.candidates = append(bp.candidates, g)
	if bp.chosen == nil {
		bp.chosen = map[string]bool{}
	}
	bp.chosen[g.Key] = byDefault
}
