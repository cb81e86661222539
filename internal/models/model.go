// Package models recognises an architecture from a checkpoint's tensors, lists its components and builds its graph.
//
// Each architecture is one short file. Component groups are in PyTorch's named_modules order, one per
// weight tensor, with one component per row.
package models

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"coar/internal/checkpoint"
	"coar/internal/fault"
	"coar/internal/kernel"
	"coar/internal/nn"
)

// Group is the components of one weight tensor: its rows.
type Group struct {
	Key  string `json:"key"`
	Rows int    `json:"rows"`
}

// Preprocess is how stored pictures become inputs, as the architecture's authors did it.
type Preprocess struct {
	Resize        int
	Crop          int
	Interpolation string
	Mean, Std     []float32
}

// Model is a checkpoint understood: weights bound to an architecture, components numbered. Immutable; safe for concurrent use.
type Model struct {
	Arch       string // the registry's name, with sizes where the name alone does not fix them
	Heads      int    // attention heads; 0 where there are none
	Classes    int
	Channels   int // input channels
	Height     int // input size that the weights demand; 0: any
	Width      int
	Preprocess Preprocess
	Groups     []Group             // the component groups, in component order
	Aliases    map[string][]string // other names that the file has for a tensor

	masked map[string]bool
	widest func(h, w int) int // elements of an example's largest activation, where examples lie side by side; nil: they are interleaved
	build  func(b *nn.Builder) *nn.Map
}

// Options choose among what a checkpoint leaves open.
type Options struct {
	Arch    string   // a registry name, or auto
	Heads   int      // attention heads; 0: width/64
	Include []string // globs over weight keys: the groups to use instead of the architecture's own choice
	Exclude []string // globs over weight keys: groups to leave out
}

// blueprint is an architecture with its sizes read from a checkpoint: what it expects and how to build it.
type blueprint struct {
	Model
	wants      []checkpoint.Want
	candidates []Group         // every weight whose rows could be components
	chosen     map[string]bool // those that are by default
	bind       func(t map[string][]float32)
}

// Weights are the named tensors of a checkpoint.
type Weights interface {
	Path() string
	Keys() []string
	Shape(key string) ([]int, bool)
	Bind(wants []checkpoint.Want) (map[string][]float32, error)
}

// Open recognises the checkpoint and binds its tensors.
//
// Errors: fault.Usage for an unknown Arch or globs that leave nothing, fault.Conflict where no architecture fits or tensors are
// missing, unexpected or misshapen, fault.Malformed where a weight is not finite.
func Open(f Weights, o Options) (*Model, error) {
	bp, err := recognise(f, o)
	if err != nil {
		return nil, err
	}
	if o.Heads != 0 && bp.Heads == 0 {
		return nil, fault.Usagef("--heads %d: %s has no attention", o.Heads, bp.Arch)
	}
	for _, w := range bp.wants {
		if slices.ContainsFunc(w.Shape, func(d int) bool { return d < 1 }) {
			return nil, fault.Conflictf("%s: the shapes would make %s an empty tensor in a %s", f.Path(), w.Key, bp.Arch)
		}
	}
	tensors, err := f.Bind(bp.wants)
	if err != nil {
		return nil, fmt.Errorf("models: %s: %w", bp.Arch, err)
	}
	m := bp.Model
	if m.Groups, err = choose(bp, o); err != nil {
		return nil, err
	}
	m.masked = map[string]bool{}
	for _, g := range m.Groups {
		m.masked[g.Key] = true
	}
	m.Aliases = map[string][]string{}
	for _, w := range bp.wants {
		if len(w.Aliases) > 0 {
			m.Aliases[w.Key] = w.Aliases
		}
	}
	bp.bind(tensors)
	return &m, nil
}

// choose applies the globs to the candidate groups.
func choose(bp *blueprint, o Options) ([]Group, error) {
	match := func(globs []string, key string) (bool, error) {
		for _, g := range globs {
			ok, err := path.Match(g, key)
			if err != nil {
				return false, fault.Usagef("--include/--exclude: %q is no valid glob", g)
			}
			if ok {
				return true, nil
			}
		}
		return false, nil
	}
	var groups []Group
	for _, g := range bp.candidates {
		in := bp.chosen[g.Key]
		var err error
		if len(o.Include) > 0 {
			if in, err = match(o.Include, g.Key); err != nil {
				return nil, err
			}
		}
		out, err := match(o.Exclude, g.Key)
		if err != nil {
			return nil, err
		}
		if in && !out {
			groups = append(groups, g)
		}
	}
	if len(groups) == 0 {
		var keys []string
		for _, g := range bp.candidates {
			keys = append(keys, g.Key)
		}
		return nil, fault.Usagef("--include/--exclude leave no component group; the weights to choose from are %s", strings.Join(keys, ", "))
	}
	return groups, nil
}

