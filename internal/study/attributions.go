package study

import (
	"errors"

	"coar/internal/fault"
	"coar/internal/npy"
	"coar/internal/regress"
	"coar/internal/store"
)

// Fit is fit.json: how a run's attributions came to be.
type Fit struct {
	regress.Summary
	Split    string `json:"split"`
	Selected []int  `json:"selected"` // the run's examples that were fitted; null: all

	// Prior is gradient where the fit started from the gradient rows' attributions, else none; GradientRows how many they are.
	Prior        string `json:"prior"`
	GradientRows int    `json:"gradient_rows"`
	// Kept names the candidate that became the attributions: the one with the least mean squared error on held-out rows, if these
	// are enough and no λ was given.
	Kept        string       `json:"kept"`
	Calibration *Calibration `json:"calibration,omitempty"` // of the gradient rows' attributions on hard rows
	Candidates  []Candidate  `json:"candidates,omitempty"`

	Compared []regress.Comparison `json:"compared,omitempty"`
}

// What a fit can end in.
const (
	KeptGradient = "gradient"          // the gradient rows' attributions, nothing else
	KeptBoth     = "gradient+residual" // with the regression of what they leave of the hard rows' margins
	KeptPlain    = "plain"             // the regression of the hard rows' margins alone
)

// Candidate is what the held-out hard rows say of one of these.
type Candidate struct {
	Name        string         `json:"name"`
	Method      regress.Method `json:"method,omitempty"`
	Correlation float64        `json:"correlation"`
	MSE         float64        `json:"mse"`      // logits²
	Examples    int            `json:"examples"` // that it was tried on

	OthersMSE float64 `json:"others_mse,omitempty"` // where these are not all: the lower error of the others on the same ones, logits²
}

// Attributions are a run's fitted attributions on disk, one example at a time.
type Attributions struct {
	Intercepts  []float32
	NExamples   int
	NComponents int

	file     *npy.File
	errors   *npy.File    // nil where the fit had no standard errors
	selected map[int]bool // nil: all examples are fitted
	ids      []string
}

// OpenAttributions opens what coar fit wrote.
// Cost: reads the files once, for their digests. Errors: fault.Missing before the fit, fault.Malformed where they have changed.
func OpenAttributions(dir string, m *store.Manifest) (*Attributions, error) {
	a := &Attributions{NExamples: m.NExamples(), NComponents: m.NComponents(), ids: m.ExampleIDs}
	var fit Fit
	if err := store.ReadJSON(dir, store.FitName, &fit); err != nil {
		return nil, err
	}
	if fit.Selected != nil {
		a.selected = map[int]bool{}
		for _, i := range fit.Selected {
			a.selected[i] = true
		}
	}
	var err error
	if a.Intercepts, err = store.ReadFloat32(dir, store.InterceptName, a.NExamples); err != nil {
		return nil, err
	}
	if a.file, err = store.OpenArray(dir, store.AttributionsName, npy.Float32, a.NExamples, a.NComponents); err != nil {
		return nil, err
	}
	a.errors, err = store.OpenArray(dir, store.ErrorsName, npy.Float32, a.NExamples, a.NComponents)
	if err != nil && fault.KindOf(err) != fault.Missing {
		return nil, errors.Join(err, a.file.Close())
	}
	return a, nil
}

// Errors reads the standard errors of example i's attributions, in logits; nil where the fit had none.
func (a *Attributions) Errors(i int) ([]float32, error) {
	if a.errors == nil {
		return nil, nil
	}
	se := make([]float32, a.NComponents)
	if err := a.errors.ReadFloat32(i*a.NComponents, se); err != nil {
		return nil, err
	}
	return se, nil
}

// Fitted says whether example i was among those that coar fit was asked for.
func (a *Attributions) Fitted(i int) bool { return a.selected == nil || a.selected[i] }

// Row reads example i's attributions, in logits, into theta [NComponents].
func (a *Attributions) Row(i int, theta []float32) error {
	if !a.Fitted(i) {
		return fault.Missingf("example %s was left out of the fit; coar fit without --examples fits all", a.ids[i])
	}
	if err := a.file.ReadFloat32(i*a.NComponents, theta); err != nil {
		return err
	}
	if c := npy.FirstNotFinite(theta); c >= 0 {
		return fault.InFile(a.file.Name(), "example %s, component %d is not finite", a.ids[i], c)
	}
	return nil
}

// Close closes the files.
func (a *Attributions) Close() error {
	err := a.file.Close()
	if a.errors != nil {
		err = errors.Join(err, a.errors.Close())
	}
	return err
}
