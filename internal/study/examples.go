package study

import (
	"sync/atomic"

	"coar/internal/dataset"
)

// Examples are some positions of a data source, as the ablation engine takes them. Decoded images are kept in memory
// as far as the budget given to newExamples goes; the others are decoded again at each use.
type Examples struct {
	src       *dataset.Source
	positions []int
	cache     []atomic.Pointer[[]float32] // the first len(cache) examples
}

// newExamples keeps up to budget bytes of preprocessed images.
func newExamples(src *dataset.Source, positions []int, budget int64) *Examples {
	c, h, w := src.Shape()
	fit := int(min(int64(len(positions)), budget/int64(4*c*h*w)))
	return &Examples{src: src, positions: positions, cache: make([]atomic.Pointer[[]float32], fit)}
}

// Len is the number of examples.
func (e *Examples) Len() int { return len(e.positions) }

// Label is the model output that example i should have the largest of.
func (e *Examples) Label(i int) int { return e.src.Label(e.positions[i]) }

// Shape is the size of every image.
func (e *Examples) Shape() (c, h, w int) { return e.src.Shape() }

// Image writes example i, preprocessed, to dst [c, h, w].
func (e *Examples) Image(i int, dst []float32) error {
	if i >= len(e.cache) {
		return e.src.Image(e.positions[i], dst)
	}
	if kept := e.cache[i].Load(); kept != nil {
		copy(dst, *kept)
		return nil
	}
	if err := e.src.Image(e.positions[i], dst); err != nil {
		return err
	}
	kept := append([]float32(nil), dst...)
	e.cache[i].Store(&kept)
	return nil
}
