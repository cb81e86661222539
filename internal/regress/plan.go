package regress

import (
	"fmt"

	"coar/internal/fault"
)

// plan says how a fit will hold its data.
type plan struct {
	solver  Solver
	workers int
	block   int   // examples at a time
	bytes   int64 // at the largest moment
	least   int64 // with one worker and one example at a time
}

// maxBlock keeps blocks, and with them the distance between two calls of emit, moderate.
const maxBlock = 1024

// makePlan takes the quickest solver of the method that fits into opts.Memory with one worker, then as many workers as fit, up
// to opts.Workers, and the largest block. So the solver, and with it the last bits of the results, does not depend on the workers.
//
// Lasso: the Gram matrix where there are at least as many rows as components, else the rows.
// Ridge and ols: the smaller of the Gram matrix and the kernel, else the other.
func makePlan(d *design, nExamples int, opts Options) (plan, error) {
	solvers := []Solver{SolverGram, SolverRows}
	switch {
	case opts.Method == Lasso && d.nRows < d.nComponents:
		solvers = []Solver{SolverRows}
	case opts.Method != Lasso && d.nRows < d.nComponents:
		solvers = []Solver{SolverKernel, SolverGram}
	case opts.Method != Lasso:
		solvers = []Solver{SolverGram, SolverKernel}
	}
	if opts.solver != "" {
		solvers = []Solver{opts.solver}
	}
	var least need
	for i, solver := range solvers {
		n := needs(d, solver, 1, opts)
		if n.fixed+n.perExample <= opts.Memory {
			p := plan{solver: solver, workers: opts.Workers, least: n.fixed + n.perExample}
			for n = needs(d, solver, p.workers, opts); n.fixed+n.perExample > opts.Memory; n = needs(d, solver, p.workers, opts) {
				p.workers--
			}
			p.block = int(min((opts.Memory-n.fixed)/n.perExample, int64(nExamples), maxBlock))
			p.bytes = n.fixed + int64(p.block)*n.perExample
			return p, nil
		}
		if i == 0 || n.fixed+n.perExample < least.fixed+least.perExample {
			least = n
		}
	}
	advice := ""
	if opts.Method != Lasso {
		if n := needs(d, SolverRows, 1, opts); n.fixed+n.perExample <= opts.Memory {
			advice = ", or --method lasso, which fits"
		}
	}
	return plan{}, &fault.Error{Kind: fault.Usage, Err: &MemoryError{fmt.Sprintf("%s on %d rows x %d components needs at least %s of memory and --memory allows %s: allow more%s",
		opts.Method, d.nRows, d.nComponents, formatBytes(least.fixed+least.perExample), formatBytes(opts.Memory), advice)}}
}

// MemoryError says that no solver of a method fits into the memory allowed.
type MemoryError struct{ text string }

func (e *MemoryError) Error() string { return e.text }

// need is the memory of a fit: fixed, and for each example of a block.
type need struct{ fixed, perExample int64 }

// needs adds up what the arrays of a fit by solver hold.
func needs(d *design, solver Solver, nWorkers int, opts Options) need {
	var onesTrain, onesHeld int64
	for c := range d.nComponents {
		onesTrain += int64(d.onesTrain[c])
		onesHeld += int64(d.onesHeld[c])
	}
	m, p, held, workers := int64(d.nRows), int64(d.nComponents), int64(d.nHeld), int64(nWorkers)
	parts := int64(len(d.parts()))

	n := need{fixed: packedBytes(d.nRows, d.nComponents) + workers*(2*8*crossColumn*crossTiles*tileWidth+4096)}
	examples, fixed := blockBytes(d.nRows)
	n.fixed += fixed
	n.perExample = examples + fittedBytes(d.nComponents)
	if d.prior {
		n.perExample += priorBytes(d.nRows)
	}
	switch {
	case solver == SolverRows:
		n.fixed += listBytes(onesTrain+onesHeld, d.nComponents) +
			workers*(residualBytes(d.nRows, d.nComponents)+scorerBytes(d.nHeld)+8*p)
		n.perExample += parts * crossBytes(d.nComponents)
	case solver == SolverKernel:
		shared, perWorker := normalBytes(d.nRows, d.nHeld, opts.PathLength)
		n.fixed += kernelBytes(d.nRows, d.nHeld, d.nComponents) + 8*m*m +
			parts*reductionBytes(d.nRows) + shared + workers*perWorker + fixed
		n.perExample += 8*(m+128) + 40 + crossBytes(d.nComponents)
	case opts.Method == Lasso:
		n.fixed += parts*8*p*p + listBytes(onesHeld, d.nComponents) +
			workers*(covarianceBytes(d.nComponents)+scorerBytes(d.nHeld)+8*p)
		n.perExample += parts * crossBytes(d.nComponents)
	default:
		shared, perWorker := normalBytes(d.nComponents, d.nHeld, opts.PathLength)
		n.fixed += (parts+1)*8*p*p + 8*held*p + rowBytes(d.nHeld, d.nComponents) + 8*m +
			parts*reductionBytes(d.nComponents) + shared + workers*perWorker
		n.perExample += parts * crossBytes(d.nComponents)
	}
	return n
}

// formatBytes rounds up, so that the amount it names suffices.
func formatBytes(n int64) string {
	for _, unit := range []struct {
		name string
		size int64
	}{{"GB", 1e9}, {"MB", 1e6}} {
		if n >= unit.size {
			tenths := (n + unit.size/10 - 1) / (unit.size / 10)
			return fmt.Sprintf("%d.%d%s", tenths/10, tenths%10, unit.name)
		}
	}
	return fmt.Sprintf("%dkB", (n+999)/1000)
}
