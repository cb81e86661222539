"""Writes golden.json: fits by scikit-learn and numpy that the Go tests compare with.

Run in this directory: /usr/bin/python3 golden.py   (scikit-learn 1.2.1, numpy 1.24.2)
"""
import json

import numpy as np
from sklearn.linear_model import Lasso, LinearRegression, Ridge


def digits(values):
    return [float(f"{v:.7g}") for v in np.ravel(values)]


def study(name, m, p, n, fraction, seed, constant=(), copied=()):
    rng = np.random.default_rng(seed)
    keep = rng.random((m, p)) >= fraction
    for c, value in constant:
        keep[:, c] = value
    for c, other in copied:
        keep[:, c] = keep[:, other]
    x = keep.astype(np.float64)
    theta = rng.normal(size=(p, n)) * (rng.random((p, n)) < 0.3)
    margins = np.round((3 + x @ theta + rng.normal(size=(m, n))) * 256) / 256
    y = margins
    centred = x - x.mean(0)
    lambda_max = np.abs(centred.T @ (y - y.mean(0))).max(0) / m
    lasso = []
    for share in (0.3, 0.03):
        for i in range(n):
            alpha = float(f"{share * lambda_max[i]:.6g}")
            fit = Lasso(alpha=alpha, tol=1e-14, max_iter=1000000).fit(x, y[:, i])
            lasso.append(dict(example=i, lambda_=alpha, intercept=float(fit.intercept_), theta=digits(fit.coef_)))
    ridge = []
    for value in (0.001, 0.1):
        fit = Ridge(alpha=m * value, solver="svd").fit(x, y)
        ridge.append(dict(lambda_=value, intercept=digits(fit.intercept_), theta=digits(fit.coef_)))
    ols = LinearRegression().fit(x, y)
    least = np.linalg.lstsq(centred, y - y.mean(0), rcond=1e-10)
    if m > p and not copied and not constant:
        assert np.allclose(ols.coef_, least[0].T)
    return dict(
        name=name, rows=["".join("01"[int(k)] for k in row) for row in keep],
        margins=[[float(v) for v in row] for row in margins], lambda_max=digits(lambda_max), lasso=lasso, ridge=ridge,
        ols=dict(intercept=digits(y.mean(0) - x.mean(0) @ least[0]), theta=digits(least[0].T), rank=int(least[2])),
    )


studies = [
    study("tall", 300, 60, 3, 0.1, 1),
    study("wide", 80, 110, 2, 0.1, 2),
    study("dependent", 150, 40, 2, 0.3, 3, constant=((5, True), (17, False)), copied=((9, 4),)),
    study("mostly ablated", 130, 20, 2, 0.8, 4),
]
with open("golden.json", "w") as f:
    f.write("[" + ",\n".join(json.dumps(s, separators=(",", ":")) for s in studies) + "]\n")
