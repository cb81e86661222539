#!/usr/bin/env python3
"""Write golden.json: rankings computed with numpy.

Run in this directory:  python3 golden.py
"""
import json

import numpy as np


def scores(theta, targets, references):
    references = sorted(set(references) - set(targets))
    targets = sorted(set(targets))
    t, r = theta[targets].astype(np.float64), theta[references].astype(np.float64)
    eps = np.median(r.std(axis=0) / np.sqrt(len(r)))
    magnitudes = np.abs(np.concatenate([t, r]))
    if eps == 0:
        eps = np.median(magnitudes)
    if eps == 0 and magnitudes.any():
        eps = np.median(magnitudes[magnitudes > 0])
    difference = t.mean(axis=0) - r.mean(axis=0)
    denominator = np.sqrt(t.var(axis=0) / len(t) + r.var(axis=0) / len(r) + eps ** 2)
    s = np.divide(difference, denominator, out=np.zeros_like(difference), where=difference != 0)
    return s, eps


def case(name, theta, targets, references):
    theta = theta.astype(np.float32)
    s, eps = scores(theta, targets, references)
    order = np.lexsort((np.arange(len(s)), s))
    down = np.lexsort((np.arange(len(s)), -s))
    return {"name": name, "theta": theta.tolist(), "targets": targets, "references": references, "epsilon": float(eps),
            "scores": s.tolist(), "raise": [int(c) for c in order if s[c] < 0], "lower": [int(c) for c in down if s[c] > 0]}


rng = np.random.default_rng(7)
dense = np.round(rng.normal(0, 1, (12, 30)), 4)
sparse = np.where(rng.random((12, 30)) < 0.35, 0, np.round(rng.normal(0, 1, (12, 30)), 4))
sparse[2:] = sparse[2]  # references alike: no spread
sparser = np.where(rng.random((12, 30)) < 0.8, 0, np.round(rng.normal(0, 1, (12, 30)), 3))
ties = np.zeros((4, 9))
ties[0] = [1, -1, 1, -1, 0, 1, -1, 2, -2]
cases = [
    case("one target", dense, [3], list(range(12))),
    case("several targets", dense, [0, 5, 5, 9], [1, 2, 3, 4, 9, 11]),
    case("one reference", dense, [0], [1]),
    case("references without spread", sparse, [0], list(range(2, 12))),
    case("mostly zero", sparser, [1], list(range(2, 12))),
    case("ties", ties, [0], [1, 2, 3]),
    case("all zero", np.zeros((3, 5)), [0], [1, 2]),
]
with open("golden.json", "w") as f:
    json.dump(cases, f, separators=(",", ":"))
