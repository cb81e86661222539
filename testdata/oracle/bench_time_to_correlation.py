#!/usr/bin/env python3
"""Time to a correlation: `coar ablate` and `coar fit` with gradient rows beside plain COAR in PyTorch and scikit-learn.

  python3 testdata/oracle/bench_time_to_correlation.py COAR --weights W.th --cifar10 test_batch.bin [--examples 50]
                                                       [--gradients 120] [--rows 4500] [--fresh 1000] [--fraction 0.1]

Plain COAR is torch_oracle.py's loop over --rows keep-rows, then scikit-learn's ridge for each example, the penalty chosen on a tenth of
the rows and the fit repeated on all. Both sides start from the same files and end with attributions on disk; both are timed end to
end, start of the processes included. The correlations are over --fresh rows that neither has seen, measured by PyTorch and not timed.
Debian: apt-get install python3-torch python3-torchvision python3-sklearn.
"""
import argparse, os, subprocess, sys, tempfile, time
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
MEAN, STD = np.float32([.485, .456, .406]), np.float32([.229, .224, .225])
PENALTIES = np.geomspace(1e-4, 10, 30)  # lambda; scikit-learn's alpha is rows x lambda


def oracle(a, d, **kw):
    cmd = [sys.executable, f"{HERE}/torch_oracle.py", "--arch", a.arch, "--weights", a.weights, "--images", f"{d}/x.npy", "--labels", f"{d}/y.npy",
           "--fraction", str(a.fraction)]
    for k, v in kw.items(): cmd += ["--" + k.replace("_", "-"), str(v)]
    subprocess.run(cmd, check=True, stdout=subprocess.DEVNULL)


def ridge(keep, y):
    """Attributions [n, p] by scikit-learn, each example with the penalty that predicts the held-out rows best."""
    from sklearn.linear_model import Ridge
    x, held = keep.astype(np.float32), max(1, len(keep) // 10)
    errors = []
    for lam in PENALTIES:
        r = Ridge(alpha=lam * (len(x) - held)).fit(x[:-held], y[:-held])
        errors.append(((r.predict(x[-held:]) - y[-held:]) ** 2).mean(0))
    best = np.argmin(errors, 0)
    theta = np.zeros((y.shape[1], x.shape[1]))
    for i in np.unique(best):
        theta[best == i] = Ridge(alpha=PENALTIES[i] * len(x)).fit(x, y[:, best == i]).coef_
    return theta


def correlation(theta, keep, y):
    p = keep.astype(np.float64) @ theta.T
    p, y = p - p.mean(0), y - y.mean(0)
    return ((p * y).sum(0) / np.sqrt((p ** 2).sum(0) * (y ** 2).sum(0))).mean()


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("coar")
    for f in ("weights", "cifar10"): ap.add_argument("--" + f, required=True)
    ap.add_argument("--arch", default="resnet20"); ap.add_argument("--examples", type=int, default=50)
    ap.add_argument("--gradients", type=int, default=120); ap.add_argument("--rows", type=int, default=4500)
    ap.add_argument("--fresh", type=int, default=1000); ap.add_argument("--fraction", type=float, default=.1)
    a = ap.parse_args()
    with tempfile.TemporaryDirectory() as d:
        raw = np.fromfile(a.cifar10, np.uint8).reshape(-1, 3073)[:a.examples]
        x = raw[:, 1:].reshape(-1, 3, 32, 32) / np.float32(255)
        np.save(f"{d}/x.npy", ((x - MEAN[:, None, None]) / STD[:, None, None]).astype(np.float32))
        np.save(f"{d}/y.npy", raw[:, 0].astype(np.int64))
        oracle(a, d, rows=a.fresh, seed=12345, save_masks=f"{d}/fresh.npy", out=f"{d}/fresh_margins.npy")
        fresh, measured = np.load(f"{d}/fresh.npy"), np.load(f"{d}/fresh_margins.npy").astype(np.float64)

        start = time.perf_counter()
        subprocess.run([a.coar, "ablate", f"{d}/run", "--weights", a.weights, "--data", f"npy:{d}/x.npy,{d}/y.npy", "--fraction", str(a.fraction),
                        "-m", "0", "--gradients", str(a.gradients), "--quiet"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([a.coar, "fit", f"{d}/run", "--quiet"], check=True, stdout=subprocess.DEVNULL)
        ours = time.perf_counter() - start
        print(f"coar, {a.gradients} gradient rows: correlation {correlation(np.load(f'{d}/run/attributions.npy'), fresh, measured):.3f} in {ours:.1f} s", flush=True)

        start = time.perf_counter()
        oracle(a, d, rows=a.rows, seed=1, save_masks=f"{d}/keep.npy", out=f"{d}/margins.npy")
        ablated = time.perf_counter() - start
        theta = ridge(np.load(f"{d}/keep.npy"), np.load(f"{d}/margins.npy"))
        np.save(f"{d}/theta.npy", theta)
        theirs = time.perf_counter() - start
        print(f"PyTorch and scikit-learn, {a.rows} rows: correlation {correlation(theta, fresh, measured):.3f} in {theirs:.1f} s ({ablated:.1f} s of it ablations)")
        print(f"ratio {theirs / ours:.1f}")


if __name__ == "__main__":
    main()
