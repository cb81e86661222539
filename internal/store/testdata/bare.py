#!/usr/bin/env python3
"""Writes directories that hold only the reference arrays, as numpy's memory maps make them, and hostile ones.

Run in this directory: python3 bare.py   (made with numpy 1.24.2)
"""
import os

import numpy as np
from numpy.lib.format import open_memmap

rng = np.random.default_rng(0)
keep = rng.random((6, 5)) >= 0.3
margins = np.round(rng.standard_normal((6, 3)) * 4).astype(np.float16) / 4  # exact in float16
completed = np.array([1, 0, 1, 1, 0, 1], bool)


def write(folder, name, values):
    os.makedirs(folder, exist_ok=True)
    m = open_memmap(f"{folder}/{name}", mode="w+", dtype=values.dtype, shape=values.shape)
    m[:] = values
    m.flush()


for folder, splits in {"bare": ["val"], "twosplits": ["test", "train"]}.items():
    write(folder, "masks.npy", keep)
    for split in splits:
        write(folder, f"{split}_margins.npy", margins.astype(np.float16 if split != "train" else np.float32))
    write(folder, "_completed.npy", completed)
write("twosplits", "base_margins.npy", margins[0].astype(np.float32))

with open("bare.txt", "w") as f:
    f.write("".join(" ".join(str(int(k)) for k in row) + "\n" for row in keep))
    f.write("".join(" ".join(repr(float(y)) for y in row) + "\n" for row in margins))
