// Package edit finds the few components whose ablation moves chosen predictions and leaves the others alone.
//
// Rank orders components by how much more they matter to the targets than to the references (COAR-Edit).
// Search measures prefixes of that ranking until the targets are where they should be,
// and References, Choosing and Holdout draw the examples that keep the answer honest.
// Nothing here runs a model: Search measures through a function of the caller's.
package edit
