// Package report draws the figures of a study: predicted against measured margins, correlations per fraction,
// what an edit does as it grows, and the components behind one prediction.
//
// Each figure is a plain struct of data with a Figure method; a Figure writes itself as PNG.
// Equal data gives equal bytes. Values that are not finite are left out, and figures without data say so.
package report
