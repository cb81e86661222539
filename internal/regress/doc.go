// Package regress fits margins by which components were kept: lasso, ridge and least squares, one fit per example.
//
// Per example, with X the keep rows as 0/1, it minimises over (b, θ)
//
//	(1/2m)‖y − b − Xθ‖² + penalty(θ)
//
// with the intercept b not penalised. Attributions θ and intercept are in logits, so that b + sum of θ over the kept
// components predicts the margin.
//
// All examples share the rows, so these are packed once (design) and what depends on them alone is computed once. Then
// examples are fitted in blocks (block, cross), as large as the memory allowed lets them be:
//
//	lasso       covarianceDescent on the Gram matrix, or residualDescent on the rows where there are fewer rows than
//	            components or the matrix does not fit
//	ridge, ols  normalEngine, on the Gram matrix (gramForm) or on the inner products of the rows (kernelForm),
//	            whichever is smaller and fits
//
// The memory planned covers the package's own arrays, not the source's nor the runtime's.
package regress
