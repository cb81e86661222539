package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// Every bfloat16 value stays what it is; between two neighbours the nearer one wins, and in the middle the even one.
func TestRoundBF16IsNearestEven(t *testing.T) {
	for h := range uint32(0x7f80) {
		for _, sign := range []uint32{0, 0x8000} {
			low := h | sign
			if h < 0x80 { // below the normal range
				low = sign
			}
			even := low + h&1
			if h < 0x80 {
				even = sign
			}
			for _, c := range []struct{ rest, want uint32 }{{0, low}, {1, low}, {0x7fff, low}, {0x8000, even}, {0x8001, low + 1}, {0xffff, low + 1}} {
				if h < 0x80 {
					c.want = sign
				}
				x := math.Float32frombits((h|sign)<<16 | c.rest)
				if got := RoundBF16(x); uint32(got) != c.want {
					t.Fatalf("RoundBF16(%g = %08x) = %04x, want %04x", x, math.Float32bits(x), got, c.want)
				}
			}
		}
	}
}

func TestRoundBF16KeepsWhatIsNotFinite(t *testing.T) {
	for _, c := range []struct {
		x    uint32
		want uint16
	}{{0x7f800000, 0x7f80}, {0xff800000, 0xff80}, {0x7f800001, 0x7fc0}, {0xffffffff, 0xffff}, {0x7fa0ffff, 0x7fe0}, {0x7f7fffff, 0x7f80}} {
		if got := RoundBF16(math.Float32frombits(c.x)); got != c.want {
			t.Errorf("RoundBF16(%08x) = %04x, want %04x", c.x, got, c.want)
		}
	}
}

func TestCellHoldsEvenLowAndOddHigh(t *testing.T) {
	dst := make([]float32, 2)
	CellsOf(dst, []float32{1, -2.5}, []float32{3, 0.5})
	if got := fmt.Sprintf("%08x %08x", math.Float32bits(dst[0]), math.Float32bits(dst[1])); got != "40403f80 3f00c020" {
		t.Errorf("cells %s", got)
	}
	if even, odd := Halves(dst[1]); even != -2.5 || odd != 0.5 {
		t.Errorf("halves %g and %g", even, odd)
	}
	CellsOf(dst, []float32{1, -2.5}, nil)
	if got := fmt.Sprintf("%08x %08x", math.Float32bits(dst[0]), math.Float32bits(dst[1])); got != "00003f80 0000c020" {
		t.Errorf("cells without an odd channel %s", got)
	}
}

// bitPatterns draws float32 values of any kind: a third of arbitrary bits, a third of ordinary size, the rest special.
func bitPatterns(rng *rand.Rand, n int) []float32 {
	special := []uint32{0, 0x80000000, 1, 0x807fffff, 0x00800000, 0x7f800000, 0xff800000, 0x7f800001, 0xffc00000, 0x7f7fffff, 0x3f808000, 0x3f818000}
	x := make([]float32, n)
	for i := range x {
		switch rng.IntN(3) {
		case 0:
			x[i] = math.Float32frombits(rng.Uint32())
		case 1:
			x[i] = float32(rng.NormFloat64())
		case 2:
			x[i] = math.Float32frombits(special[rng.IntN(len(special))])
		}
	}
	return x
}

// channelPair draws n positions of both channels and their cells, at misaligned starts and with guards all around.
func channelPair(rng *rand.Rand, n int) (c *Cells, whole [3][]float32) {
	var s [3][]float32
	for i := range s {
		start := 1 + rng.IntN(20)
		whole[i] = bitPatterns(rng, start+n+2*Slack)
		s[i] = whole[i][start:]
	}
	return &Cells{Even: s[0], Odd: s[1], Cells: s[2], Cols: n}, whole
}

// sameButFor fails unless got is old in every element outside of [at, at+width).
func sameButFor(t *testing.T, set *Set, old, got []float32, at, width int) {
	t.Helper()
	for i := range got {
		if (i < at || i >= at+width) && math.Float32bits(got[i]) != math.Float32bits(old[i]) {
			t.Fatalf("%s: element %d beside the %d from %d was written", set.Name, i, width, at)
		}
	}
}

func clone(x []float32) []float32 { return append([]float32(nil), x...) }

func TestRoundCellsMatchesRoundBF16(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 10))
	for _, set := range AvailableBF16() {
		for n := range 70 {
			for absent := range 3 {
				c, whole := channelPair(rng, n)
				even, odd, old := c.Even, c.Odd, clone(whole[2])
				switch absent {
				case 1:
					odd, c.Odd = make([]float32, n), nil
				case 2:
					even, c.Even = make([]float32, n), nil
				}
				set.RoundCells(c)
				for j := range n {
					if got, want := math.Float32bits(c.Cells[j]), math.Float32bits(Cell(even[j], odd[j])); got != want {
						t.Fatalf("%s: cell %d of %d from %g and %g is %08x, want %08x", set.Name, j, n, even[j], odd[j], got, want)
					}
				}
				sameButFor(t, set, old, whole[2], len(old)-len(c.Cells), (n+set.Lanes-1)/set.Lanes*set.Lanes)
			}
		}
	}
}

func TestWidenCellsIsExact(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 11))
	for _, set := range AvailableBF16() {
		for n := range 70 {
			for absent := range 3 {
				c, whole := channelPair(rng, n)
				old, start := [2][]float32{clone(whole[0]), clone(whole[1])}, [2]int{len(whole[0]) - len(c.Even), len(whole[1]) - len(c.Odd)}
				width := [2]int{(n + set.Lanes - 1) / set.Lanes * set.Lanes, (n + set.Lanes - 1) / set.Lanes * set.Lanes}
				switch absent {
				case 1:
					c.Odd, width[1] = nil, 0
				case 2:
					c.Even, width[0] = nil, 0
				}
				set.WidenCells(c)
				for j := range n {
					low, high := Halves(c.Cells[j])
					for i, want := range []float32{low, high} {
						if got := whole[i][start[i]+j]; width[i] > 0 && math.Float32bits(got) != math.Float32bits(want) {
							t.Fatalf("%s: channel %d, element %d of %d is %g, want %g", set.Name, i, j, n, got, want)
						}
					}
				}
				for i := range 2 {
					sameButFor(t, set, old[i], whole[i], start[i], width[i])
				}
			}
		}
	}
}
