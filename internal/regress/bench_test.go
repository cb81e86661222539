package regress

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
)

func benchDesign(b *testing.B, src Source) *design {
	b.Helper()
	nRows, _, _ := src.Shape()
	d, err := pack(context.Background(), src, splitRows(nRows, 0.1, 0))
	if err != nil {
		b.Fatal(err)
	}
	return d
}

// BenchmarkGram counts bit operations: AND and POPCNT of 64 pairs of bits are 64.
func BenchmarkGram(b *testing.B) {
	const m, p = 6000, 688
	d := benchDesign(b, newSynthetic(m, p, 1, 0.1, 1))
	for b.Loop() {
		if _, _, err := grams(context.Background(), d, runtime.GOMAXPROCS(0)); err != nil {
			b.Fatal(err)
		}
	}
	perSecond(b, m*p*p/2, "Gbit/s")
}

// BenchmarkXtY counts one addition per ablated entry and example.
func BenchmarkXtY(b *testing.B) {
	const m, p, n = 6000, 688, 128
	src := newSynthetic(m, p, n, 0.1, 1)
	d := benchDesign(b, src)
	margins, x := newBlock(d, n), newCross(d, n, trainRows, allRows)
	if err := margins.load(context.Background(), src, 0, n, 1); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := x.compute(context.Background(), margins, runtime.GOMAXPROCS(0)); err != nil {
			b.Fatal(err)
		}
	}
	perSecond(b, m*p*n/10, "Gadd/s")
}

// BenchmarkLassoPath fits examples, λ by validation, everything included.
func BenchmarkLassoPath(b *testing.B) {
	for _, shape := range []struct{ m, p int }{{6000, 688}, {1000, 2032}} {
		b.Run(fmt.Sprintf("m=%d,p=%d", shape.m, shape.p), func(b *testing.B) {
			const n = 10
			src := newSynthetic(shape.m, shape.p, n, 0.1, 1)
			for b.Loop() {
				if _, err := Fit(context.Background(), src, Options{Lambda: -1, ValFraction: 0.1}, func(Result) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(1000*b.Elapsed().Seconds()/float64(b.N*n), "ms/example")
		})
	}
}

// BenchmarkReduce counts the multiply-adds of a reduction to tridiagonal form, 2n³/3.
func BenchmarkReduce(b *testing.B) {
	for _, n := range []int{1000, 4000} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			a := symmetric(n, 0, rand.New(rand.NewPCG(1, 0)))
			matrix := make([]float64, n*n)
			for b.Loop() {
				copy(matrix, a)
				if _, err := reduce(context.Background(), matrix, n, runtime.GOMAXPROCS(0)); err != nil {
					b.Fatal(err)
				}
			}
			perSecond(b, 2*n*n*n/3, "GFMA/s")
		})
	}
}

func perSecond(b *testing.B, count int, unit string) {
	b.ReportMetric(float64(count)*float64(b.N)/1e9/b.Elapsed().Seconds(), unit)
}
