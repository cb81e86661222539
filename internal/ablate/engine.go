package ablate

import (
	"context"
	"fmt"
	"math"
	"runtime"

	"golang.org/x/sync/errgroup"

	"coar/internal/kernel"
	"coar/internal/models"
)

// Examples are labelled images, preprocessed for the model. Image must be safe for concurrent use.
type Examples interface {
	Len() int
	Label(i int) int
	Shape() (c, h, w int)
	Image(i int, dst []float32) error // c·h·w values
}

// Engine runs a model under many keep-rows. Its workers share the weights and own a graph each.
//
// Logits do not depend on the number of workers nor on the batch, bit for bit: every output value is reduced in the
// same order whatever stands beside it.
type Engine struct {
	Model   *models.Model
	Set     *kernel.Set
	BF16    bool  // multiply in bfloat16; Set must have it
	Workers int   // 0: one per processor
	Batch   int   // examples per run; 0: chosen from the model and Memory
	Memory  int64 // bytes that the workers' graphs may take together, weights aside; 0: no bound

	limit   int   // examples per run that Memory allows
	planned int   // examples per run of the largest graph that plan has seen; 0: none yet
	room    int64 // bytes that Memory leaves each worker for smaller graphs beside that one
	workers []*worker

	gradientLimit int // examples per gradient run that Memory allows; 0: not bounded
}

// worker holds the compiled programs of one goroutine.
type worker struct {
	engine    *Engine
	programs  map[int]*models.Program // by batch size; where there is no room for a small one, the largest stands in for it
	beside    int64                   // bytes of those smaller than planned
	gradients map[int]*models.Program // those that run gradients
}

func newWorker(e *Engine) *worker {
	return &worker{engine: e, programs: map[int]*models.Program{}, gradients: map[int]*models.Program{}}
}

// start makes the workers that Memory has room for, and makes room again where ex needs larger graphs than the sets
// before it did.
func (e *Engine) start(ex Examples) error {
	if e.planned == 0 {
		e.limit = math.MaxInt
	}
	if e.batch(ex) > e.planned {
		e.Close()
		if err := e.plan(ex); err != nil {
			return err
		}
	}
	if e.Memory > 0 {
		e.releaseGradients()
	}
	return nil
}

// plan prefers smaller batches to fewer workers: down to one vector's worth of examples they cost little.
func (e *Engine) plan(ex Examples) error {
	n := e.Workers
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	first := newWorker(e)
	e.limit, e.room = math.MaxInt, math.MaxInt64
	for e.Memory > 0 {
		size := e.batch(ex)
		p, err := first.program(size, ex)
		if err != nil {
			return err
		}
		bytes, last := p.Bytes(), size == 1 || e.Batch > 0
		if last {
			n = int(max(1, min(int64(n), e.Memory/bytes)))
		}
		if e.room = e.Memory/int64(n) - bytes; e.room >= 0 || last {
			break
		}
		p.Close()
		delete(first.programs, size)
		e.limit = size / 2
	}
	e.planned = e.batch(ex)
	e.workers = append(e.workers, first)
	for range n - 1 {
		e.workers = append(e.workers, newWorker(e))
	}
	return nil
}

// Close releases the compiled graphs.
func (e *Engine) Close() {
	for _, w := range e.workers {
		w.releaseForward()
		release(w.gradients)
	}
	e.workers, e.planned = nil, 0
}

// releaseForward closes the programs that run no gradients.
func (w *worker) releaseForward() {
	w.beside = 0
	release(w.programs)
}

// release closes programs and forgets them.
func release(programs map[int]*models.Program) {
	for size, p := range programs {
		delete(programs, size)
		if size == p.Size() { // else it stands in for a smaller one
			p.Close()
		}
	}
}

// task is a run of rows over a run of examples.
type task struct{ firstRow, rows, first, last int }

// Visit receives the logits [classes] of one example under one row; it is called from several goroutines at once,
// once per pair, and must not keep the slice.
type Visit func(row, example int, logits []float32) error

// Rows fills keep [p] of row r with values in [0,1]. It is called from several goroutines at once.
type Rows func(r int, keep []float32)

// AllKept is the row that ablates nothing.
func AllKept(_ int, keep []float32) {
	for i := range keep {
		keep[i] = 1
	}
}

