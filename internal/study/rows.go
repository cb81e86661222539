package study

import (
	"coar/internal/store"
)

// ComponentDataset is a directory's completed rows as the regression takes them.
type ComponentDataset struct {
	arrays   *store.Arrays
	rows     []int
	selected []int // examples; nil: all
}

// NewComponentDataset hides incomplete rows, and the examples that are not selected (nil: none).
func NewComponentDataset(a *store.Arrays, selected []int) *ComponentDataset {
	return &ComponentDataset{arrays: a, rows: a.CompletedRows(), selected: selected}
}

// Shape returns nRows, nComponents, nExamples.
func (d *ComponentDataset) Shape() (nRows, nComponents, nExamples int) {
	n := d.arrays.NExamples()
	if d.selected != nil {
		n = len(d.selected)
	}
	return len(d.rows), d.arrays.NComponents(), n
}

// Example is the directory's index of the dataset's example i.
func (d *ComponentDataset) Example(i int) int {
	if d.selected == nil {
		return i
	}
	return d.selected[i]
}

// KeepRow fills dst [nComponents].
func (d *ComponentDataset) KeepRow(row int, dst []byte) error {
	return d.arrays.KeepRow(d.rows[row], dst)
}

// KeepVariance is the variance of every component's keep value over the rows, [nComponents].
// Cost: reads all keep-rows.
func (d *ComponentDataset) KeepVariance() ([]float64, error) {
	nRows, p, _ := d.Shape()
	kept, keep := make([]float64, p), make([]byte, p)
	for row := range nRows {
		if err := d.KeepRow(row, keep); err != nil {
			return nil, err
		}
		for c, k := range keep {
			kept[c] += float64(k)
		}
	}
	for c, n := range kept {
		share := n / float64(nRows)
		kept[c] = share * (1 - share)
	}
	return kept, nil
}

// Margins fills dst [nRows, last-first].
func (d *ComponentDataset) Margins(first, last int, dst []float32) error {
	if d.selected == nil {
		return d.arrays.Margins(d.rows, first, last, dst)
	}
	from, to := d.selected[first], d.selected[last-1]+1
	wide := make([]float32, to-from)
	for r, row := range d.rows {
		if err := d.arrays.Margins([]int{row}, from, to, wide); err != nil {
			return err
		}
		for i := first; i < last; i++ {
			dst[r*(last-first)+i-first] = wide[d.selected[i]-from]
		}
	}
	return nil
}