// Components is the number of components, p.
func (m *Model) Components() int {
	n := 0
	for _, g := range m.Groups {
		n += g.Rows
	}
	return n
}

// Batch proposes how many of n examples of h x w pixels one run should take: a whole vector of interleaved examples,
// or as many sequences of tokens as leave room beside an activation in a core's cache, in batches of equal size. Of longer
// sequences it is a few, so that vectors are full and a layer's weights are read for several examples at a time.
func (m *Model) Batch(n, h, w int) int {
	if m.widest != nil {
		const few, cache, large = 10, 512 << 10, 24 << 20 // examples; bytes of an activation, where it can and where it cannot stay in L2
		each := 4 * max(1, m.widest(h, w))
		most := max(1, min(n, max(cache/each, min(few, large/each))))
		batches := (n + most - 1) / most
		return max(1, (n+batches-1)/batches)
	}
	const vector = 16 // float32, of the widest instruction set
	b := 1
	for b < min(n, vector) {
		b *= 2
	}
	return b
}

// Remainder is the size of the run that takes the last n examples, where the others take full: where vectors are filled by
// examples, half a batch is no faster than a whole one.
func (m *Model) Remainder(n, full int) int {
	parts := 4
	if m.widest != nil {
		parts = 2
	}
	if size := m.Batch(n, 1, 1); n <= size && parts*size <= full {
		return size
	}
	return full
}

// Build says how a model's graph is to be built.
type Build struct {
	Set           *kernel.Set
	BF16          bool        // see nn.NewBuilder; Set must have bfloat16
	Batch         int         // examples per run
	Height, Width int         // of the images, in pixels
	Gradients     bool        // the program can run gradients too; not with BF16
	Profile       *nn.Profile // where every op's time and work go; nil: nowhere
}

// NewProgram builds the graph. Each worker needs its own; the weights are shared.
func (m *Model) NewProgram(o Build) (*Program, error) {
	if m.Height != 0 && (o.Height != m.Height || o.Width != m.Width) {
		return nil, fault.Conflictf("models: %s takes images of %dx%d, these are %dx%d", m.Arch, m.Height, m.Width, o.Height, o.Width)
	}
	b := nn.NewBuilder(o.Set, o.BF16, o.Batch, m.Channels, o.Height, o.Width, m.masked)
	b.Profile(o.Profile)
	if o.Gradients {
		b.Differentiate()
	}
	p, err := b.Compile(m.build(b))
	if err != nil {
		return nil, fmt.Errorf("models: build %s: %w", m.Arch, err)
	}
	prog := &Program{Program: p}
	for _, g := range m.Groups {
		prog.keeps = append(prog.keeps, p.Keep(g.Key))
		prog.wanted = append(prog.wanted, p.Wanted(g.Key))
		prog.gradients = append(prog.gradients, p.KeepGradient(g.Key))
	}
	return prog, nil
}

// Program is a compiled model whose keep vectors are addressed by component.
type Program struct {
	*nn.Program
	keeps     [][]float32
	wanted    [][]bool
	gradients [][]float32 // [examples, rows] of each group
}

// SetKeep spreads keep [p], values in [0,1], over the component groups.
func (p *Program) SetKeep(keep []float32) {
	for _, k := range p.keeps {
		copy(k, keep)
		keep = keep[len(k):]
	}
}

// SetWanted says for which components [p] RunGradient shall compute the derivative by their keep values.
func (p *Program) SetWanted(wanted []bool) {
	for _, w := range p.wanted {
		copy(w, wanted)
		wanted = wanted[len(w):]
	}
}

// KeepGradients writes to dst [p] the derivatives by every keep value, of the given example in the last RunGradient: 0
// where they were not wanted.
func (p *Program) KeepGradients(example int, dst []float32) {
	for i, w := range p.wanted {
		copy(dst[:len(w)], p.gradients[i][example*len(w):])
		dst = dst[len(w):]
	}
}
