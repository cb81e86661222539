package regress

import (
	"context"
	"math"
	"slices"
	"testing"
)

func TestSplit(t *testing.T) {
	s := splitRows(1000, 0.1, 5)
	if len(s.held) != 100 || len(s.train) != 900 || !slices.IsSorted(s.held) || !slices.IsSorted(s.train) {
		t.Fatalf("%d held out, %d fitted", len(s.held), len(s.train))
	}
	together := slices.Sorted(slices.Values(append(slices.Clone(s.held), s.train...)))
	for i, row := range together {
		if i != row {
			t.Fatalf("row %d is missing or twice", i)
		}
	}
	if other := splitRows(1000, 0.1, 6); slices.Equal(other.held, s.held) {
		t.Error("another seed holds out the same rows")
	}
	kept := 0
	for _, row := range splitRows(1500, 0.1, 5).held {
		if _, was := slices.BinarySearch(s.held, row); was {
			kept++
		}
	}
	if kept < 80 {
		t.Errorf("only %d of 100 rows stay held out when the study grows by half", kept)
	}
	if s := splitRows(7, 0, 5); len(s.held) != 0 || len(s.train) != 7 {
		t.Errorf("fraction 0: %+v", s)
	}
	if s := splitRows(4, 0.1, 5); len(s.held) != 2 {
		t.Errorf("4 rows: %+v", s)
	}
}

// Gram matrices, their kernels and covariances with the margins, against sums over the plain matrices.
func TestProductsAgainstPlainSums(t *testing.T) {
	for _, shape := range []struct {
		m, p, n  int
		fraction float64
		held     float64
	}{{64, 16, 8, 0.1, 0}, {65, 17, 9, 0.1, 0.5}, {200, 33, 3, 0.5, 0.1}, {129, 70, 70, 0.9, 0.3}, {1100, 5, 2, 0.1, 0.1}, {9000, 3, 1, 0.2, 0.1}} {
		src := newSynthetic(shape.m, shape.p, shape.n, shape.fraction, 21)
		plain := readPlain(t, src)
		s := splitRows(shape.m, shape.held, 1)
		d, err := pack(context.Background(), src, s)
		if err != nil {
			t.Fatal(err)
		}
		train, all, err := grams(context.Background(), d, 3)
		if err != nil {
			t.Fatal(err)
		}
		b, x := newBlock(d, shape.n), newCross(d, shape.n, d.parts()...)
		if err := b.load(context.Background(), src, 0, shape.n, 3); err != nil {
			t.Fatal(err)
		}
		if err := x.compute(context.Background(), b, 3); err != nil {
			t.Fatal(err)
		}
		everything := make([]int, shape.m)
		for i := range everything {
			everything[i] = i
		}
		check := func(p part, gram []float64, rows []int) {
			z := plain.centredBits(d, rows)
			for i := range shape.p {
				for j := range shape.p {
					near(t, "covariance", gram[i*shape.p+j], mean(len(rows), func(r int) float64 { return z[r*shape.p+i] * z[r*shape.p+j] }), 1e-12)
				}
				for e := range shape.n {
					near(t, "covariance with a margin", x.of(p, e)[i], mean(len(rows), func(r int) float64 { return z[r*shape.p+i] * plain.y[rows[r]*shape.n+e] }), 1e-9)
				}
			}
		}
		check(allRows, all, everything)
		if shape.held > 0 {
			check(trainRows, train, s.train)
		}
		if shape.m > 1000 {
			continue
		}
		k, err := makeKernels(context.Background(), d, nil, 3)
		if err != nil {
			t.Fatal(err)
		}
		order := append(slices.Clone(s.train), s.held...)
		checkKernel := func(name string, got []float64, cols int, z []float64, firstRow int, scale float64) {
			for i := range len(got) / cols {
				for j := range cols {
					want := 0.0
					for c := range shape.p {
						want += z[(firstRow+i)*shape.p+c] * z[j*shape.p+c] / scale
					}
					near(t, name, got[i*cols+j], want, 1e-9)
				}
			}
		}
		checkKernel("kernel", k.all, shape.m, plain.centredBits(d, order), 0, float64(shape.m))
		if shape.held > 0 {
			z := plain.centredBitsAbout(d, order, s.train)
			checkKernel("kernel of the fitted rows", k.train, len(s.train), z, 0, float64(len(s.train)))
			checkKernel("kernel of the rows held out", k.held, len(s.train), z, len(s.train), 1)
		}
	}
}

// centredBits returns the design's bits in these rows less their means over them: [rows][p].
func (d plain) centredBits(packed *design, rows []int) []float64 {
	return d.centredBitsAbout(packed, rows, rows)
}

func (d plain) centredBitsAbout(packed *design, rows, about []int) []float64 {
	bit := func(row, c int) float64 {
		if packed.flipped[c] {
			return 1 - d.x[row*d.p+c]
		}
		return d.x[row*d.p+c]
	}
	z := make([]float64, len(rows)*d.p)
	for c := range d.p {
		centre := mean(len(about), func(r int) float64 { return bit(about[r], c) })
		for r, row := range rows {
			z[r*d.p+c] = bit(row, c) - centre
		}
	}
	return z
}

func mean(n int, value func(i int) float64) float64 {
	sum := 0.0
	for i := range n {
		sum += value(i)
	}
	return sum / float64(n)
}

func near(t *testing.T, what string, got, want, tol float64) {
	t.Helper()
	if math.Abs(got-want) > tol*max(1, math.Abs(want)) {
		t.Fatalf("%s: %v, want %v", what, got, want)
	}
}
