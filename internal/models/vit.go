package models

import (
	"fmt"
	"math"

	"coar/internal/checkpoint"
	"coar/internal/fault"
	"coar/internal/nn"
)

// layerNormEps is that of torchvision's VisionTransformer.
const layerNormEps = 1e-6

// encoderBlock is one layer of the transformer encoder, as the checkpoint names it.
type encoderBlock struct {
	key        string
	out        linear
	mlp0, mlp3 linear
}

func (e encoderBlock) inProj() string     { return e.key + ".self_attention.in_proj_weight" }
func (e encoderBlock) inProjBias() string { return e.key + ".self_attention.in_proj_bias" }

// vitSizes are what the tensor shapes tell of a vision transformer.
type vitSizes struct{ image, patch, layers, heads, width, mlp, classes, channels int }

// named are torchvision's own configurations.
var namedViTs = map[string]vitSizes{
	"vit_b_16": {patch: 16, layers: 12, heads: 12, width: 768, mlp: 3072},
	"vit_b_32": {patch: 32, layers: 12, heads: 12, width: 768, mlp: 3072},
	"vit_l_16": {patch: 16, layers: 24, heads: 16, width: 1024, mlp: 4096},
	"vit_l_32": {patch: 32, layers: 24, heads: 16, width: 1024, mlp: 4096},
	"vit_h_14": {patch: 14, layers: 32, heads: 16, width: 1280, mlp: 5120},
}

func (v vitSizes) name() string {
	for name, n := range namedViTs {
		if v.patch == n.patch && v.layers == n.layers && v.heads == n.heads && v.width == n.width && v.mlp == n.mlp {
			return name
		}
	}
	return fmt.Sprintf("vit:%d,%d,%d,%d,%d,%d,%d", v.image, v.patch, v.layers, v.heads, v.width, v.mlp, v.classes)
}

// readViT reads the sizes from the shapes; heads come from o, by default one per 64 features.
func readViT(s shapes, o Options) (vitSizes, error) {
	const layer0 = "encoder.layers.encoder_layer_0."
	v := vitSizes{
		width: s.dim("conv_proj.weight", 0, s.dim("class_token", 2, 0)), channels: s.dim("conv_proj.weight", 1, 3), patch: s.dim("conv_proj.weight", 3, 16),
		layers: s.count("encoder.layers.encoder_layer_%d.ln_1.weight"), classes: s.dim("heads.head.weight", 0, 1000),
		mlp: s.dim(layer0+"mlp.0.weight", 0, s.dim(layer0+"mlp.linear_1.weight", 0, 0)), heads: o.Heads,
	}
	if v.patch < 1 {
		return v, fault.Conflictf("%s: conv_proj.weight has patches of side %d", s.file.Path(), v.patch)
	}
	side := int(math.Round(math.Sqrt(float64(s.dim("encoder.pos_embedding", 1, 1) - 1))))
	v.image = side * v.patch
	if v.heads == 0 {
		if v.width%64 != 0 {
			return v, fault.Usagef("a transformer of width %d does not show its number of attention heads; give it with --heads", v.width)
		}
		v.heads = v.width / 64
	}
	if v.heads < 0 || v.width <= 0 || v.width%v.heads != 0 {
		return v, fault.Usagef("--heads %d does not divide the width %d", v.heads, v.width)
	}
	return v, nil
}

