package models

import (
	"fmt"

	"coar/internal/nn"
)

// torchvisionDepths names torchvision's ResNets by their blocks per stage; those from 50 on are of bottlenecks.
var torchvisionDepths = []struct {
	name       string
	blocks     [4]int
	bottleneck bool
}{
	{"resnet18", [4]int{2, 2, 2, 2}, false},
	{"resnet34", [4]int{3, 4, 6, 3}, false},
	{"resnet50", [4]int{3, 4, 6, 3}, true},
	{"resnet101", [4]int{3, 4, 23, 3}, true},
	{"resnet152", [4]int{3, 8, 36, 3}, true},
}

// residualBlock is a basic block (two convolutions) or a bottleneck (three) of torchvision, with its shortcut.
type residualBlock struct {
	convs    []conv2d
	shortcut *conv2d
}

// torchvisionResNet is torchvision.models.resnet18 to resnet152 with a head of any size. The stride of a bottleneck is in its 3x3.
func torchvisionResNet(s shapes, _ Options) (*blueprint, error) {
	if !s.prefixed("layer4.") || !s.prefixed("fc.") {
		return nil, nil
	}
	var counts [4]int
	for i := range counts {
		counts[i] = s.count(fmt.Sprintf("layer%d.%%d.conv1.weight", i+1))
	}
	bottleneck := s.has("layer1.0.conv3.weight")
	for _, d := range torchvisionDepths {
		if d.blocks == counts && d.bottleneck == bottleneck {
			return buildTorchvision(s, d.name, counts, bottleneck), nil
		}
	}
	return nil, nil
}

func buildTorchvision(s shapes, name string, counts [4]int, bottleneck bool) *blueprint {
	expansion := 1
	if bottleneck {
		expansion = 4
	}
	classes, channels := s.dim("fc.weight", 0, 1000), s.dim("conv1.weight", 1, 3)
	bp := &blueprint{Model: Model{Arch: name, Classes: classes, Channels: channels, Preprocess: imagenet(256, 224)}}
	stem := conv2d{key: "conv1", norm: "bn1", out: 64, in: channels, kernel: 7, stride: 2, pad: 3}
	bp.convs(stem)
	var blocks []residualBlock
	in := 64
	for stage, n := range counts {
		for i := range n {
			stride := 1
			if stage > 0 && i == 0 {
				stride = 2
			}
			b := newResidualBlock(fmt.Sprintf("layer%d.%d", stage+1, i), in, 64<<stage, stride, bottleneck)
			bp.convs(b.convs...)
			if b.shortcut != nil {
				bp.add(b.shortcut.group(), false, b.shortcut.wants())
			}
			blocks = append(blocks, b)
			in = 64 << stage * expansion
		}
	}
	fc := linear{key: "fc", out: classes, in: in}
	bp.head(fc)

	layers := map[string]nn.Layer{}
	bp.bind = func(t map[string][]float32) {
		layers[stem.key], layers[fc.key] = stem.layer(t), fc.layer(t)
		for _, b := range blocks {
			for _, c := range b.convs {
				layers[c.key] = c.layer(t)
			}
			if b.shortcut != nil {
				layers[b.shortcut.key] = b.shortcut.layer(t)
			}
		}
	}
	bp.build = func(b *nn.Builder) *nn.Map {
		in := b.Pack(3)
		x := b.Stem(&in, layers[stem.key], true, blocks[0].convs[0].pad)
		for i, bl := range blocks {
			pad := 0
			if i+1 < len(blocks) {
				pad = blocks[i+1].convs[0].pad
			}
			skip := x
			if bl.shortcut != nil {
				skip = b.Conv(x, layers[bl.shortcut.key], nn.None, 0)
			}
			last := len(bl.convs) - 1
			for j, c := range bl.convs[:last] {
				x = b.Conv(x, layers[c.key], nn.ReLU, bl.convs[j+1].pad)
			}
			x = b.ConvAdd(x, layers[bl.convs[last].key], nn.ReLU, pad, skip)
		}
		return b.Head(b.AveragePool("avgpool", x, 1), layers[fc.key])
	}
	return bp
}

func newResidualBlock(key string, in, width, stride int, bottleneck bool) residualBlock {
	conv := func(i, out, in, kernel, stride int) conv2d {
		return conv2d{key: fmt.Sprintf("%s.conv%d", key, i), norm: fmt.Sprintf("%s.bn%d", key, i), out: out, in: in, kernel: kernel, stride: stride, pad: kernel / 2}
	}
	b := residualBlock{convs: []conv2d{conv(1, width, in, 3, stride), conv(2, width, width, 3, 1)}}
	out := width
	if bottleneck {
		out = 4 * width
		b.convs = []conv2d{conv(1, width, in, 1, 1), conv(2, width, width, 3, stride), conv(3, out, width, 1, 1)}
	}
	if stride != 1 || in != out {
		b.shortcut = &conv2d{key: key + ".downsample.0", norm: key + ".downsample.1", out: out, in: in, kernel: 1, stride: stride}
	}
	return b
}
