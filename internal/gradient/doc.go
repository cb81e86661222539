// Package gradient turns derivatives of margins with respect to keep values into attributions.
//
// The population least-squares coefficient of component c under independent keep values is
// E[margin | c kept] - E[margin | c ablated], which is the mean, over t uniform on [0,1] and over the other components, of
// the derivative of the margin with respect to c's keep value at t. A softened row draws such a t for some components and
// yields all their derivatives at once, so the mean over the rows that soften c estimates its attribution: no regression, and an
// error that falls with the number of those rows alone. An Estimator, fitted to the Pool of all examples, improves on it where rows are few,
// and Softening by the rows' margins.
package gradient
