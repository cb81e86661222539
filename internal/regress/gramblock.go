package regress

import "math/bits"

const (
	gramTile  = 16  // columns on a side of one block of the Gram matrix
	gramWords = 128 // words of each column that a block works on at a time: 2·16·128 words are 32 KiB
)

// gramBlock counts, for every pair of a column of a and a column of b, the bits set in both, and adds to counts.
//
// Shape: a and b hold gramTile columns of stride words each, of which [first, last) are counted; counts [gramTile][gramTile].
// nA and nB say how many of the columns exist. This portable loop is the specification of any faster one.
func gramBlock(counts *[gramTile * gramTile]int, a, b []uint64, stride, first, last, nA, nB int) {
	for from := first; from < last; from += gramWords {
		to := min(from+gramWords, last)
		for i := 0; i < nA; i += 2 {
			x0 := a[i*stride+from : i*stride+to]
			x1 := x0
			if i+1 < nA {
				x1 = a[(i+1)*stride+from : (i+1)*stride+to]
			}
			for j := 0; j < nB; j += 2 {
				y0 := b[j*stride+from : j*stride+to]
				y1 := y0
				if j+1 < nB {
					y1 = b[(j+1)*stride+from : (j+1)*stride+to]
				}
				n00, n01, n10, n11 := countPairs(x0, x1, y0, y1)
				counts[i*gramTile+j] += n00
				if j+1 < nB {
					counts[i*gramTile+j+1] += n01
				}
				if i+1 < nA {
					counts[(i+1)*gramTile+j] += n10
					if j+1 < nB {
						counts[(i+1)*gramTile+j+1] += n11
					}
				}
			}
		}
	}
}

// countPairs counts the bits common to each x and each y; all four have one length.
func countPairs(x0, x1, y0, y1 []uint64) (n00, n01, n10, n11 int) {
	x1, y0, y1 = x1[:len(x0)], y0[:len(x0)], y1[:len(x0)]
	for w, u0 := range x0 {
		u1, v0, v1 := x1[w], y0[w], y1[w]
		n00 += bits.OnesCount64(u0 & v0)
		n01 += bits.OnesCount64(u0 & v1)
		n10 += bits.OnesCount64(u1 & v0)
		n11 += bits.OnesCount64(u1 & v1)
	}
	return n00, n01, n10, n11
}
