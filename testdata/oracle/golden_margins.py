#!/usr/bin/env python3
"""Writes testdata/margins/NAME.json: margins of ablated models as PyTorch computes them, for the Go tests.

  python3 testdata/oracle/golden_margins.py [NAME ...]

Debian: apt-get install python3-torch python3-torchvision. Weights, images and keep-masks are not stored: they come
from a formula (see draw) that internal/models' golden test repeats, so the files stay small however large the model.
"""
import json, os, subprocess, sys, tempfile
import numpy as np
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from torch_oracle import build, components

CASES = {  # name: (architecture, image side, examples, rows, fraction)
    "resnet20": ("resnet20", 32, 5, 4, .1),
    "resnet20_28": ("resnet20", 28, 3, 3, .1),
    "resnet56": ("resnet56", 32, 2, 3, .05),
    "mini_resnet_32": ("mini_resnet:32x2", 32, 3, 4, .1),
    "mini_resnet_256": ("mini_resnet:256x4", 32, 2, 2, .1),
    "resnet18_64": ("resnet18", 64, 5, 3, .05),
    "resnet18_224": ("resnet18", 224, 2, 2, .05),
    "resnet34_64": ("resnet34", 64, 2, 2, .05),
    "resnet50_64": ("resnet50", 64, 5, 3, .05),
    "resnet50_224": ("resnet50", 224, 2, 2, .05),
    "vit_b_16": ("vit_b_16", 224, 2, 2, .05),
    "vit_28": ("vit:28,4,6,3,96,192,10", 28, 3, 2, .05),
    "vit_small": ("vit:28,7,3,3,96,192,10", 28, 5, 4, .1),
}


def draw(name, n):
    """n numbers in [-1, 1), a pure function of the name: SplitMix64 of FNV-1a(name) + i."""
    h = 0xcbf29ce484222325
    for b in name.encode():
        h = (h ^ b) * 0x100000001b3 % 2**64
    with np.errstate(over="ignore"):
        z = np.uint64(h) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9e3779b97f4a7c15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xbf58476d1ce4e5b9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94d049bb133111eb)
        z = z ^ (z >> np.uint64(31))
    return ((z >> np.uint64(40)).astype(np.float64) / 2**23 - 1).astype(np.float32)


def weight(key, shape):
    """The tensor of a key: variance 1/fan-in for matrices, norms near the identity, small biases."""
    u = draw(key, int(np.prod(shape, dtype=np.int64))).reshape(shape)
    if key.endswith("running_var"): return np.float32(1) + np.float32(.5) * u
    if len(shape) > 1: return u * np.float32((3 / np.prod(shape[1:])) ** .5)
    norm = key.endswith("weight")
    return np.float32(1 if norm else 0) + np.float32(.1) * u


def main():
    names = sys.argv[1:] or list(CASES)
    for name in names:
        arch, side, n, m, fraction = CASES[name]
        model = build(arch)
        tensors = [(k, list(v.shape)) for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")]
        state = {k: torch.from_numpy(weight(k, s)) for k, s in tensors}
        model.load_state_dict(state, strict=False)
        p = sum(components(model).values())
        classes = state[tensors[-1][0]].shape[0]
        with tempfile.TemporaryDirectory() as d:
            at = lambda f: os.path.join(d, f)
            torch.save(model.state_dict(), at("w.pth"))
            np.save(at("x.npy"), 2 * draw("images", n * 3 * side * side).reshape(n, 3, side, side))
            labels = [(7 * i + 3) % classes for i in range(n)]
            np.save(at("y.npy"), np.array(labels))
            keep = draw("keep", m * p).reshape(m, p) >= 2 * fraction - 1
            np.save(at("masks.npy"), keep)
            table = subprocess.run([sys.executable, os.path.join(HERE, "torch_oracle.py"), "--arch", arch, "--weights", at("w.pth"), "--images", at("x.npy"),
                                    "--labels", at("y.npy"), "--masks", at("masks.npy"), "--out", at("m.npy")], check=True, capture_output=True, text=True).stdout
            margins = np.load(at("m.npy"))
        groups = [line.split() for line in table.splitlines()[:-1]]
        with open(os.path.join(HERE, "..", "margins", name + ".json"), "w") as f:
            json.dump({"arch": arch, "heads": int(arch.split(",")[3]) if arch.startswith("vit:") else 0, "side": side, "fraction": fraction, "labels": labels,
                       "groups": [{"key": k, "rows": int(r)} for k, r in groups], "margins": [[float(v) for v in row] for row in margins],
                       "tensors": [{"key": k, "shape": s} for k, s in tensors]}, f, separators=(",", ":"))
            f.write("\n")
        print(name, p, "components, margins", margins.min(), "to", margins.max(), "spread over rows", margins.std(0).mean())


if __name__ == "__main__":
    main()
