package evaluate

import (
	"context"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Options says how Score works; the zero value asks for the documented defaults.
type Options struct {
	Seed    uint64 // of the bootstrap
	Draws   int    // bootstrap draws; 0 means 1,000
	Workers int    // 0 means one per processor; the result does not depend on it
}

const (
	defaultDraws = 1000
	worstListed  = 10
	// blockExamples is how many examples one worker holds at a time.
	blockExamples = 64
)

// Score evaluates the attributions on one fraction's rows.
//
// Cost: O(rows · ablated · n) additions for the predictions and 10 · draws · rows · n flops for the interval;
// rows·NComponents bits and 8·draws·rows bytes of memory, and per worker 3,600·rows + 2,560·draws + 68·NComponents bytes.
// Errors: fault.Missing without rows or examples, fault.Conflict for sizes that differ,
// fault.Malformed for a value that is not finite, ctx.Err(), and those of the functions in rows.
func Score(ctx context.Context, rows Rows, options Options) (Fraction, error) {
	if err := rows.check(); err != nil {
		return Fraction{}, err
	}
	if options.Draws == 0 {
		options.Draws = defaultDraws
	}
	if options.Workers == 0 {
		options.Workers = runtime.GOMAXPROCS(0)
	}
	side, err := packKeep(rows)
	if err != nil {
		return Fraction{}, err
	}
	s := &scorer{
		rows:    rows,
		side:    side,
		weights: drawWeights(rows.NRows, options.Draws, options.Seed),
		draws:   options.Draws,
		scores:  make([]Example, rows.NExamples),
		moments: make([]centred, rows.NExamples),
		sums:    make([][]float64, (rows.NExamples+blockExamples-1)/blockExamples),
	}
	workers, ctx := errgroup.WithContext(ctx)
	workers.SetLimit(options.Workers)
	for block := range s.sums {
		workers.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return s.scoreBlock(block)
		})
	}
	if err := workers.Wait(); err != nil {
		return Fraction{}, err
	}
	return s.summary(options), nil
}

// scorer holds what the blocks share. Each block writes entries of its own, so the result does not depend on their order.
type scorer struct {
	rows    Rows
	reading sync.Mutex // the functions of rows are called by one worker at a time
	side    packedSide
	weights []float64 // [draws, rows], how often each draw takes each row
	draws   int

	scores  []Example
	moments []centred
	sums    [][]float64 // [blocks][draws], the block's sum over examples of the draw's correlation
}

// scoreBlock scores up to blockExamples examples.
func (s *scorer) scoreBlock(block int) error {
	first := block * blockExamples
	n := min(blockExamples, s.rows.NExamples-first)
	predicted, err := s.predict(first, n)
	if err != nil {
		return err
	}
	measured, err := s.measured(first, n)
	if err != nil {
		return err
	}
	for i := range n {
		example := first + i
		m := centre(predicted[i], measured[i])
		s.moments[example] = m
		s.scores[example] = m.example(s.rows.IDs[example], s.rows.Labels[example])
	}
	s.sums[block] = bootstrapSums(s.weights, s.draws, s.rows.NRows, predicted, measured, s.moments[first:first+n])
	return nil
}

// measured reads the measured margins of n examples, [n][rows].
func (s *scorer) measured(first, n int) ([][]float64, error) {
	s.reading.Lock()
	defer s.reading.Unlock()
	margins := matrix(n, s.rows.NRows)
	buffer := make([]float32, n)
	for row := range s.rows.NRows {
		if err := s.rows.margins(row, first, buffer); err != nil {
			return nil, err
		}
		for i, v := range buffer {
			margins[i][row] = float64(v)
		}
	}
	return margins, nil
}

// matrix returns n rows of the given width, contiguous in memory.
func matrix(n, width int) [][]float64 {
	all := make([]float64, n*width)
	rows := make([][]float64, n)
	for i := range rows {
		rows[i] = all[i*width : (i+1)*width : (i+1)*width]
	}
	return rows
}
