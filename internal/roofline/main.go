// Command roofline times every op of ablated forward passes on one worker and prints, for each class of layers, how
// near it comes to what one core can do. Run it at the repository's root; its output is Markdown. Times are lower
// quartiles over the rows.
//
// The weights are random, with the shapes that testdata/margins lists; speed does not depend on their values.
package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"coar/internal/ablate"
	"coar/internal/kernel"
	"coar/internal/models"
	"coar/internal/nn"
)

// study is one table: a golden file's architecture under the fraction and the images that the comparison with PyTorch uses.
type study struct {
	name, title string
	side        int
	examples    int // from which the engine chooses its batch
	fraction    float64
}

var studies = []study{
	{"resnet20", "CIFAR ResNet-20", 32, 100, 0.1},
	{"mini_resnet_256", "mini ResNet 256x4", 32, 16, 0.1},
	{"resnet18_224", "ResNet-18", 224, 16, 0.05},
	{"resnet50_224", "ResNet-50", 224, 16, 0.05},
	{"vit_b_16", "ViT-B/16", 224, 8, 0.05},
}

func main() {
	tables := flag.String("tables", "testdata/margins", "directory of the files that list each architecture's tensors")
	only := flag.String("models", "", "comma-separated names of such files; empty: all five")
	precision := flag.String("precision", "f32", "f32 or bf16")
	batch := flag.Int("batch", 0, "examples per run; 0: what the engine chooses")
	least := flag.Duration("time", 8*time.Second, "time to spend on the rows of each model, at least 5 rows")
	flag.Parse()
	if err := run(*tables, *only, options{*precision == "bf16", *batch, *least}); err != nil {
		fmt.Fprintln(os.Stderr, "roofline:", err)
		os.Exit(1)
	}
}

// options are how every model is measured.
type options struct {
	bf16  bool
	batch int // 0: the engine's choice
	least time.Duration
}

func run(tables, only string, o options) error {
	set, err := kernel.Detect(o.bf16)
	if err != nil {
		return err
	}
	m := machine{peak: set.Peak(o.bf16, time.Second), bandwidth: bandwidth()}
	fmt.Printf("One core, %s: %.0f GFLOPS from cache, %.1f GB/s from memory; a layer below %.1f flops per byte cannot leave memory's roof.\n",
		set.Name, m.peak/1e9, m.bandwidth/1e9, m.peak/m.bandwidth)
	for _, s := range studies {
		if only != "" && !strings.Contains(","+only+",", ","+s.name+",") {
			continue
		}
		p, err := measure(set, filepath.Join(tables, s.name+".json"), s, o)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		m.peak = max(m.peak, set.Peak(o.bf16, time.Second)) // another process may have had the core the first time
		p.print(os.Stdout, s, m)
	}
	return nil
}

// measure runs rows for at least the given time, the examples loaded and the caches warm.
func measure(set *kernel.Set, file string, s study, o options) (*passes, error) {
	w, err := readShapes(file)
	if err != nil {
		return nil, err
	}
	m, err := models.Open(w, models.Options{})
	if err != nil {
		return nil, err
	}
	var profile nn.Profile
	batch := o.batch
	if batch == 0 {
		batch = m.Batch(s.examples, s.side, s.side)
	}
	prog, err := m.NewProgram(models.Build{Set: set, BF16: o.bf16, Batch: batch, Height: s.side, Width: s.side, Profile: &profile})
	if err != nil {
		return nil, err
	}
	defer prog.Close()
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range prog.Images() {
		prog.Images()[i] = float32(rng.NormFloat64())
	}
	prog.Load()
	sampler := ablate.Sampler{Fraction: s.fraction}
	drawn, keep := make([]byte, m.Components()), make([]float32, m.Components())
	row := func(r int) (time.Duration, error) {
		sampler.Row(r, drawn)
		for c, k := range drawn {
			keep[c] = float32(k)
		}
		start := time.Now()
		prog.SetKeep(keep)
		_, err := prog.Run()
		return time.Since(start), err
	}
	const warm = 2 // the first computes what is computed once per load of examples
	for r := range warm {
		if _, err := row(r); err != nil {
			return nil, err
		}
	}
	profile.Reset()
	p := &passes{batch: batch}
	for start := time.Now(); len(p.rows) < 5 || time.Since(start) < o.least; {
		d, err := row(warm + len(p.rows))
		if err != nil {
			return nil, err
		}
		p.rows = append(p.rows, d)
	}
	p.ops = profile.Ops()
	return p, nil
}
