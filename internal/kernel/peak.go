package kernel

import "time"

// Peak is the flops per second of the set's best kernel of one precision, run from cache on one core: the largest tile, or the
// matrix unit's largest block. It is the best of short measurements over the given time, of one at least; others' work on the
// core lowers it.
func (s *Set) Peak(bf16 bool, over time.Duration) float64 {
	const calls = 100
	run, flops := s.largest(bf16)
	shortest := time.Hour
	for start := time.Now(); ; {
		at := time.Now()
		for range calls {
			run()
		}
		shortest = min(shortest, time.Since(at))
		if time.Since(start) >= over {
			return calls * flops / max(shortest, 1).Seconds()
		}
	}
}

// largest returns a run of the set's best kernel and that run's flops.
func (s *Set) largest(bf16 bool) (run func(), flops float64) {
	if bf16 && s.MatrixUnit() {
		return s.largestMatrix()
	}
	const k = 576
	line := s.MaxVecs * s.Lanes
	t := &CellTile{Tile: Tile{A: make([]float32, s.MaxRows*k+Slack), B: make([]float32, 64*line+Slack),
		Out: make([]float32, s.MaxRows*line+Slack), Spans: []Span{{Last: int32(s.Lanes)}}, BStep: s.Lanes}}
	for r := range s.MaxRows {
		t.ARow[r], t.OutRow[r] = int32(r*k), int32(r*line)
	}
	for i := range k {
		t.K = append(t.K, Offset{A: int32(i), B: int32(i % 64 * line)})
	}
	flops = 2 * float64(s.MaxRows*line*k)
	if bf16 {
		return func() { s.TileBF16(t, s.MaxRows, s.MaxVecs) }, 2 * flops // a step is two channels
	}
	return func() { s.Tile(&t.Tile, s.MaxRows, s.MaxVecs) }, flops
}

// largestMatrix is largest of a matrix unit.
func (s *Set) largestMatrix() (run func(), flops float64) {
	const steps, sides, vecs = 72, 2, 2
	const line = vecs * MatrixSide
	m := NewMatrix(MatrixSide)
	m.A, m.B, m.Out = make([]float32, steps*sides*MatrixWeights), make([]float32, 8*MatrixSide*line), make([]float32, MatrixRows*line)
	m.Spans, m.Stride, m.BStep, m.Rows = []Span{{Last: MatrixSide}}, line, MatrixSide, MatrixRows
	for r := range m.Rows {
		m.OutRow[r], m.ResRow[r] = int32(r*line), -1
	}
	for i := range steps {
		m.Steps = append(m.Steps, int32(i%8*MatrixSide*line))
	}
	return func() { s.RunMatrix(m, sides, vecs) }, 2 * float64(MatrixRows*line*2*MatrixSide*steps)
}
