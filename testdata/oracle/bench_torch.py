#!/usr/bin/env python3
"""Margins per second of coar and of PyTorch, run alternately on the same weights, images and keep-rows.

  python3 testdata/oracle/bench_torch.py COAR [--pairs 5] [--models resnet20,resnet18,...]

COAR is the program's path. PyTorch runs torch_oracle.py --bench, channels first and channels last, and the better of the
two counts. coar's figure is that of a whole `coar ablate` call's rows, writing and syncing included.
Debian: apt-get install python3-torch python3-torchvision.
"""
import argparse, json, os, re, statistics, subprocess, sys, tempfile
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
ORACLE = os.path.join(HERE, "torch_oracle.py")
MODELS = {  # name: (architecture, image side, examples, fraction, rows for coar, rows for PyTorch)
    "resnet20": ("resnet20", 32, 100, .1, 400, 30),
    "mini_resnet": ("mini_resnet:256x4", 32, 16, .1, 40, 5),
    "resnet18": ("resnet18", 224, 16, .05, 30, 5),
    "resnet50": ("resnet50", 224, 16, .05, 20, 4),
    "vit_b_16": ("vit_b_16", 224, 8, .05, 8, 3),
}


def run(*args):
    return subprocess.run(args, check=True, capture_output=True, text=True).stdout


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("coar"); ap.add_argument("--pairs", type=int, default=5); ap.add_argument("--models", default=",".join(MODELS))
    a = ap.parse_args()
    print(f"{'model':12} {'coar':>10} {'PyTorch':>10} {'ratio':>7}   margins/s, medians of {a.pairs} pairs")
    for name in a.models.split(","):
        arch, side, n, fraction, ours, theirs = MODELS[name]
        with tempfile.TemporaryDirectory() as d:
            at = lambda f: os.path.join(d, f)
            rng = np.random.RandomState(0)
            np.save(at("x.npy"), rng.randn(n, 3, side, side).astype(np.float32))
            np.save(at("y.npy"), rng.randint(0, 10, n))
            run(sys.executable, ORACLE, "--arch", arch, "--weights", "random:0", "--save", at("w.pth"))
            total = int(re.search(r"total (\d+)", run(sys.executable, ORACLE, "--arch", arch, "--weights", at("w.pth"))).group(1))
            np.save(at("masks.npy"), rng.rand(ours, total) >= fraction)
            got, want = [], []
            for pair in range(a.pairs):
                r = json.loads(run(a.coar, "ablate", at(f"run{pair}"), "--json", "--quiet", "--weights", at("w.pth"), "--data", f"npy:{at('x.npy')},{at('y.npy')}", "--masks-file", at("masks.npy")))
                got.append(r["margins_per_second"])
                best = 0
                for extra in ([], ["--channels-last"]):
                    out = run(sys.executable, ORACLE, "--arch", arch, "--weights", at("w.pth"), "--images", at("x.npy"), "--labels", at("y.npy"), "--masks", at("masks.npy"),
                              "--batch", str(n), "--bench", str(theirs), *extra)
                    best = max(best, float(re.search(r"([\d.]+) margins/s", out).group(1)))
                want.append(best)
        ratios = [g / w for g, w in zip(got, want)]
        print(f"{name:12} {statistics.median(got):10.1f} {statistics.median(want):10.1f} {statistics.median(ratios):7.2f}", flush=True)


if __name__ == "__main__":
    main()
