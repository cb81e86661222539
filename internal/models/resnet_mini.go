package models

import "fmt"

// miniResNet is the paper's setup A: one stage of basic blocks at full resolution, 8x8 average pooling of the
// 32x32 map, a linear head on what is left. Its authors register each block twice, as layer.i and blocki.
func miniResNet(s shapes, _ Options) (*blueprint, error) {
	key := "layer.%d"
	if !s.prefixed("layer.0.") {
		key = "block%d"
	}
	if !s.prefixed(fmt.Sprintf(key, 0) + ".") {
		return nil, nil
	}
	n := s.count(key + ".conv1.weight")
	planes, channels, classes := s.dim("conv1.weight", 0, 256), s.dim("conv1.weight", 1, 3), s.dim("linear.weight", 0, 10)
	const size, side = 32, 4
	bp := &blueprint{Model: Model{Arch: fmt.Sprintf("mini_resnet:%dx%d", planes, n), Classes: classes, Channels: channels, Height: size, Width: size,
		Preprocess: Preprocess{Interpolation: "bilinear", Mean: []float32{125.307 / 255, 122.961 / 255, 113.8575 / 255}, Std: []float32{51.5865 / 255, 50.847 / 255, 51.255 / 255}}}}
	stem := conv2d{key: "conv1", norm: "bn1", out: planes, in: channels, kernel: 3, stride: 1, pad: 1}
	var blocks []basicBlock
	for i := range n {
		blocks = append(blocks, newBasicBlock(fmt.Sprintf("layer.%d", i), planes, planes, 1, fmt.Sprintf("block%d", i)))
	}
	bp.residualNet(stem, blocks, linear{key: "linear", out: classes, in: planes * side * side}, side)
	return bp, nil
}
