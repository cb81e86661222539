// Package nn holds the fused gorgonia ops that every model is built from, over the kernels of package kernel.
//
// An activation lives in a Plane: channel by channel, each channel a map with a zero border, and a gang of examples
// interleaved in the innermost dimension, so that a vector holds the same few positions of several examples and no
// lane is lost at the edges of small maps. Transformer tokens are a map of height 1 with all examples side by side.
//
// Every op owns its output buffer and rewrites what changed in it on each run: one graph belongs to one worker.
// A component's keep value scales its weight row; rows whose keep is exactly 0 are skipped, never multiplied.
package nn