// Each runs rows 0..nRows-1 over all examples in parallel.
//
// Cost:   nRows x examples forward passes; what no keep value reaches is computed once per batch of examples.
// Errors: ctx.Err(), an unreadable image, a logit that is not finite (with its row and example), or visit's error.
func (e *Engine) Each(ctx context.Context, ex Examples, nRows int, rows Rows, visit Visit) error {
	if err := e.start(ex); err != nil {
		return err
	}
	tasks := make(chan task)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(tasks)
		for _, t := range e.split(ex, nRows) {
			select {
			case tasks <- t:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	for _, w := range e.workers {
		group.Go(func() error {
			for t := range tasks {
				if err := w.run(ctx, t, ex, rows, visit); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// split cuts the work into a few tasks per worker: by rows where there are enough, by batches of examples otherwise.
func (e *Engine) split(ex Examples, nRows int) []task {
	want := 4 * len(e.workers)
	n := ex.Len()
	var tasks []task
	perTask := max(1, (nRows+want-1)/want)
	batch := e.batch(ex)
	parts := max(1, min((n+batch-1)/batch, want/max(1, (nRows+perTask-1)/perTask)))
	step := (n + parts - 1) / parts
	step = (step + batch - 1) / batch * batch
	for r := 0; r < nRows; r += perTask {
		for first := 0; first < n; first += step {
			tasks = append(tasks, task{r, min(perTask, nRows-r), first, min(first+step, n)})
		}
	}
	return tasks
}

func (e *Engine) batch(ex Examples) int {
	if e.Batch > 0 {
		return e.Batch
	}
	_, h, w := ex.Shape()
	return min(e.limit, e.Model.Batch(ex.Len(), h, w))
}

// run computes one task, batch after batch of examples, all rows on each.
func (w *worker) run(ctx context.Context, t task, ex Examples, rows Rows, visit Visit) error {
	keep := make([]float32, w.engine.Model.Components())
	batch := w.engine.batch(ex)
	for first := t.first; first < t.last; first += batch {
		n := min(batch, t.last-first)
		prog, err := w.load(ex, first, n)
		if err != nil {
			return err
		}
		for r := t.firstRow; r < t.firstRow+t.rows; r++ {
			if err := ctx.Err(); err != nil {
				return err
			}
			rows(r, keep)
			prog.SetKeep(keep)
			logits, err := prog.Run()
			if err != nil {
				return err
			}
			for i := range n {
				l := logits[i*w.engine.Model.Classes : (i+1)*w.engine.Model.Classes]
				if err := finite(l); err != nil {
					return fmt.Errorf("ablate: row %d, example %d: %w", r, first+i, err)
				}
				if err := visit(r, first+i, l); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// rareRemainder is how many times more examples there must be than spare places in the last batch for these to be
// computed in vain: a second graph would take memory and save less than a fiftieth of the time.
const rareRemainder = 50

// load brings n examples from first on into a program of a fitting size.
func (w *worker) load(ex Examples, first, n int) (*models.Program, error) {
	full := w.engine.batch(ex)
	size := full
	if (full-n)*rareRemainder >= ex.Len() {
		size = w.engine.Model.Remainder(n, full)
	}
	p, err := w.program(size, ex)
	if err != nil {
		return nil, err
	}
	return p, fill(p, ex, first, n)
}

// fill brings n examples from first on into p.
func fill(p *models.Program, ex Examples, first, n int) error {
	c, height, width := ex.Shape()
	images, len := p.Images(), c*height*width
	clear(images)
	for i := range n {
		if err := ex.Image(first+i, images[i*len:(i+1)*len]); err != nil {
			return err
		}
	}
	p.Load()
	return nil
}

// program returns the worker's program for size examples per run, or a larger one that Memory makes it use instead.
func (w *worker) program(size int, ex Examples) (*models.Program, error) {
	if p := w.programs[size]; p != nil {
		return p, nil
	}
	_, height, width := ex.Shape()
	p, err := w.engine.Model.NewProgram(models.Build{Set: w.engine.Set, BF16: w.engine.BF16, Batch: size, Height: height, Width: width})
	if err != nil {
		return nil, err
	}
	if size < w.engine.planned {
		if w.beside+p.Bytes() > w.engine.room {
			p.Close()
			if p, err = w.program(w.engine.planned, ex); err != nil {
				return nil, err
			}
		} else {
			w.beside += p.Bytes()
		}
	}
	w.programs[size] = p
	return p, nil
}

func finite(logits []float32) error {
	for k, v := range logits {
		if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
			return fmt.Errorf("logit %d is %v; the ablated model overflows float32", k, v)
		}
	}
	return nil
}
