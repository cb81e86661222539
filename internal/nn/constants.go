package nn

import "math"

// constants says which channels of a map hold one value at every position under the current keep values: those whose
// filter is ablated. Who writes the map fills it, who reads the map may leave those channels out of its sums.
type constants struct {
	is    []bool
	value []float32
	list  []int // the channels, ascending
}

func newConstants(channels int) *constants {
	return &constants{is: make([]bool, channels), value: make([]float32, channels)}
}

func (k *constants) clear() {
	for _, c := range k.list {
		k.is[c] = false
	}
	k.list = k.list[:0]
}

// set notes that channel c is v everywhere. Channels come in ascending order.
func (k *constants) set(c int, v float32) {
	k.is[c], k.value[c] = true, v
	k.list = append(k.list, c)
}

// few says that leaving the constant channels out would not pay.
func (k *constants) few() bool { return k == nil || len(k.list) < 3 }

// dot is the sum of the constant channels, each times its weight in w.
func (k *constants) dot(w []float32) float32 {
	var sum float32
	for _, c := range k.list {
		sum += w[c] * k.value[c]
	}
	return sum
}

// of applies the activation to one number.
func (a Activation) of(x float32) float32 {
	switch a {
	case ReLU:
		return max(x, 0)
	case GELU:
		return float32(float64(x) / 2 * math.Erfc(-float64(x)/math.Sqrt2))
	}
	return x
}
