// Package internal_test holds the import rules of ARCHITECTURE.md.
package internal_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "coar/"

// pkg is what go list says of a package.
type pkg struct {
	ImportPath string
	Imports    []string // without those of its tests
}

// listPackages runs go list over the whole module.
func listPackages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal("go list:", err)
	}
	var pkgs []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

// readTable returns the table of ARCHITECTURE.md: for each package directly under internal, which others it may import.
func readTable(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	table := map[string][]string{}
	var names []string
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		name, ok := strings.CutPrefix(strings.Trim(cells[0], " `"), "internal/")
		if !ok || len(cells) != 3 {
			continue
		}
		var may []string
		switch cell := strings.TrimSpace(cells[2]); {
		case cell == "-":
		case strings.HasPrefix(cell, "all of the above"):
			_, but, _ := strings.Cut(cell, " but ")
			may = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == but })
		default:
			may = strings.Split(cell, ", ")
		}
		table[name] = may
		names = append(names, name)
	}
	if len(table) == 0 {
		t.Fatal("ARCHITECTURE.md has no table of packages")
	}
	return table
}

// owner is the package directly under internal that path is or belongs to; false for packages outside internal.
func owner(path string) (string, bool) {
	rest, ok := strings.CutPrefix(path, module+"internal/")
	name, _, _ := strings.Cut(rest, "/")
	return name, ok
}

func TestImportsFollowTheTable(t *testing.T) {
	table := readTable(t)
	seen := map[string]bool{}
	for _, p := range listPackages(t) {
		from, inside := owner(p.ImportPath)
		seen[from] = true
		for _, imp := range p.Imports {
			to, ours := owner(imp)
			switch {
			case strings.HasPrefix(imp, module+"cmd/"):
				t.Errorf("%s imports %s: nothing imports a command", p.ImportPath, imp)
			case !ours || from == to:
			case imp != module+"internal/"+to:
				t.Errorf("%s imports %s, which is only for %s", p.ImportPath, imp, to)
			case inside && to != "fault" && !slices.Contains(table[from], to):
				t.Errorf("%s imports %s, which ARCHITECTURE.md does not allow", p.ImportPath, imp)
			}
		}
		if _, listed := table[from]; inside && !listed {
			t.Errorf("%s is not in the table of ARCHITECTURE.md", p.ImportPath)
		}
	}
	for name := range table {
		if !seen[name] {
			t.Errorf("ARCHITECTURE.md lists internal/%s, which does not exist", name)
		}
	}
}

// The table itself stays within these rules, whatever else it comes to allow.
func TestTableKeepsDataFlowingOneWay(t *testing.T) {
	flow := []string{"fault", "npy", "checkpoint", "dataset", "kernel", "nn", "models", "margin", "ablate", "roofline", "store", "regress", "gradient",
		"evaluate", "edit", "report", "demo", "study"}
	table := readTable(t)
	for name, may := range table {
		at := slices.Index(flow, name)
		if at < 0 {
			t.Errorf("internal/%s has no place in the flow of data", name)
			continue
		}
		for _, m := range may {
			if i := slices.Index(flow, m); i < 0 || i >= at {
				t.Errorf("ARCHITECTURE.md lets %s import %s, against the flow of data", name, m)
			}
			if m == "demo" || m == "study" {
				t.Errorf("ARCHITECTURE.md lets %s import %s; only commands may", name, m)
			}
		}
	}
	for _, alone := range []string{"checkpoint", "margin", "regress", "gradient", "evaluate", "edit", "report", "demo"} {
		if len(table[alone]) > 0 {
			t.Errorf("ARCHITECTURE.md lets %s import %v; it should import nothing of ours but fault", alone, table[alone])
		}
	}
}

func TestOnlyNNKnowsGorgonia(t *testing.T) {
	for _, p := range listPackages(t) {
		for _, imp := range p.Imports {
			if strings.HasPrefix(imp, "gorgonia.org/") && p.ImportPath != module+"internal/nn" {
				t.Errorf("%s imports %s; graphs are built by internal/nn alone", p.ImportPath, imp)
			}
		}
	}
}
