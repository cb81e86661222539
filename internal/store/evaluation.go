package store

import (
	"coar/internal/fault"
	"coar/internal/npy"
)

// EvaluationRows opens the rows measured for evaluation at a fraction and seed, creating them or adding to them until
// there are nRows; there may be more already. Margins are float32. Called again, it returns the same set, grown.
//
// Errors: as Rows; fault.Usage for a fraction outside [0,1] or an absurd number of rows.
func (r *Run) EvaluationRows(fraction float64, seed uint64, nRows int) (*Rows, error) {
	if !(fraction >= 0 && fraction <= 1) || nRows < 0 || nRows > MaxRows {
		return nil, fault.Usagef("store: evaluation rows: fraction %v, %d rows", fraction, nRows)
	}
	rows, err := r.openRowsOnce(evaluationLayout(&r.manifest, evaluationNames(fraction, seed), nRows), r.manifest.ExampleIDs, true)
	if err != nil {
		return nil, err
	}
	return rows, rows.grow(nRows)
}

// evaluationLayout is the layout of nRows evaluation rows of a run.
func evaluationLayout(m *Manifest, names rowNames, nRows int) layout {
	return rowsLayout(names, nRows, m, npy.Float32)
}

// OpenEvaluationRows opens the rows measured for evaluation of the run in dir for reading, without locking it.
//
// Errors: fault.Missing if there are none at this fraction and seed; otherwise as OpenArrays.
func OpenEvaluationRows(dir string, fraction float64, seed uint64) (*Arrays, error) {
	return openEvaluationRows(osFS{}, dir, fraction, seed)
}

func openEvaluationRows(fsys fileSystem, dir string, fraction float64, seed uint64) (*Arrays, error) {
	m, err := readManifest(fsys, dir)
	if err != nil {
		return nil, err
	}
	return openOwnArrays(fsys, dir, &m, evaluationLayout(&m, evaluationNames(fraction, seed), MaxRows), "coar evaluate")
}
