#!/usr/bin/env python3
"""Writes testdata/gradients/NAME.json: derivatives of margins by keep values as PyTorch computes them in float64, for the Go tests.

  python3 testdata/oracle/golden_gradients.py [NAME ...]

Networks, weights and images are those of golden_margins.py. Rows are softened (even) or hard (odd). Of the p derivatives
of a row and example, every STEP-th is stored from the row's number on, and the L2 norm of all.
"""
import json, os, sys
import numpy as np
import torch
from torch.nn.utils.stateless import functional_call

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from golden_margins import CASES as MARGINS, draw, weight
from torch_oracle import build, components, margins as output

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


def derivatives(model, table, row, x, label):
    """One example's margin and its derivatives by every keep value, in float64: each keep value scales its weight row."""
    row = row.clone().requires_grad_(True)
    params, scaled = dict(model.named_parameters()), {}
    for (key, rows), k in zip(table.items(), row.split(list(table.values()))):
        scaled[key] = params[key].detach() * k.view(-1, *[1] * (params[key].dim() - 1))
    value = output(functional_call(model, scaled, (x,)), torch.tensor([label])).sum()
    return value.item(), torch.autograd.grad(value, row)[0].numpy()


def main():
    for name in sys.argv[1:] or list(CASES):
        arch, side, _, _, fraction = MARGINS[name]
        n, m, step = CASES[name]
        model = build(arch)
        state = {k: torch.from_numpy(weight(k, list(v.shape))) for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
        model.load_state_dict(state, strict=False)
        model.double().eval()
        table = components(model)
        p, classes = sum(table.values()), list(state.values())[-1].shape[0]
        x, labels = torch.from_numpy(2 * draw("images", n * 3 * side * side).reshape(n, 3, side, side)).double(), [(7 * i + 3) % classes for i in range(n)]
        keep = torch.from_numpy(keep_rows(m, p, fraction)).double()
        out = [[derivatives(model, table, keep[r], x[i:i + 1], labels[i]) for i in range(n)] for r in range(m)]
        margins, gradients = np.array([[o[0] for o in row] for row in out]), np.array([[o[1] for o in row] for row in out])
        os.makedirs(os.path.join(HERE, "..", "gradients"), exist_ok=True)
        with open(os.path.join(HERE, "..", "gradients", name + ".json"), "w") as f:
            json.dump({"labels": labels, "step": step, "margins": margins.tolist(), "norms": np.linalg.norm(gradients, axis=2).tolist(),
                       "gradients": [[[float(f"{v:.7g}") for v in gradients[r, i, r::step]] for i in range(n)] for r in range(m)]}, f, separators=(",", ":"))
            f.write("\n")
        print(name, p, "components, norms", np.linalg.norm(gradients, axis=2).round(3).tolist())


if __name__ == "__main__":
    main()
