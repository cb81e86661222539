package store

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// testManifest describes a small run: 5 components, 3 examples.
func testManifest(nRows int) Manifest {
	return Manifest{
		Program:    "coar test",
		Arch:       "resnet20",
		Weights:    Weights{SHA256: strings.Repeat("ab", 32), Path: "/models/w.pth"},
		Data:       Data{SHA256: strings.Repeat("01", 32), Spec: "cifar10:/data"},
		ExampleIDs: []string{"0", "<é>", "cat/1.png"},
		Positions:  []int{0, 7, 9},
		Labels:     []int{1, 0, 1},
		Classes:    []string{"cat", "dog"},
		Preprocessing: Preprocessing{Resize: 256, Crop: 224, Interpolation: "bilinear",
			Mean: []float64{0.485, 0.456, 0.406}, Std: []float64{0.229, 0.224, 0.225}},
		Groups:         []Group{{"conv1.weight", 2}, {"conv2.weight", 3}},
		Fraction:       0.1,
		Seed:           1<<63 + 1,
		Masks:          nRows,
		Output:         "margin",
		Split:          "test",
		DType:          "float16",
		Precision:      "f32",
		InstructionSet: "avx2",
	}
}

// testRow is what row of a set would be measured as: a function of the row alone.
func testRow(row, p, n int) (keep []byte, margins []float32) {
	r := rand.New(rand.NewPCG(uint64(row), 5))
	keep, margins = make([]byte, p), make([]float32, n)
	for i := range keep {
		keep[i] = byte(r.IntN(2))
	}
	for i := range margins {
		margins[i] = float32(r.NormFloat64())
	}
	return keep, margins
}

// measure commits the rows that are missing, two at a time, later groups first, and calls done after each commit.
func measure(rows *Rows, done func(row int)) error {
	const group = 2
	completed := rows.Completed()
	for first := (len(completed) - 1) / group * group; first >= 0; first -= group {
		for row := first; row < min(first+group, len(completed)); {
			n := 0
			var keep []byte
			var margins []float32
			for row+n < min(first+group, len(completed)) && !completed[row+n] {
				k, y := testRow(row+n, rows.NComponents(), rows.NExamples())
				keep, margins = append(keep, k...), append(margins, y...)
				n++
			}
			if n > 0 {
				if err := rows.Commit(row, keep, margins); err != nil {
					return err
				}
				for i := range n {
					done(row + i)
				}
			}
			row += n + 1
		}
	}
	return nil
}

// conduct does a whole study in dir, taking up whatever is there: two lots of rows, evaluation rows in two lots, results.
// done is told which rows of which set are completed for good.
func conduct(fsys fileSystem, dir string, done func(set string, row int)) error {
	for i, nRows := range []int{5, 11} {
		if err := conductAblate(fsys, dir, nRows, []int{2, 5}[i], done); err != nil {
			return err
		}
	}
	run, err := open(fsys, dir)
	if err != nil {
		return err
	}
	defer run.Close()
	for _, nRows := range []int{3, 4} {
		rows, err := run.EvaluationRows(0.05, 1, nRows)
		if err == nil {
			err = measure(rows, func(row int) { done("evaluation", row) })
		}
		if err == nil {
			err = run.Seal(rows.Files()...)
		}
		if err != nil {
			return err
		}
	}
	for _, theta := range []float32{1, 2} { // fitted twice
		if err := run.WriteFloat32(AttributionsName, slices.Repeat([]float32{theta}, 15), 3, 5); err != nil {
			return err
		}
		if err := run.Seal(AttributionsName); err != nil {
			return err
		}
	}
	if err := writeJSON(run, "edits/first/edit.json", map[string]int{"k": 3}); err != nil {
		return err
	}
	return run.Seal("edits/first/edit.json")
}

// testSums is what an example of a lot would be measured as: a function of both alone.
func testSums(lot GradientLot, example, p int) (sum, sumSq, keptSum, margins []float32) {
	r := rand.New(rand.NewPCG(uint64(lot.First), uint64(example)))
	draw := func(n int) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(r.NormFloat64())
		}
		return v
	}
	return draw(p), draw(p), draw(p), draw(lot.Rows)
}

// testDescription is what all examples of a lot share.
func testDescription(lot GradientLot) (LotRows, error) {
	return LotRows{[]int32{0, 1, int32(lot.Rows), 1, 1}, []int32{1, 0, 0, 1, 1}, []float32{0, 0.25, 0.5, 0.75, 1}}, nil
}

// holdOnce holds one row of an example, unless that was done before.
func holdOnce(g *Gradients, example int) error {
	h := g.Held(example)
	if h == nil {
		return g.Hold(example, testHeld(1))
	}
	if !reflect.DeepEqual(h, testHeld(1)) {
		return fmt.Errorf("example %d holds %+v", example, h)
	}
	return nil
}

// measureGradients commits the examples that are missing, one at a time, and calls done after each commit.
func measureGradients(run *Run, done func(set string, example int)) error {
	lots, err := run.Gradients(testDescription)
	if err != nil {
		return err
	}
	var names []string
	for i, g := range lots {
		for example, completed := range g.Completed() {
			if completed {
				continue
			}
			if example == 1 {
				if err := holdOnce(g, example); err != nil {
					return err
				}
			}
			sum, sumSq, keptSum, margins := testSums(g.Lot, example, 5)
			if err := g.Commit(example, sum, sumSq, keptSum, margins); err != nil {
				return err
			}
			done(fmt.Sprint("gradients ", i), example)
		}
		names = append(names, g.Files()...)
	}
	return run.Seal(names...)
}

// conductAblate is the part of a study that one coar ablate does.
func conductAblate(fsys fileSystem, dir string, nRows, nGradients int, done func(set string, row int)) error {
	want := testManifest(nRows)
	want.Gradients = []int{nGradients}
	run, err := prepare(fsys, dir, want, false)
	if err != nil {
		return err
	}
	defer run.Close()
	if err := run.WriteFloat32(BaseMarginsName, []float32{1, -2, 3}, 3); err != nil {
		return err
	}
	rows, err := run.Rows()
	if err == nil {
		err = run.Seal(run.Files()...) // rows that are committed later break this seal
	}
	if err == nil {
		err = measure(rows, func(row int) { done("train", row) })
	}
	if err == nil {
		err = measureGradients(run, done)
	}
	if err == nil {
		err = run.Seal(append(run.Files(), BaseMarginsName)...)
	}
	return err
}

// conducted is the file system after a whole study.
func conducted(t *testing.T) *powerFS {
	t.Helper()
	fsys := newPowerFS()
	if err := conduct(fsys, "/run", func(string, int) {}); err != nil {
		t.Fatal(err)
	}
	return fsys
}

// difference names the first file in which two directories differ.
func difference(have, want map[string]string) string {
	for name, b := range want {
		if h, ok := have[name]; !ok {
			return name + " is missing"
		} else if h != b {
			return fmt.Sprintf("%s is\n%q, want\n%q", name, h, b)
		}
	}
	for name := range have {
		if _, ok := want[name]; !ok {
			return name + " is too much"
		}
	}
	return ""
}
