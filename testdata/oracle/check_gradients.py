#!/usr/bin/env python3
"""Derivatives of margins by keep values: `coar ablate --save-gradients` beside PyTorch's in float32 and float64, and finite differences.

  python3 testdata/oracle/check_gradients.py COAR [--models resnet20,mini_resnet,...] [--isa avx512,avx2,portable]
                                             [--resnet20 W.th --cifar10 test_batch.bin] [--tie 1e-4] [--most 48] [--threads 2]

Rows are softened, every fourth with hard zeros as well. For each model and instruction set it prints the relative L2 error of a row
and example against torch_oracle.py --gradients: median, share under 1e-3, maximum; beside it the share against float64, which for
PyTorch's own float32 derivatives stands in the line "torch".

A pair above 1e-3 is explained in float64: ReLUs with |z| below --tie standard deviations of their layer, max-pool windows and runner-up
logits with a gap that small are its near ties. Of the --most nearest, those are flipped in the backward pass that bring float64 nearest
to coar, and what remains of coar's error is printed: under 1e-3 it was the ties. ReLUs and max-pools are numbered in the order of their
calls. Central differences of float64 margins check the derivatives of 20 softened components. Without --resnet20 that model has random
weights; without --cifar10 32x32 images are noise, as 224x224 ones always are.
Debian: apt-get install python3-torch python3-torchvision.
"""
import argparse, gc, gzip, os, subprocess, sys, tempfile
import numpy as np
import torch
import torch.nn.functional as F
from torch.nn.utils.stateless import functional_call

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from torch_oracle import build, components, load, margins

ASSETS = f"{HERE}/../../internal/demo/assets"
MEAN, STD = np.float32([.485, .456, .406])[:, None, None], np.float32([.229, .224, .225])[:, None, None]
LIMIT, STEP, CHECKED = 1e-3, 1e-6, 20
CASES = {  # name: (arch, side, classes, fraction, examples, rows, portable rows, flags)
    "resnet20": ("resnet20", 32, 10, .1, 40, 10, 10, []),
    "mini_resnet": ("mini_resnet:256x4", 32, 10, .1, 8, 4, 1, []),
    "resnet50": ("resnet50", 224, 1000, .05, 2, 4, 1, []),
    "vit_b_16": ("vit_b_16", 224, 1000, .05, 2, 4, 1, []),
    "vit_small": ("vit:28,7,6,3,96,192,10", 28, 10, .05, 20, 10, 10, ["--heads", "3"]),
}


def keep_rows(m, p, fraction):
    """Float32 [m, p]: 1 with probability 1 - 2 fraction, else uniform; in every fourth row a quarter of the softened is 0."""
    g = np.random.RandomState(0)
    keep = np.where(g.rand(m, p) < 2 * fraction, g.rand(m, p), 1).astype(np.float32)
    keep[1::4][(keep[1::4] < 1) & (g.rand(*keep[1::4].shape) < .25)] = 0
    return keep


def images(a, name, side, classes, n):
    g = np.random.RandomState(1)
    if name == "vit_small":
        raw = gzip.open(f"{ASSETS}/t10k-images-idx3-ubyte.gz").read(), gzip.open(f"{ASSETS}/t10k-labels-idx1-ubyte.gz").read()
        x = np.frombuffer(raw[0], np.uint8, n * 784, 16).reshape(n, 1, 28, 28) / np.float32(255)
        return ((x - np.float32(.286)) / np.float32(.353)).repeat(3, 1), np.frombuffer(raw[1], np.uint8, n, 8).astype(np.int64)
    if side == 32 and a.cifar10:
        raw = np.fromfile(a.cifar10, np.uint8).reshape(-1, 3073)[:n]
        return ((raw[:, 1:].reshape(-1, 3, 32, 32) / np.float32(255) - MEAN) / STD).astype(np.float32), raw[:, 0].astype(np.int64)
    return g.randn(n, 3, side, side).astype(np.float32), g.randint(classes, size=n)


