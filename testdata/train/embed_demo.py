#!/usr/bin/env python3
"""Writes what `coar demo` embeds into internal/demo/assets: the trained networks as float16 safetensors and the first
N_IMAGES test images of Fashion-MNIST as gzipped IDX files. Prints the accuracy of the float16 weights on all 10,000.

  python3 testdata/train/embed_demo.py RESNET.pth VIT.pth
"""
import gzip, json, os, struct, sys
import numpy as np
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from train_fashion import DATA, accuracy, build, load

N_IMAGES = 500
OUT = os.path.join(HERE, "..", "..", "internal", "demo", "assets")


def write_safetensors(path, state):
    header, blobs, at = {}, [], 0
    for k, v in state.items():
        b = v.numpy().tobytes()
        header[k] = {"dtype": "F16", "shape": list(v.shape), "data_offsets": [at, at + len(b)]}
        blobs.append(b); at += len(b)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def head(name, size, magic_words):
    with gzip.open(f"{DATA}/{name}.gz") as f:
        raw = f.read()
    words = list(struct.unpack(">" + "I" * magic_words, raw[:4 * magic_words]))
    words[1] = N_IMAGES
    data = struct.pack(">" + "I" * magic_words, *words) + raw[4 * magic_words:4 * magic_words + N_IMAGES * size]
    with open(os.path.join(OUT, name + ".gz"), "wb") as f:
        with gzip.GzipFile(filename="", fileobj=f, mode="wb", compresslevel=9, mtime=0) as g:
            g.write(data)


def main():
    os.makedirs(OUT, exist_ok=True)
    x, y = load("t10k")
    for name, arch, path in (("resnet", "resnet20", sys.argv[1]), ("vit", "vit:28,7,6,3,96,192,10", sys.argv[2])):
        state = {k: v.half() for k, v in torch.load(path).items() if not k.endswith("num_batches_tracked")}
        write_safetensors(os.path.join(OUT, name + ".safetensors"), state)
        model = build(arch)
        model.load_state_dict({k: v.float() for k, v in state.items()}, strict=False)
        print(f"{name}: test accuracy {accuracy(model, x, y):.4f} with float16 weights, {accuracy(model, x[:N_IMAGES], y[:N_IMAGES]):.4f} on the embedded images")
    head("t10k-images-idx3-ubyte", 784, 4)
    head("t10k-labels-idx1-ubyte", 1, 2)
    print(sum(os.path.getsize(os.path.join(OUT, f)) for f in os.listdir(OUT)), "bytes in all")


if __name__ == "__main__":
    main()
