package models

import (
	"fmt"
	"strings"

	"coar/internal/fault"
)

// registry lists the architectures in the order in which auto tries them.
func registry() []func(s shapes, o Options) (*blueprint, error) {
	return []func(s shapes, o Options) (*blueprint, error){cifarResNet, miniResNet, torchvisionResNet, visionTransformer}
}

// shapes looks into a checkpoint by key.
type shapes struct{ file Weights }

func (s shapes) has(key string) bool {
	_, ok := s.file.Shape(key)
	return ok
}

// dim returns dimension i of the tensor key, or otherwise where there is none.
func (s shapes) dim(key string, i, otherwise int) int {
	shape, ok := s.file.Shape(key)
	if !ok || i >= len(shape) {
		return otherwise
	}
	return shape[i]
}

// count returns how many of the keys made by format from 0, 1, 2, … are there in a row.
func (s shapes) count(format string) int {
	n := 0
	for n < 10000 && s.has(fmt.Sprintf(format, n)) {
		n++
	}
	return n
}

// prefixed says whether any key starts with prefix.
func (s shapes) prefixed(prefix string) bool {
	for _, k := range s.file.Keys() {
		if strings.HasPrefix(k, prefix) {
			return true
		}
	}
	return false
}

// recognise tries every architecture; each returns nil where the checkpoint is not of its kind.
func recognise(f Weights, o Options) (*blueprint, error) {
	var other []string
	for _, try := range registry() {
		bp, err := try(shapes{f}, o)
		if err != nil {
			return nil, err
		}
		if bp == nil {
			continue
		}
		if o.Arch == "" || o.Arch == "auto" || o.Arch == bp.Arch || o.Arch == family(bp.Arch) {
			return bp, nil
		}
		other = append(other, bp.Arch)
	}
	if len(other) > 0 {
		return nil, fault.Conflictf("%s holds a %s, --arch says %s", f.Path(), strings.Join(other, " or "), o.Arch)
	}
	keys := f.Keys()
	return nil, fault.Conflictf("%s: no known architecture has these tensors (%d of them, the first are %s); coar knows the CIFAR ResNets 20 to 110, the mini ResNet, torchvision's resnet18 to 152 and torchvision's ViT",
		f.Path(), len(keys), strings.Join(keys[:min(4, len(keys))], ", "))
}

// family is an architecture's name without its sizes.
func family(arch string) string {
	name, _, _ := strings.Cut(arch, ":")
	return name
}
