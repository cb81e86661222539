// Package checkpoint reads named tensors out of .safetensors and PyTorch files, and writes edited .safetensors.
//
// Formats, told apart by content: safetensors; PyTorch's zip archive (1.6 and later) and its legacy stream. A PyTorch
// file may hold a state dict, one wrapped in a dict (see wrapperNames), or a whole module, whose parameters and buffers
// are found by walking what it recorded. Nothing in a pickle is executed: see package pickle.
//
// Files are untrusted. Every size is checked against the bytes that are really there before anything of that size is
// allocated; the CRC-32 of every zip entry is verified on opening; a value that is not finite is refused with its key
// and index. A file that fails is an error of kind fault.Malformed, one that does not fit the architecture of kind
// fault.Conflict.
package checkpoint
