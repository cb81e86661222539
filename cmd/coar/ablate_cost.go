package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

	"coar/internal/ablate"
	"coar/internal/store"
)

// cost is what a command is about to spend, measured on a row or two.
type cost struct {
	Seconds         float64 `json:"seconds"`
	Bytes           int64   `json:"bytes"`                       // of disk
	Margin          float64 `json:"seconds_per_margin"`          // of a row of zeros and ones, all workers at work; 0: none to do
	GradientMargin  float64 `json:"seconds_per_gradient_margin"` // 0: none to do
	Rows            int     `json:"rows"`
	GradientMargins int     `json:"gradient_margins"` // pairs of gradient row and example

	// With --until, what it comes to if all gradient rows that are allowed are needed; 0 without.
	MostSeconds float64 `json:"most_seconds,omitempty"`
	MostRows    int     `json:"most_gradient_rows,omitempty"`
}

func (c *cost) String() string {
	var parts []string
	if c.Rows > 0 {
		parts = append(parts, fmt.Sprintf("%d rows at %s a margin", c.Rows, seconds(c.Margin)))
	}
	if c.GradientMargins > 0 {
		parts = append(parts, fmt.Sprintf("%d margins with gradient at %s", c.GradientMargins, seconds(c.GradientMargin)))
	}
	text := fmt.Sprintf("this will take about %s and %s of disk: %s", seconds(c.Seconds), size(c.Bytes), strings.Join(parts, ", "))
	if c.MostRows > 0 {
		text += fmt.Sprintf("; with all %d gradient rows that --until may take, about %s", c.MostRows, seconds(c.MostSeconds))
	}
	return text
}

// fewestTimed is the work, in rows, below which an estimate would take longer than it is worth.
const fewestTimed = 30

// estimate measures a few rows and says what the rest will cost; nil where there is little to do. The rows of zeros and
// ones that it measures are committed; the gradient rows, at least two per worker on a few examples, are not. With --until there
// may be gradient rows up to most, else 0.
func estimate(ctx context.Context, hard *hardWork, gradients *gradientWork, most int) (*cost, error) {
	m := hard.run.Manifest()
	workers := workers(hard.s.Engine)
	c := &cost{Rows: len(hard.todo), GradientMargins: gradients.left()}
	if c.GradientMargins > 0 && most > m.GradientRows() {
		c.MostRows = most
	}
	if c.Rows+max(c.GradientMargins/m.NExamples(), c.MostRows) < max(fewestTimed, 8*workers) {
		return nil, nil
	}
	c.Bytes = m.RowBytes(c.Rows)
	for _, lot := range gradients.lots {
		c.Bytes += m.GradientBytes(lot.Lot.Rows) * int64(len(missing(lot.Completed()))) / int64(m.NExamples())
	}
	if c.Rows > 2*workers {
		if err := hard.measureFirst(ctx, workers, nil); err != nil { // compiles the graphs
			return nil, err
		}
		start := time.Now()
		if err := hard.measureFirst(ctx, workers, nil); err != nil {
			return nil, err
		}
		c.Margin = time.Since(start).Seconds() / float64(workers*m.NExamples())
	}
	if c.GradientMargins > 0 {
		var err error
		if c.GradientMargin, err = gradients.time(ctx); err != nil {
			return nil, err
		}
	}
	c.Seconds = float64(c.Rows*m.NExamples())*c.Margin + float64(c.GradientMargins)*c.GradientMargin
	if c.MostRows > 0 {
		c.MostSeconds = c.Seconds + float64((c.MostRows-m.GradientRows())*m.NExamples())*c.GradientMargin
	}
	return c, nil
}

// Gradient rows are timed on so many examples, for so long, but never fewer than two rows for each worker nor more than so many.
const (
	timedExamples = 16
	timedFor      = 300 * time.Millisecond
	timedRows     = 100
)

// workers is how many goroutines an engine may run.
func workers(e *ablate.Engine) int {
	if e.Workers > 0 {
		return e.Workers
	}
	return runtime.GOMAXPROCS(0)
}

// time returns the seconds that a margin with gradient takes, all workers at work.
func (g *gradientWork) time(ctx context.Context) (float64, error) {
	if err := g.soft.ready(); err != nil {
		return 0, err
	}
	m := g.run.Manifest()
	n := min(timedExamples, m.NExamples())
	row := m.GradientRows() / 2 // a typical one: the first use more derivatives than the others
	roles, err := g.roles(store.GradientLot{First: row, Rows: 1}, m.NComponents())
	if err != nil {
		return 0, err
	}
	var reading failure
	rows := g.rows(row, roles, &reading)
	same := func(_ int, keep []float32, wanted []bool) { rows(0, keep, wanted) }
	var mu sync.Mutex
	var ends []time.Time // of pairs of row and example
	enough, each := errors.New("enough rows are timed"), workers(g.s.Engine)
	err = g.s.Engine.EachGradient(ctx, g.s.Examples(m.Positions[:n]), timedRows*each, same, g.out, func(int, int, float32, []float32) error {
		mu.Lock()
		defer mu.Unlock()
		ends = append(ends, time.Now())
		err := reading.get()
		if err == nil && len(ends) >= 2*each*n && time.Since(ends[0]) > timedFor {
			return enough
		}
		return err
	})
	if errors.Is(err, enough) {
		err = nil
	}
	return settled(ends).Seconds(), err
}

// settled is the time that one of many things takes, of which it gets the ends in ascending order: in their later half, when
// each worker has compiled its graphs.
func settled(ends []time.Time) time.Duration {
	last := len(ends) - 1
	if last < 1 {
		return 0
	}
	return ends[last].Sub(ends[last/2]) / time.Duration(last-last/2)
}

// seconds words a duration.
func seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	switch {
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(10 * time.Microsecond).String()
}

// size words an amount of bytes.
func size(n int64) string {
	for _, unit := range []struct {
		name  string
		bytes float64
	}{{"GB", 1e9}, {"MB", 1e6}} {
		if float64(n) >= unit.bytes {
			return fmt.Sprintf("%.1f %s", float64(n)/unit.bytes, unit.name)
		}
	}
	return fmt.Sprintf("%.0f kB", float64(n)/1e3)
}