class Ties:
    """Stands in for F.relu and F.max_pool2d: lists nearly tied units, and sends the derivatives of those in `flip` the other way.

    A unit is (layer, flat index), layers numbered in the order of the calls; layer -1 is the choice of the runner-up logit.
    """
    def __init__(self, limit): self.limit, self.flip, self.record = limit, (), False

    def __enter__(self):
        self.before = F.relu, F.max_pool2d
        F.relu, F.max_pool2d = self.relu, self.pool
        return self

    def __exit__(self, *_): F.relu, F.max_pool2d = self.before

    def start(self, flip=(), record=False): self.layer, self.flip, self.record, self.near = 0, flip, record, []

    def unit(self, gap, kind):
        """Counts a layer whose gaps are given in standard deviations; the indices to flip in it."""
        if self.record:
            self.near += [(float(gap[i]), (self.layer, int(i)), kind) for i in (gap < self.limit).nonzero()[:, 0]]
        self.layer += 1
        return [i for layer, i in self.flip if layer == self.layer - 1]

    def relu(self, z, inplace=False):
        on = (z > 0).flatten()
        at = self.unit((z.abs() / z.std()).detach().flatten(), "ReLU")
        on[at] = ~on[at]
        return z * on.view_as(z)

    def pool(self, x, kernel, stride, padding, *_, **__):
        n, c, h, w = x.shape
        cols = F.unfold(F.pad(x, [padding] * 4, value=-1e9).reshape(n * c, 1, h + 2 * padding, w + 2 * padding), kernel, stride=stride)
        best, which = cols.topk(2, 1)
        gap = torch.where(best[:, 0] > 0, (best[:, 0] - best[:, 1]) / x.std(), torch.inf)  # where all are 0 no derivative passes
        at, pick = self.unit(gap.detach().flatten(), "max-pool"), which[:, 0].clone()
        pick.view(-1)[at] = which[:, 1].reshape(-1)[at]
        side = (h + 2 * padding - kernel) // stride + 1
        return cols.gather(1, pick[:, None]).view(n, c, side, -1)

    def margin(self, logits, y):
        """Margin of one example [1, classes]; flipped, against the third logit."""
        rest = logits[0].clone(); rest[y] = -torch.inf
        best = rest.topk(2).values
        gap = float((best[0] - best[1]) / logits.std())
        if self.record and gap < self.limit: self.near.append((gap, (-1, 0), "logit"))
        return logits[0, y] - best[int((-1, 0) in self.flip)]


class Float64:
    """The model in float64 with keep values."""
    def __init__(self, model):
        self.model, self.table = model.double(), components(model)
        self.params = {k: v.detach() for k, v in model.named_parameters() if k in self.table}

    def logits(self, keep, x):
        gc.collect()  # PyTorch 1.13 leaves the scaled weights of the call before in a cycle
        parts = keep.split(list(self.table.values()))
        scaled = {k: self.params[k] * part.view(-1, *[1] * (self.params[k].dim() - 1)) for k, part in zip(self.table, parts)}
        return functional_call(self.model, scaled, (x[None],))

    def gradient(self, keep, x, y, ties=None):
        leaf = keep.clone().requires_grad_(True)
        logits = self.logits(leaf, x)
        m = ties.margin(logits, y) if ties else margins(logits, torch.tensor([y])).sum()
        return torch.autograd.grad(m, leaf)[0].numpy()

    @torch.no_grad()
    def differences(self, keep, x, y, at):
        out = []
        for c in at:
            m = []
            for step in (STEP, -STEP):
                moved = keep.clone(); moved[c] += step
                m.append(float(margins(self.logits(moved, x), torch.tensor([y]))))
            out.append((m[0] - m[1]) / (2 * STEP))
        return np.array(out)


def error(g, reference):
    """Relative L2 error over the last axis."""
    return np.linalg.norm(g - reference, axis=-1) / np.linalg.norm(reference, axis=-1)


class Explanation:
    """The near ties of one row and example, and what flipping each changes in the float64 derivatives."""
    def __init__(self, net, a, keep, x, y, exact):
        self.at, self.exact = (keep, x, y), exact
        self.net, self.ties = net, Ties(a.tie)
        assert error(self.flipped((), record=True), exact) < 1e-9
        self.near = sorted(self.ties.near)[:a.most]
        self.effects = [self.flipped([unit]) - exact for _, unit, _ in self.near]

    def flipped(self, units, record=False):
        with self.ties:
            self.ties.start(units, record)
            return self.net.gradient(*self.at, self.ties)

    def of(self, g):
        """g's error beside float64, that which the flips that bring float64 nearest to g leave, and these flips, in words."""
        rest, chosen = g - self.exact, []
        while True:
            left = [(np.linalg.norm(rest - e), i) for i, e in enumerate(self.effects) if i not in chosen]
            if not left or min(left)[0] > .99 * np.linalg.norm(rest): break
            chosen.append(min(left)[1]); rest = rest - self.effects[chosen[-1]]
        after = self.flipped([self.near[i][1] for i in chosen])
        shown = ", ".join(f"{kind} {unit[0]} at {gap:.1e}" for gap, unit, kind in (self.near[i] for i in chosen)) or "none"
        return f"to float64 {error(g, self.exact):.1e}, {error(g, after):.1e} with {len(chosen)} of {len(self.near)} near ties flipped ({shown})"


