#!/usr/bin/env python3
"""Write golden.json: scores of attributions computed with numpy and scipy.

Run in this directory:  python3 golden.py

Inputs are small and rounded so that they are exact in float32 and short as JSON.
The bootstrap's row numbers come from a PCG-DXSM generator written out here.
"""
import json

import numpy as np
from scipy import stats

M64 = (1 << 64) - 1
M128 = (1 << 128) - 1


class PCG:
    """PCG-DXSM with Go's math/rand/v2 constants."""

    MUL = (2549297995355413924 << 64) | 4865540595714422341
    INC = (6364136223846793005 << 64) | 1442695040888963407

    def __init__(self, seed, stream):
        self.state = (seed << 64) | stream

    def next(self):
        self.state = (self.state * self.MUL + self.INC) & M128
        hi, lo = self.state >> 64, self.state & M64
        hi ^= hi >> 32
        hi = (hi * 0xDA942042E4DD58B5) & M64
        hi ^= hi >> 48
        return (hi * (lo | 1)) & M64


def correlation(p, y):
    if np.ptp(p) == 0 or np.ptp(y) == 0:
        return 0.0
    return float(stats.pearsonr(p, y)[0])


def case(rng, rows, components, examples, fraction, seed, draws):
    keep = rng.random((rows, components)) >= fraction
    theta = np.round(rng.normal(0, 1, (examples, components)) * 64) / 64
    theta[rng.random(theta.shape) < 0.3] = 0
    intercept = np.round(rng.normal(0, 4, examples) * 16) / 16
    predicted = intercept[:, None] + theta @ keep.T
    noise = rng.normal(0, 1, predicted.shape) * np.linspace(0.2, 4, examples)[:, None]
    measured = np.round((0.8 * predicted + 1 + noise) * 64) / 64
    theta[1] = 0  # predicted constant
    measured[2] = 3.5  # measured constant
    theta[3] = 0
    theta[3, 4] = 2  # constant in some draws where few rows ablate it
    keep[:, 4] = True
    keep[7, 4] = False
    predicted = intercept[:, None] + theta @ keep.T

    lines = []
    for p, y in zip(predicted, measured):
        sse, sst = float(np.sum((y - p) ** 2)), float(np.sum((y - y.mean()) ** 2))
        line = {"correlation": correlation(p, y), "undefined": bool(np.ptp(p) == 0 or np.ptp(y) == 0),
                "mse": float(np.mean((y - p) ** 2)), "r2": 1 - sse / sst if np.ptp(y) else None,
                "slope": None, "intercept": None}
        if np.ptp(p):
            fit = stats.linregress(p, y)
            line["slope"], line["intercept"] = float(fit.slope), float(fit.intercept)
        lines.append(line)
    r = np.array([line["correlation"] for line in lines])

    generator = PCG(seed, 0x626F6F74)
    means = []
    for _ in range(draws):
        chosen = [generator.next() * rows >> 64 for _ in range(rows)]
        means.append(np.mean([correlation(p[chosen], y[chosen]) for p, y in zip(predicted, measured)]))
    low, high = np.percentile(means, [2.5, 97.5])
    q1, median, q3 = np.percentile(r, [25, 50, 75])

    dp = predicted - predicted.mean(axis=1, keepdims=True)
    dy = measured - measured.mean(axis=1, keepdims=True)
    varied = np.ptp(measured, axis=1) > 0
    return {
        "keep": ["".join("1" if k else "0" for k in row) for row in keep],
        "theta": theta.tolist(), "intercepts": intercept.tolist(), "margins": measured.T.tolist(),
        "seed": seed, "draws": draws, "examples": lines,
        "mean": float(r.mean()), "low": float(low), "high": float(high),
        "q1": float(q1), "median": float(median), "q3": float(q3),
        "mse": float(np.mean((measured - predicted) ** 2)),
        "r2": {"pooled": float(1 - np.sum((measured - predicted)[varied] ** 2) / np.sum(dy[varied] ** 2)),
               "mean": float(np.mean([l["r2"] for l in lines if l["r2"] is not None])),
               "median": float(np.median([l["r2"] for l in lines if l["r2"] is not None]))},
        "slope": {"pooled": float(np.sum(dp * dy) / np.sum(dp ** 2)),
                  "mean": float(np.mean([l["slope"] for l in lines if l["slope"] is not None])),
                  "median": float(np.median([l["slope"] for l in lines if l["slope"] is not None]))},
    }


rng = np.random.default_rng(20240717)
cases = [case(rng, 40, 70, 11, 0.1, 1, 200), case(rng, 31, 64, 9, 0.7, 12345678901234567890, 100)]
with open("golden.json", "w") as f:
    json.dump(cases, f, separators=(",", ":"))
