package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"coar/internal/fault"
)

// seal puts a digest on JSON text, as an attacker could.
func sealJSON(t testing.TB, m Manifest) []byte {
	t.Helper()
	b, err := encodeRecord(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func validManifest() Manifest {
	m := testManifest(4)
	m.Format = formatVersion
	return m
}

func TestManifestReadsBack(t *testing.T) {
	want := validManifest()
	want.InstructionSetChanges = []InstructionSetChange{{2, "avx512"}}
	want.Include = []string{"layer*.weight"}
	b := sealJSON(t, want)
	have, err := parseManifest(b)
	if err != nil || !reflect.DeepEqual(have, want) {
		t.Fatalf("%+v\nread back as %+v: %v", want, have, err)
	}
	var plain map[string]any
	if err := json.Unmarshal(b, &plain); err != nil || plain["fraction"] != 0.1 {
		t.Errorf("not plain JSON: %v", err)
	}
	if lines := bytes.Count(b, []byte("\n")); lines != reflect.TypeFor[Manifest]().NumField()+3 {
		t.Errorf("%d lines, want one for each field, the digest and the braces:\n%s", lines, b)
	}
}

// Any changed bit of a manifest is noticed without any other file.
func TestManifestBitFlips(t *testing.T) {
	b := sealJSON(t, validManifest())
	for i := range b {
		for bit := range 8 {
			b[i] ^= 1 << bit
			if _, err := parseManifest(b); err == nil {
				t.Errorf("byte %d, bit %d: not noticed", i, bit)
			}
			b[i] ^= 1 << bit
		}
	}
	for n := range b {
		if _, err := parseManifest(b[:n]); err == nil {
			t.Errorf("cut to %d bytes: not noticed", n)
		}
	}
	if _, err := parseManifest(append(b, '\n')); err == nil {
		t.Error("a byte more: not noticed")
	}
}

func TestHostileManifests(t *testing.T) {
	long := strings.Repeat("x", maxText+1)
	for name, spoil := range map[string]func(m *Manifest){
		"another format":             func(m *Manifest) { m.Format = 2 },
		"no rows in a lot":           func(m *Manifest) { m.Gradients = []int{5, 0} },
		"a negative lot":             func(m *Manifest) { m.Gradients = []int{-1} },
		"lots beyond reason":         func(m *Manifest) { m.Gradients = []int{MaxRows, 1} },
		"too many lots":              func(m *Manifest) { m.Gradients = slices.Repeat([]int{1}, maxLots+1) },
		"gradient rows' digest":      func(m *Manifest) { m.SoftSHA = "0" },
		"no program":                 func(m *Manifest) { m.Program = "" },
		"no architecture":            func(m *Manifest) { m.Arch = "" },
		"negative heads":             func(m *Manifest) { m.Heads = -1 },
		"weights' digest short":      func(m *Manifest) { m.Weights.SHA256 = "ab" },
		"data's digest upper case":   func(m *Manifest) { m.Data.SHA256 = strings.Repeat("AB", 32) },
		"masks' digest not hex":      func(m *Manifest) { m.MasksSHA = strings.Repeat("xy", 32) },
		"path too long":              func(m *Manifest) { m.Weights.Path = long },
		"no examples":                func(m *Manifest) { m.ExampleIDs, m.Positions, m.Labels = nil, nil, nil },
		"labels short":               func(m *Manifest) { m.Labels = m.Labels[:2] },
		"positions long":             func(m *Manifest) { m.Positions = append(m.Positions, 1) },
		"ids repeat":                 func(m *Manifest) { m.ExampleIDs = []string{"a", "b", "a"} },
		"id too long":                func(m *Manifest) { m.ExampleIDs = []string{"a", "b", long} },
		"negative position":          func(m *Manifest) { m.Positions = []int{0, 1, -1} },
		"negative label":             func(m *Manifest) { m.Labels = []int{0, 1, -1} },
		"label beyond the classes":   func(m *Manifest) { m.Labels = []int{0, 1, 2} },
		"no groups":                  func(m *Manifest) { m.Groups = nil },
		"group without key":          func(m *Manifest) { m.Groups = []Group{{"", 2}} },
		"group twice":                func(m *Manifest) { m.Groups = []Group{{"a", 2}, {"a", 2}} },
		"group of no rows":           func(m *Manifest) { m.Groups = []Group{{"a", 0}} },
		"group of negative rows":     func(m *Manifest) { m.Groups = []Group{{"a", 9}, {"b", -3}} },
		"components overflow":        func(m *Manifest) { m.Groups = []Group{{"a", maxCount}, {"b", maxCount}} },
		"fraction above 1":           func(m *Manifest) { m.Fraction = 1.5 },
		"fraction negative":          func(m *Manifest) { m.Fraction = -0.1 },
		"rows negative":              func(m *Manifest) { m.Masks = -1 },
		"rows huge":                  func(m *Manifest) { m.Masks = math.MaxInt },
		"split with a slash":         func(m *Manifest) { m.Split = "../test" },
		"split that base margins is": func(m *Manifest) { m.Split = "base" },
		"split empty":                func(m *Manifest) { m.Split = "" },
		"dtype unknown":              func(m *Manifest) { m.DType = "float64" },
		"means without deviations":   func(m *Manifest) { m.Preprocessing.Std = nil },
		"crop negative":              func(m *Manifest) { m.Preprocessing.Crop = -1 },
		"change beyond the rows":     func(m *Manifest) { m.InstructionSetChanges = []InstructionSetChange{{5, "avx512"}} },
		"change to nothing":          func(m *Manifest) { m.InstructionSetChanges = []InstructionSetChange{{1, ""}} },
	} {
		m := validManifest()
		spoil(&m)
		if _, err := parseManifest(sealJSON(t, m)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	m := validManifest()
	m.ExampleIDs[1] = "caf\xe9.png"
	if _, err := Create(t.TempDir(), m); fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), "UTF-8") {
		t.Errorf("an id that JSON cannot hold: %v", err)
	}
	type extended struct {
		Manifest
		Extra int `json:"extra"`
	}
	b, err := encodeRecord(extended{validManifest(), 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseManifest(b); err == nil || !strings.Contains(err.Error(), "extra") {
		t.Errorf("an unknown field: %v", err)
	}
}

func TestConflicts(t *testing.T) {
	have := validManifest()
	for _, harmless := range []func(m *Manifest){
		func(m *Manifest) {},
		func(m *Manifest) {
			m.Program, m.Weights.Path, m.Data.Spec = "coar 2", "/elsewhere", "cifar10:/elsewhere"
		},
		func(m *Manifest) { m.Masks = 1000 },
		func(m *Manifest) { m.Include = []string{"*"} },
		func(m *Manifest) { m.InstructionSet = "avx512" },
		func(m *Manifest) { m.Data.Layout = "nhwc" },
	} {
		want := validManifest()
		harmless(&want)
		if err := Conflicts(have, want); err != nil {
			t.Errorf("harmless: %v", err)
		}
	}
	for words, change := range map[string]func(m *Manifest){
		`arch is "resnet20", this command says "vit_b_16"`:   func(m *Manifest) { m.Arch = "vit_b_16" },
		`heads is 0, this command says 3`:                    func(m *Manifest) { m.Heads = 3 },
		`weights.sha256 is "abab`:                            func(m *Manifest) { m.Weights.SHA256 = strings.Repeat("cd", 32) },
		`data.sha256 is "0101`:                               func(m *Manifest) { m.Data.SHA256 = strings.Repeat("cd", 32) },
		`fraction is 0.1, this command says 0.05`:            func(m *Manifest) { m.Fraction = 0.05 },
		`seed is 9223372036854775809, this command says 1`:   func(m *Manifest) { m.Seed = 1 },
		`masks_file_sha256 is empty, this command says "cd`:  func(m *Manifest) { m.MasksSHA = strings.Repeat("cd", 32) },
		`output is "margin", this command says "logit:3"`:    func(m *Manifest) { m.Output = "logit:3" },
		`split is "test", this command says "train"`:         func(m *Manifest) { m.Split = "train" },
		`dtype is "float16", this command says "float32"`:    func(m *Manifest) { m.DType = "float32" },
		`precision is "f32", this command says "bf16"`:       func(m *Manifest) { m.Precision = "bf16" },
		`preprocessing.resize is 256, this command says 232`: func(m *Manifest) { m.Preprocessing.Resize = 232 },
		`preprocessing.mean[1] is 0.456, this command says 0.5`: func(m *Manifest) {
			m.Preprocessing.Mean = []float64{0.485, 0.5, 0.406}
		},
		`the number of example_ids is 3, this command says 1`: func(m *Manifest) { m.ExampleIDs = m.ExampleIDs[:1] },
		`example_ids[1] is "<é>", this command says "2"`:      func(m *Manifest) { m.ExampleIDs = []string{"0", "2", "cat/1.png"} },
		`positions[2] is 9, this command says 8`:              func(m *Manifest) { m.Positions = []int{0, 7, 8} },
		`labels[0] is 1, this command says 0`:                 func(m *Manifest) { m.Labels = []int{0, 0, 1} },
		`classes[1] is "dog", this command says "bird"`:       func(m *Manifest) { m.Classes = []string{"cat", "bird"} },
		`groups[1] is {conv2.weight 3}, this command says {conv2.weight 4}`: func(m *Manifest) {
			m.Groups = []Group{{"conv1.weight", 2}, {"conv2.weight", 4}}
		},
	} {
		want := validManifest()
		change(&want)
		err := Conflicts(have, want)
		if fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), words) {
			t.Errorf("%v, want %s", err, words)
		}
	}
}

// Whatever the text, with or without a good digest, reading a manifest does not panic, and what is accepted is valid and
// reads back the same.
func FuzzManifest(f *testing.F) {
	good := sealJSON(f, validManifest())
	f.Add(good, false)
	f.Add(good[:len(good)-selfLen], true)
	f.Add([]byte("{}"), true)
	f.Fuzz(func(t *testing.T, b []byte, digest bool) {
		if digest {
			b = appendDigest(b)
		}
		m, err := parseManifest(b)
		if err != nil {
			return
		}
		if m.NComponents() <= 0 || m.NExamples() <= 0 || m.Masks < 0 {
			t.Fatalf("accepted %+v", m)
		}
		again, err := parseManifest(sealJSON(t, m))
		if err != nil || !bytes.Equal(sealJSON(t, again), sealJSON(t, m)) {
			t.Fatalf("%+v read back as %+v: %v", m, again, err)
		}
	})
}

func ExampleConflicts() {
	have, want := testManifest(10), testManifest(10)
	want.Fraction = 0.05
	fmt.Println(Conflicts(have, want))
	// Output: run.json: fraction is 0.1, this command says 0.05; use another directory
}
