package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"coar/internal/kernel"
)

// The demo goes through every command on both embedded networks. Its attributions predict fresh ablations of both, and
// it mends at least one mistake.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: the demo measures about 30,000 margins")
	}
	if os.Getenv(kernel.EnvISA) == "portable" {
		t.Skip("COAR_ISA=portable: at a hundred margins a second the demo takes the better part of an hour")
	}
	dir := t.TempDir()
	cmd := exec.Command("coar", "demo", dir, "--json", "--quiet")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var report struct {
		Networks []struct {
			Name     string `json:"name"`
			Evaluate struct {
				Plain *struct {
					Rows          float64 `json:"rows"`
					ForwardPasses float64 `json:"forward_passes"`
				} `json:"plain"`
				Fractions []struct {
					Correlation struct {
						Mean float64 `json:"mean"`
						Low  float64 `json:"low"`
					} `json:"correlation"`
				} `json:"fractions"`
			} `json:"evaluate"`
			Edit *struct {
				Found   bool `json:"found"`
				Targets []struct {
					MarginBefore float64 `json:"margin_before"`
					MarginAfter  float64 `json:"margin_after"`
				} `json:"targets"`
			} `json:"edit"`
		} `json:"networks"`
	}
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if len(report.Networks) != 2 {
		t.Fatalf("%d networks, want 2", len(report.Networks))
	}
	edits := 0
	for _, n := range report.Networks {
		if len(n.Evaluate.Fractions) == 0 {
			t.Fatalf("%s was not evaluated", n.Name)
		}
		c := n.Evaluate.Fractions[0].Correlation
		t.Logf("%s: correlation %.3f, from %.3f on; edit: %+v", n.Name, c.Mean, c.Low, n.Edit)
		if c.Mean <= 0.5 {
			t.Errorf("%s: correlation %.3f, want more than 0.5", n.Name, c.Mean)
		}
		if n.Edit != nil && n.Edit.Found {
			edits++
			if e := n.Edit.Targets[0]; e.MarginBefore >= 0 || e.MarginAfter <= 0 {
				t.Errorf("%s: the edit takes the margin from %v to %v", n.Name, e.MarginBefore, e.MarginAfter)
			}
		}
		for _, file := range []string{"run.json", "attributions.npy", "attributions_se.npy", "evaluation/scatter.png", "evaluation/correlation.png", "evaluation/cost.png"} {
			if _, err := os.Stat(filepath.Join(dir, n.Name, filepath.FromSlash(file))); err != nil {
				t.Error(err)
			}
		}
		if p := n.Evaluate.Plain; p == nil || p.Rows < 2*p.ForwardPasses {
			t.Errorf("%s: gradients saved %+v", n.Name, p)
		}
	}
	if edits == 0 {
		t.Error("no mistake was mended")
	}
}
