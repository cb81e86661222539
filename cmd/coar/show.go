package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"coar/internal/fault"
	"coar/internal/models"
	"coar/internal/store"
	"coar/internal/study"
)

// showOptions are the flags of coar show.
type showOptions struct {
	*globals
	run     string
	example string
	top     int
}

func newShow(g *globals) *cobra.Command {
	o := &showOptions{globals: g}
	cmd := &cobra.Command{
		Use:   "show RUN",
		Short: "Show the components for and against one prediction",
		Long: `Lists the components with the largest attributions of one example. A positive attribution is what the margin
loses, in logits, when the component is ablated; a negative one is what it gains. Behind ± stands its standard error, where
the fit started from gradient rows: how far another draw of as many rows would move it. Biases are not part of it.`,
		Args:        oneRun,
		Annotations: map[string]string{onlyReads: ""},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.run = args[0]
			return runShow(cmd, o)
		},
	}
	cmd.Flags().StringVar(&o.example, "example", "", "id of the example, as in run.json")
	cmd.Flags().IntVar(&o.top, "top", 20, "components on each side")
	return cmd
}

// showReport is what coar show --json prints.
type showReport struct {
	Example    string           `json:"example"`
	Label      int              `json:"label"`
	LabelName  string           `json:"label_name"`
	Prediction int              `json:"prediction"`
	Predicted  string           `json:"prediction_name"`
	Margin     float64          `json:"margin"`    // measured, nothing ablated
	Explained  float64          `json:"explained"` // intercept plus all attributions: what the fit says of the same
	Intercept  float64          `json:"intercept"`
	Nonzero    int              `json:"nonzero"`
	For        []shownComponent `json:"for"`
	Against    []shownComponent `json:"against"`
}

// shownComponent is one line of the table.
type shownComponent struct {
	Component   int     `json:"component"`
	Key         string  `json:"key"`
	Row         int     `json:"row"`
	Attribution float64 `json:"attribution"` // logits
	// SE is its standard error, absent where the fit had none. It covers what other rows would have changed, not the bias of
	// softened rows or of shrinking.
	SE *float64 `json:"standard_error,omitempty"`
}

func runShow(cmd *cobra.Command, o *showOptions) error {
	if o.example == "" {
		return fault.Usagef("--example is missing: the id of the example to show")
	}
	if o.top < 1 {
		return fault.Usagef("--top %d: want 1 or more", o.top)
	}
	report, err := show(o.run, o.example, o.top)
	if err != nil {
		return err
	}
	if o.json {
		return printJSON(o.out(cmd), report)
	}
	w := o.out(cmd)
	fmt.Fprintf(w, "example %s: %s, predicted %s, margin %+.3f\n", report.Example, report.LabelName, report.Predicted, report.Margin)
	fmt.Fprintf(w, "the attributions add up to %+.3f with nothing ablated (intercept %+.3f), %d of them are not zero\n\n", report.Explained, report.Intercept, report.Nonzero)
	for _, side := range []struct {
		title string
		list  []shownComponent
	}{{"for", report.For}, {"against", report.Against}} {
		var rows [][]string
		for _, c := range side.list {
			value := fmt.Sprintf("%+.4f", c.Attribution)
			if c.SE != nil {
				value += fmt.Sprintf(" ± %.4f", *c.SE)
			}
			rows = append(rows, []string{c.Key, fmt.Sprint(c.Row), value})
		}
		if len(rows) == 0 {
			fmt.Fprintf(w, "no component %s it\n\n", side.title)
			continue
		}
		if err := table(w, side.title+" | row | logits", rows); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	return nil
}

// show collects one example's largest attributions.
func show(run, id string, top int) (*showReport, error) {
	m, err := store.ReadManifest(run)
	if err != nil {
		return nil, err
	}
	at, err := study.FindExample(&m, id)
	if err != nil {
		return nil, err
	}
	a, err := study.OpenAttributions(run, &m)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	theta := make([]float32, a.NComponents)
	if err := a.Row(at, theta); err != nil {
		return nil, err
	}
	margins, err := store.ReadFloat32(run, store.BaseMarginsName, m.NExamples())
	if err != nil {
		return nil, err
	}
	predictions, err := study.IntactPredictions(run, &m)
	if err != nil {
		return nil, err
	}
	r := &showReport{Example: id, Label: m.Labels[at], LabelName: study.ClassName(&m, m.Labels[at]), Prediction: int(predictions[at]), Predicted: study.ClassName(&m, int(predictions[at])),
		Margin: float64(margins[at]), Intercept: float64(a.Intercepts[at]), Explained: float64(a.Intercepts[at]),
		For: []shownComponent{}, Against: []shownComponent{}}
	order := make([]int, len(theta))
	for c, v := range theta {
		order[c] = c
		r.Explained += float64(v)
		if v != 0 {
			r.Nonzero++
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case theta[a] > theta[b]:
			return -1
		case theta[a] < theta[b]:
			return 1
		}
		return 0
	})
	se, err := a.Errors(at)
	if err != nil {
		return nil, err
	}
	groups := modelGroups(&m)
	shown := func(c int) shownComponent {
		key, row := study.Locate(groups, c)
		s := shownComponent{Component: c, Key: key, Row: row, Attribution: float64(theta[c])}
		if se != nil {
			v := float64(se[c])
			s.SE = &v
		}
		return s
	}
	for i := range min(top, len(order)) {
		if c := order[i]; theta[c] > 0 {
			r.For = append(r.For, shown(c))
		}
		if c := order[len(order)-1-i]; theta[c] < 0 {
			r.Against = append(r.Against, shown(c))
		}
	}
	return r, nil
}

// modelGroups are the manifest's component groups.
func modelGroups(m *store.Manifest) []models.Group {
	groups := make([]models.Group, len(m.Groups))
	for i, g := range m.Groups {
		groups[i] = models.Group(g)
	}
	return groups
}
