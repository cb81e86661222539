package models

import (
	"fmt"

	"coar/internal/nn"
)

// cifarResNet is He et al. (2015), section 4.2: three stages of n basic blocks, 6n+2 layers, parameter-free shortcuts.
func cifarResNet(s shapes, _ Options) (*blueprint, error) {
	if !s.prefixed("layer3.") || s.prefixed("layer4.") || !s.prefixed("linear.") {
		return nil, nil
	}
	n := max(s.count("layer1.%d.conv1.weight"), s.count("layer2.%d.conv1.weight"), s.count("layer3.%d.conv1.weight"))
	classes, channels := s.dim("linear.weight", 0, 10), s.dim("conv1.weight", 1, 3)
	bp := &blueprint{Model: Model{Arch: fmt.Sprintf("resnet%d", 6*n+2), Classes: classes, Channels: channels, Preprocess: imagenet(0, 0)}}
	stem := conv2d{key: "conv1", norm: "bn1", out: 16, in: channels, kernel: 3, stride: 1, pad: 1}
	blocks := []basicBlock{}
	in := 16
	for stage, width := range []int{16, 32, 64} {
		for i := range n {
			stride := 1
			if stage > 0 && i == 0 {
				stride = 2
			}
			blocks = append(blocks, newBasicBlock(fmt.Sprintf("layer%d.%d", stage+1, i), in, width, stride, ""))
			in = width
		}
	}
	bp.residualNet(stem, blocks, linear{key: "linear", out: classes, in: 64}, 1)
	return bp, nil
}

// basicBlock is two 3x3 convolutions around a shortcut that has no parameters.
type basicBlock struct {
	conv1, conv2 conv2d
	in, out      int
	stride       int
}

func newBasicBlock(key string, in, out, stride int, alias string) basicBlock {
	b := basicBlock{in: in, out: out, stride: stride,
		conv1: conv2d{key: key + ".conv1", norm: key + ".bn1", out: out, in: in, kernel: 3, stride: stride, pad: 1},
		conv2: conv2d{key: key + ".conv2", norm: key + ".bn2", out: out, in: out, kernel: 3, stride: 1, pad: 1}}
	if alias != "" {
		b.conv1.aliasKey, b.conv1.aliasNorm = alias+".conv1", alias+".bn1"
		b.conv2.aliasKey, b.conv2.aliasNorm = alias+".conv2", alias+".bn2"
	}
	return b
}

// residualNet completes the blueprint of a network of basic blocks with an average pool of side x side windows.
func (bp *blueprint) residualNet(stem conv2d, blocks []basicBlock, head linear, side int) {
	bp.convs(stem)
	for _, b := range blocks {
		bp.convs(b.conv1, b.conv2)
	}
	bp.head(head)
	layers := map[string]nn.Layer{}
	bp.bind = func(t map[string][]float32) {
		layers[stem.key] = stem.layer(t)
		for _, b := range blocks {
			layers[b.conv1.key], layers[b.conv2.key] = b.conv1.layer(t), b.conv2.layer(t)
		}
		layers[head.key] = head.layer(t)
	}
	bp.build = func(b *nn.Builder) *nn.Map {
		in := b.Pack(1)
		x := b.Stem(&in, layers[stem.key], false, 1)
		for _, bl := range blocks {
			y := b.Conv(x, layers[bl.conv1.key], nn.ReLU, 1)
			if bl.stride == 1 && bl.in == bl.out {
				x = b.ConvAdd(y, layers[bl.conv2.key], nn.ReLU, 1, x)
			} else {
				x = b.ConvAddSubsampled(y, layers[bl.conv2.key], nn.ReLU, 1, x, (bl.out-bl.in)/2)
			}
		}
		return b.Head(b.AveragePool("avgpool", x, side), layers[head.key])
	}
}
