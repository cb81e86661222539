// Package evaluate says how far attributions can be trusted:
// it compares the margins they predict for fresh rows with the margins measured on those rows.
//
// For each example the prediction of a row is the intercept plus the sum of θ over the components that the row keeps.
// Score correlates predictions and measurements over rows, example by example,
// and puts an interval around the mean of those correlations that accounts for all examples sharing the same rows.
package evaluate