def run(cmd): subprocess.run(cmd, check=True, stdout=subprocess.DEVNULL)


def check(a, name, d):
    arch, side, classes, fraction, n, rows, portable, flags = CASES[name]
    weights = {"resnet20": a.resnet20, "vit_small": f"{ASSETS}/vit.safetensors"}.get(name)
    if not weights:
        weights = f"{d}/w.pth"
        run([sys.executable, f"{HERE}/torch_oracle.py", "--arch", arch, "--weights", "random:0", "--save", weights])
    model = build(arch); load(model, weights); model.eval()
    p = sum(components(model).values())
    x, y = images(a, name, side, classes, n)
    keep = keep_rows(rows, p, fraction)
    for k, v in {"x": x, "y": y, "keep": keep}.items(): np.save(f"{d}/{k}.npy", v)
    run([sys.executable, f"{HERE}/torch_oracle.py", "--arch", arch, "--weights", weights, "--images", f"{d}/x.npy", "--labels", f"{d}/y.npy",
         "--masks", f"{d}/keep.npy", "--gradients", f"{d}/torch.npy", "--threads", str(a.threads)])
    torch32, net = np.load(f"{d}/torch.npy"), Float64(model)
    X, K = torch.from_numpy(x).double(), torch.from_numpy(keep).double()
    exact = np.array([[net.gradient(K[r], X[i], int(y[i])) for i in range(n)] for r in range(rows)])
    e = error(torch32, exact)
    print(f"| {name} | torch | {e.size} | | | | {np.mean(e < LIMIT):.2%} | {e.max():.1e} |", flush=True)
    soft = np.random.RandomState(2).choice(((keep[0] > .01) & (keep[0] < .99)).nonzero()[0], CHECKED, False)
    slopes, notes, above = net.differences(K[0], X[0], int(y[0]), soft), [], []
    for isa in a.isa.split(","):
        m = portable if isa == "portable" else rows
        np.save(f"{d}/rows.npy", keep[:m])
        done = subprocess.run([a.coar, "ablate", f"{d}/{isa}", "--weights", weights, "--data", f"npy:{d}/x.npy,{d}/y.npy",
                               "--masks-file", f"{d}/rows.npy", "--save-gradients", f"{d}/{isa}.npy", "-m", "0", "--quiet", *flags],
                              env={**os.environ, "COAR_ISA": isa}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode and "this processor has" in done.stderr:
            print(f"| {name} | {isa} | not on this processor | | | | | |", flush=True)
            continue
        if done.returncode: sys.exit(done.stderr)
        g = np.load(f"{d}/{isa}.npy")
        assert g.shape == (m, n, p) and g.dtype == np.float32, (g.shape, g.dtype)
        e, e64 = error(g, torch32[:m]), error(g, exact[:m])
        print(f"| {name} | {isa} | {e.size} | {np.median(e):.1e} | {np.mean(e < LIMIT):.2%} | {e.max():.1e} | {np.mean(e64 < LIMIT):.2%} | {e64.max():.1e} |", flush=True)
        notes.append(f"{name} {isa}: 20 central differences, relative L2 error {error(g[0, 0, soft], slopes):.1e}")
        above += [(isa, r, i, g[r, i], e[r, i]) for r, i in zip(*(e >= LIMIT).nonzero())]
    print(*notes, sep="\n", flush=True)
    known = {}
    for isa, r, i, g, e in above:
        if (r, i) not in known: known[r, i] = Explanation(net, a, K[r], X[i], int(y[i]), exact[r, i])
        print(f"{name} {isa} row {r} example {i}: {e:.1e}; coar {known[r, i].of(g)}; torch {known[r, i].of(torch32[r, i])}", flush=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("coar"); ap.add_argument("--models", default=",".join(CASES)); ap.add_argument("--isa", default="avx512,avx2,portable")
    ap.add_argument("--resnet20"); ap.add_argument("--cifar10"); ap.add_argument("--tie", type=float, default=1e-4); ap.add_argument("--most", type=int, default=48)
    ap.add_argument("--threads", type=int, default=2)
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    print("| model | kernels | pairs | median | under 1e-3 | max | float64: under 1e-3 | max |\n|---|---|---|---|---|---|---|---|")
    for name in a.models.split(","):
        with tempfile.TemporaryDirectory() as d: check(a, name, d)


if __name__ == "__main__":
    main()
