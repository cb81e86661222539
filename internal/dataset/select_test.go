package dataset

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"coar/internal/fault"
)

func TestSelect(t *testing.T) {
	folder := t.TempDir()
	write(t, batch(3, 5, 3, 0, 9, 3), folder, "test_batch.bin")
	write(t, []byte(strings.Join([]string{"air plane", "4", "b", "cat", "d", "e", "f", "g", "h", "i"}, "\n")), folder, "batches.meta.txt")
	s := mustOpen(t, "cifar10:"+folder, Options{})
	list := func(text string) string { return "file:" + write(t, []byte(text), t.TempDir(), "ids.txt") }
	even := func(positions []int) ([]bool, error) {
		var right []bool
		for _, i := range positions {
			right = append(right, i%2 == 0)
		}
		return right, nil
	}
	for sel, want := range map[string][]int{
		"all":                 {0, 1, 2, 3, 4, 5},
		"0":                   {0},
		"5,0-2,1":             {0, 1, 2, 5},
		"3-3":                 {3},
		"class:cat":           {0, 2, 5},
		"class:3":             {0, 2, 5},
		"class:air plane":     {3},
		"class:9":             {4},
		"every:4":             {0, 4},
		"every:100":           {0},
		"errors":              {1, 3, 5},
		"correct":             {0, 2, 4},
		list("4\r\n\n1\n4\n"): {1, 4},
	} {
		if have, err := Select(sel, s, even); err != nil || !slices.Equal(have, want) {
			t.Errorf("%s: %v, %v, want %v", sel, have, err, want)
		}
	}
	for _, sel := range []string{"", "-1", "1-", "2-1", "6", "0-6", "0-99999999999", "1.5", "+1", "0x1", "1, 2", "any", "ALL", "all:x",
		"every:0", "every:", "every:-3", "class:", "class:wolf", "class:-1", "class:7", "class:4", list("7\n"), list("01\n"), list("")} {
		_, err := Select(sel, s, even)
		checkFault(t, sel, err, fault.Usage)
	}
	_, err := Select("file:"+folder+"/none.txt", s, nil)
	checkFault(t, "no file", err, fault.Malformed, "none.txt")
	_, err = Select("errors", s, nil)
	checkFault(t, "no predictions", err, fault.Usage, "predictions")
	broken := errors.New("broken")
	if _, err := Select("correct", s, func([]int) ([]bool, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Error(err)
	}
}

// Predictions are asked for only where they are needed.
func TestSelectWithoutPredictions(t *testing.T) {
	s := mustOpen(t, "imagefolder:"+folderOf(t, map[string]string{"a/1.png": "rgb8.png", "b/x y.png": "rgb8.png"}), Options{})
	ids := write(t, []byte("b/x y.png\n"), t.TempDir(), "ids.txt")
	for sel, want := range map[string]string{"all": "[0 1]", "1": "[1]", "class:b": "[1]", "every:2": "[0]", "file:" + ids: "[1]"} {
		have, err := Select(sel, s, func([]int) ([]bool, error) {
			t.Errorf("%s: predictions asked for", sel)
			return nil, nil
		})
		if err != nil || fmt.Sprint(have) != want {
			t.Errorf("%s: %v, %v, want %s", sel, have, err, want)
		}
	}
}