// visionTransformer is torchvision's VisionTransformer of any size. The rows of every linear map inside the encoder are components.
func visionTransformer(s shapes, o Options) (*blueprint, error) {
	if !s.prefixed("encoder.layers.encoder_layer_0.") || !s.has("conv_proj.weight") {
		return nil, nil
	}
	v, err := readViT(s, o)
	if err != nil {
		return nil, err
	}
	bp := &blueprint{Model: Model{Arch: v.name(), Heads: v.heads, Classes: v.classes, Channels: v.channels, Height: v.image, Width: v.image,
		Preprocess: imagenet(v.image*256/224, v.image),
		widest:     func(h, w int) int { return max(v.mlp, 3*v.width) * (h/v.patch*(w/v.patch) + 1) }}}
	if v.image < 64 {
		bp.Preprocess = imagenet(0, 0)
	}
	tokens := (v.image/v.patch)*(v.image/v.patch) + 1
	bp.wants = []checkpoint.Want{
		{Key: "class_token", Shape: []int{1, 1, v.width}},
		{Key: "conv_proj.weight", Shape: []int{v.width, v.channels, v.patch, v.patch}},
		{Key: "conv_proj.bias", Shape: []int{v.width}},
		{Key: "encoder.pos_embedding", Shape: []int{1, tokens, v.width}},
	}
	norm := func(key string) []checkpoint.Want {
		return []checkpoint.Want{{Key: key + ".weight", Shape: []int{v.width}}, {Key: key + ".bias", Shape: []int{v.width}}}
	}
	var blocks []encoderBlock
	for i := range v.layers {
		k := fmt.Sprintf("encoder.layers.encoder_layer_%d", i)
		e := encoderBlock{key: k, out: linear{key: k + ".self_attention.out_proj", out: v.width, in: v.width},
			mlp0: linear{key: k + ".mlp.0", out: v.mlp, in: v.width, alias: k + ".mlp.linear_1"},
			mlp3: linear{key: k + ".mlp.3", out: v.width, in: v.mlp, alias: k + ".mlp.linear_2"}}
		bp.wants = append(bp.wants, norm(k+".ln_1")...)
		bp.add(Group{e.inProj(), 3 * v.width}, true, []checkpoint.Want{{Key: e.inProj(), Shape: []int{3 * v.width, v.width}}, {Key: e.inProjBias(), Shape: []int{3 * v.width}}})
		bp.add(e.out.group(), true, e.out.wants())
		bp.wants = append(bp.wants, norm(k+".ln_2")...)
		bp.add(e.mlp0.group(), true, e.mlp0.wants())
		bp.add(e.mlp3.group(), true, e.mlp3.wants())
		blocks = append(blocks, e)
	}
	bp.wants = append(bp.wants, norm("encoder.ln")...)
	head := linear{key: "heads.head", out: v.classes, in: v.width}
	bp.head(head)
	bp.transformer(v, blocks, head, tokens)
	return bp, nil
}

// transformer sets how the blueprint binds its tensors and builds its graph.
func (bp *blueprint) transformer(v vitSizes, blocks []encoderBlock, head linear, tokens int) {
	var t map[string][]float32
	var pos []float32
	layers := map[string]nn.Layer{} // by the key of the weight or of the module
	bp.bind = func(bound map[string][]float32) {
		t, pos = bound, make([]float32, tokens*v.width)
		for i, x := range t["encoder.pos_embedding"] { // [T, D] to [D, T]
			pos[i%v.width*tokens+i/v.width] = x
		}
		for _, e := range blocks {
			layers[e.inProj()] = dense(e.inProj(), e.inProjBias(), 3*v.width, v.width, t)
			for _, l := range []linear{e.out, e.mlp0, e.mlp3} {
				layers[l.key] = l.layer(t)
			}
		}
		layers[head.key] = head.layer(t)
	}
	bp.build = func(b *nn.Builder) *nn.Map {
		norm := func(key string, x *nn.Map) *nn.Map {
			return b.LayerNorm(key, x, t[key+".weight"], t[key+".bias"], layerNormEps)
		}
		patches := nn.Layer{Key: "conv_proj.weight", Weight: t["conv_proj.weight"], Shift: t["conv_proj.bias"], Out: v.width, In: v.channels, Kernel: v.patch, Stride: v.patch}
		x, tokens := b.Embed(patches, t["class_token"], pos)
		for i, e := range blocks {
			queries := tokens
			if i == len(blocks)-1 {
				queries = 1 // nothing but the class token is read of the last block
			}
			qkv := b.Conv(norm(e.key+".ln_1", x), layers[e.inProj()], nn.None, 0)
			mixed := b.Attention(e.key+".self_attention", qkv, tokens, queries, v.heads)
			if queries == 1 {
				x = b.ClassTokens(x, tokens)
			}
			x = b.ConvAdd(mixed, layers[e.out.key], nn.None, 0, x)
			hidden := b.Conv(norm(e.key+".ln_2", x), layers[e.mlp0.key], nn.GELU, 0)
			x = b.ConvAdd(hidden, layers[e.mlp3.key], nn.None, 0, x)
		}
		return b.Head(norm("encoder.ln", x), layers[head.key])
	}
}
