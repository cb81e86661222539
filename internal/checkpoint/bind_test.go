package checkpoint

import (
	"bytes"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"coar/internal/fault"
)

// saved writes tensors and opens them again.
func saved(t *testing.T, tensors ...Tensor) *File {
	t.Helper()
	var file bytes.Buffer
	if err := WriteSafetensors(&file, tensors); err != nil {
		t.Fatal(err)
	}
	return open(t, write(t, "w.safetensors", file.Bytes()))
}

// counting is a tensor of n elements from, from+1, …
func counting(key string, from float32, shape ...int) Tensor {
	n, _ := checkedLen(shape)
	data := make([]float32, n)
	for i := range data {
		data[i] = from + float32(i)
	}
	return Tensor{key, shape, data}
}

func TestBindReturnsWhatWasSaved(t *testing.T) {
	f := saved(t, counting("module.conv.weight", 1, 2, 3), counting("fc.bias", 7, 4), counting("scalar", 9))
	got, err := f.Bind([]Want{{Key: "fc.bias", Shape: []int{4}}, {Key: "scalar", Shape: []int{}}, {Key: "conv.weight", Shape: []int{2, 3}},
		{Key: "extra.bias", Shape: []int{4}, Optional: true}})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 || !slices.Equal(got["conv.weight"], []float32{1, 2, 3, 4, 5, 6}) || !slices.Equal(got["fc.bias"], []float32{7, 8, 9, 10}) || !slices.Equal(got["scalar"], []float32{9}) {
		t.Errorf("%v", got)
	}
}

func TestBindIgnoresBatchCountsWhetherThereOrNot(t *testing.T) {
	wants := []Want{{Key: "block0.conv.weight", Aliases: []string{"layer.0.conv.weight"}, Shape: []int{3, 2, 2, 2}}}
	for _, name := range []string{"weight", "bias", "running_mean", "running_var"} {
		wants = append(wants, Want{Key: "block0.bn." + name, Aliases: []string{"layer.0.bn." + name}, Shape: []int{3}})
	}
	wants = append(wants, Want{Key: "head.weight", Shape: []int{2, 3}}, Want{Key: "head.bias", Shape: []int{2}})
	for _, name := range []string{"state_zip.pt", "state_legacy.pth", "wrapped_zip.pt", "wrapped_legacy.th", "module_zip.pt", "module_legacy.pt", "deflated_zip.pt"} {
		f := open(t, filepath.Join("testdata", name)) // each holds block0.bn.num_batches_tracked
		if got, err := f.Bind(wants); err != nil || len(got) != len(wants) {
			t.Errorf("%s: %d tensors, %v", name, len(got), err)
		}
	}
	f := saved(t, counting("num_batches_tracked", 0, 1)) // of floats: it is something else
	if _, err := f.Bind(nil); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a num_batches_tracked of floats was ignored: %v", err)
	}
}

func TestBindTakesAnAliasForItsTensor(t *testing.T) {
	f := saved(t, counting("mlp.linear_1.weight", 1, 2))
	got, err := f.Bind([]Want{{Key: "mlp.0.weight", Shape: []int{2}, Aliases: []string{"mlp.linear_1.weight"}}})
	if err != nil || !slices.Equal(got["mlp.0.weight"], []float32{1, 2}) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestBindAcceptsOnlyIdenticalAliases(t *testing.T) {
	want := []Want{{Key: "layer.0.w", Shape: []int{2}, Aliases: []string{"block0.w"}}}
	if _, err := saved(t, counting("layer.0.w", 1, 2), counting("block0.w", 1, 2)).Bind(want); err != nil {
		t.Error(err)
	}
	for _, other := range []Tensor{counting("block0.w", 2, 2), {"block0.w", []int{2}, []float32{1, math.Nextafter32(2, 3)}}} {
		_, err := saved(t, counting("layer.0.w", 1, 2), other).Bind(want)
		if fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "1 aliases that differ (block0.w from layer.0.w)") {
			t.Errorf("%v", err)
		}
	}
	_, err := saved(t, counting("layer.0.w", 1, 2), counting("block0.w", 1, 1, 2)).Bind(want)
	if fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "1 misshapen (block0.w is [1, 2], expected [2])") {
		t.Errorf("%v", err)
	}
	_, err = saved(t, counting("layer.0.w", 1, 2), Tensor{"block0.w", []int{2}, []float32{1, float32(math.NaN())}}).Bind(want)
	checkMalformed(t, err, "w.safetensors", "tensor block0.w: element 1 is NaN")
}

func TestBindNamesEverythingThatIsWrongInOneError(t *testing.T) {
	f := saved(t, counting("b", 0, 2, 2), counting("x", 0, 1), counting("fc.weight", 0, 10, 4), counting("right", 0, 1))
	_, err := f.Bind([]Want{{Key: "right", Shape: []int{1}}, {Key: "c", Shape: []int{1}}, {Key: "a", Shape: []int{1}, Aliases: []string{"d"}},
		{Key: "fc.weight", Shape: []int{100, 4}}, {Key: "b", Shape: []int{4}}, {Key: "o", Shape: []int{1}, Optional: true}})
	want := f.Path() + " does not hold the tensors that this architecture expects: 2 missing (a, c), 1 unexpected (x), " +
		"2 misshapen (b is [2, 2], expected [4]; fc.weight is [10, 4], expected [100, 4])"
	if fault.KindOf(err) != fault.Conflict || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
}

func TestBindShowsTenKeysOfManyAndTheirNumber(t *testing.T) {
	var tensors []Tensor
	var wants []Want
	for i := range 30 {
		tensors = append(tensors, counting(fmt.Sprintf("there.%02d", i), 0, 1))
		wants = append(wants, Want{Key: fmt.Sprintf("absent.%02d", i), Shape: []int{1}})
	}
	_, err := saved(t, tensors...).Bind(wants)
	for _, part := range []string{"30 missing (absent.00, ", "absent.09, and 20 more)", "30 unexpected (there.00, ", "there.09, and 20 more)"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v does not say %q", err, part)
		}
	}
}

func TestUnknownKeysAndIntegersAreRefused(t *testing.T) {
	f := open(t, filepath.Join("testdata", "types_zip.pt"))
	if _, err := f.Float32("absent"); fault.KindOf(err) != fault.Conflict {
		t.Errorf("%v", err)
	}
	_, err := f.Float32("i64")
	checkMalformed(t, err, "types_zip.pt", "tensor i64 has elements of type I64 where floats are expected")
	if _, ok := f.Shape("absent"); ok {
		t.Error("an absent tensor has a shape")
	}
	if _, ok := f.DType("absent"); ok {
		t.Error("an absent tensor has a type")
	}
}
