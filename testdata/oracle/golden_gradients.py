#!/usr/bin/env python3
"""Writes testdata/gradients/NAME.json: derivatives of margins by keep values as PyTorch computes them, for the Go tests.

  python3 testdata/oracle/golden_gradients.py [NAME ...]

Networks, weights and images are those of golden_margins.py. Rows are softened (even) or hard (odd). Of the p derivatives
of a row and example, every STEP-th is stored from the row's number on, and the L2 norm of all.
"""
import json, os, subprocess, sys, tempfile
import numpy as np
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from golden_margins import CASES as MARGINS, draw, weight
from torch_oracle import build, components

CASES = {  # name: (examples, rows, step)
    "resnet20": (3, 4, 7),
    "resnet20_28": (3, 2, 7),
    "mini_resnet_32": (3, 4, 3),
    "resnet18_64": (2, 2, 41),
    "resnet50_64": (2, 2, 211),
    "vit_small": (3, 4, 11),
    "vit_28": (2, 2, 23),
    "vit_b_16": (1, 2, 499),
}


def keep_rows(m, p, fraction):
    """Softened rows: 1 with probability 1 - 2 fraction, else uniform; hard rows: 0 with probability fraction, else 1."""
    u, level = draw("keep", m * p).reshape(m, p), (draw("level", m * p).reshape(m, p) + np.float32(1)) / np.float32(2)
    soft = np.where(u >= 4 * fraction - 1, np.float32(1), level)
    hard = (u >= 2 * fraction - 1).astype(np.float32)
    return np.where((np.arange(m) % 2 == 0)[:, None], soft, hard)


def main():
    for name in sys.argv[1:] or list(CASES):
        arch, side, _, _, fraction = MARGINS[name]
        n, m, step = CASES[name]
        model = build(arch)
        state = {k: torch.from_numpy(weight(k, list(v.shape))) for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
        model.load_state_dict(state, strict=False)
        p, classes = sum(components(model).values()), list(state.values())[-1].shape[0]
        with tempfile.TemporaryDirectory() as d:
            at = lambda f: os.path.join(d, f)
            torch.save(model.state_dict(), at("w.pth"))
            np.save(at("x.npy"), 2 * draw("images", n * 3 * side * side).reshape(n, 3, side, side))
            labels = [(7 * i + 3) % classes for i in range(n)]
            np.save(at("y.npy"), np.array(labels))
            np.save(at("masks.npy"), keep_rows(m, p, fraction))
            subprocess.run([sys.executable, os.path.join(HERE, "torch_oracle.py"), "--arch", arch, "--weights", at("w.pth"), "--images", at("x.npy"), "--labels", at("y.npy"),
                            "--masks", at("masks.npy"), "--out", at("m.npy"), "--gradients", at("g.npy")], check=True, capture_output=True)
            margins, gradients = np.load(at("m.npy")).astype(float), np.load(at("g.npy")).astype(float)
        os.makedirs(os.path.join(HERE, "..", "gradients"), exist_ok=True)
        with open(os.path.join(HERE, "..", "gradients", name + ".json"), "w") as f:
            json.dump({"labels": labels, "step": step, "margins": margins.tolist(), "norms": np.linalg.norm(gradients, axis=2).tolist(),
                       "gradients": [[[float(f"{v:.7g}") for v in gradients[r, i, r::step]] for i in range(n)] for r in range(m)]}, f, separators=(",", ":"))
            f.write("\n")
        print(name, p, "components, norms", np.linalg.norm(gradients, axis=2).round(3).tolist())


if __name__ == "__main__":
    main()
