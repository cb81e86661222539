package main

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"strings"

	"coar/internal/checkpoint"
)

// drawn is a checkpoint of which only the shapes are given: the tensors are drawn when they are bound.
type drawn struct {
	path   string
	keys   []string
	shapes map[string][]int
}

// readShapes reads the list of tensors of a golden file.
func readShapes(path string) (*drawn, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var golden struct {
		Tensors []struct {
			Key   string
			Shape []int
		}
	}
	if err := json.Unmarshal(b, &golden); err != nil {
		return nil, err
	}
	d := &drawn{path: path, shapes: map[string][]int{}}
	for _, t := range golden.Tensors {
		d.keys = append(d.keys, t.Key)
		d.shapes[t.Key] = t.Shape
	}
	return d, nil
}

func (d *drawn) Path() string   { return d.path }
func (d *drawn) Keys() []string { return d.keys }

func (d *drawn) Shape(key string) ([]int, bool) {
	shape, ok := d.shapes[key]
	return shape, ok
}

// Bind draws matrices of variance 1/fan-in, so that activations neither overflow nor become subnormal; norms are identities.
func (d *drawn) Bind(wants []checkpoint.Want) (map[string][]float32, error) {
	rng := rand.New(rand.NewPCG(1, 2))
	bound := map[string][]float32{}
	for _, w := range wants {
		n := 1
		for _, dim := range w.Shape {
			n *= dim
		}
		x := make([]float32, n)
		switch {
		case len(w.Shape) > 1:
			scale := float32(math.Sqrt(12 * float64(w.Shape[0]) / float64(n)))
			for i := range x {
				x[i] = scale * (rng.Float32() - 0.5)
			}
		case strings.HasSuffix(w.Key, ".weight"), strings.HasSuffix(w.Key, ".running_var"):
			for i := range x {
				x[i] = 1
			}
		}
		bound[w.Key] = x
	}
	return bound, nil
}
