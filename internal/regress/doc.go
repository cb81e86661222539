// Package regress fits margins by which components were kept: lasso, ridge and least squares, one fit per example.
//
// Per example, with X the keep rows as 0/1, it minimises over (b, theta)
//
//	(1/2m)‖y − b − Xθ‖² + penalty(θ)
//
// with the intercept b not penalised. Attributions θ and intercept are in logits, so that b + sum of θ over the kept
// components predicts the margin.
package regress
