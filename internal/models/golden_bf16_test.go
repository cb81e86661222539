package models

import (
	"math"
	"testing"

	"coar/internal/kernel"
)

// Margins in bfloat16 stay near PyTorch's in float32: within a share of what ablations move them by.
func TestBF16MarginsStayNearPyTorch(t *testing.T) {
	for _, c := range []struct {
		name  string
		share float64 // of the standard deviation of all margins
		fast  bool    // with portable kernels too
	}{{"resnet20", 0.03, false}, {"mini_resnet_32", 0.03, true}, {"resnet18_64", 0.03, false}, {"resnet50_64", 0.03, false}, {"vit_small", 0.03, true}, {"vit_28", 0.03, false}} {
		g := readGolden(t, c.name)
		spread := deviation(g.Margins)
		for _, set := range kernel.AvailableBF16() {
			if testing.Short() || set.Name == "portable" && !c.fast {
				continue // minutes
			}
			worst := checkGolden(t, set, true, g) / spread
			t.Logf("%s, %s: largest difference %.2g standard deviations", c.name, set.Name, worst)
			if !(worst <= c.share) {
				t.Errorf("%s, %s: a margin differs from PyTorch's by %g standard deviations", c.name, set.Name, worst)
			}
		}
	}
}

// deviation is the standard deviation over all entries.
func deviation(rows [][]float64) float64 {
	n, sum, squares := 0.0, 0.0, 0.0
	for _, row := range rows {
		for _, v := range row {
			n++
			sum += v
			squares += v * v
		}
	}
	return math.Sqrt(squares/n - sum/n*sum/n)
}
