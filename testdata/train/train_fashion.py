#!/usr/bin/env python3
"""Trains the two networks that `coar demo` embeds, on Fashion-MNIST, with PyTorch on the CPU.

  python3 testdata/train/train_fashion.py resnet OUT.pth   CIFAR ResNet-20 on the 28x28 images
  python3 testdata/train/train_fashion.py vit    OUT.pth   torchvision VisionTransformer 28,7,6,3,96,192,10

Debian: apt-get install python3-torch python3-torchvision dataset-fashion-mnist.
The grey image is repeated to three channels and normalised with MEAN and STD below, the values that the
demo's preprocessing states. The log of the run that made the embedded weights is beside this file.
"""
import gzip, os, sys, time
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "oracle"))
from torch_oracle import build

DATA = "/usr/share/datasets/fashion-mnist"
MEAN, STD = 0.2860, 0.3530


def load(split):
    with gzip.open(f"{DATA}/{split}-images-idx3-ubyte.gz") as f:
        x = np.frombuffer(f.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    with gzip.open(f"{DATA}/{split}-labels-idx1-ubyte.gz") as f:
        y = np.frombuffer(f.read(), np.uint8, offset=8)
    x = (torch.from_numpy(x.copy()).float() / 255 - MEAN) / STD
    return x[:, None], torch.from_numpy(y.copy()).long()


def augment(x):
    """Mirror half of the images; shift each by up to two pixels."""
    flip = torch.rand(len(x)) < 0.5
    x = torch.where(flip[:, None, None, None], x.flip(3), x)
    dx, dy = torch.randint(0, 5, (2,)).tolist()
    return F.pad(x, (2, 2, 2, 2), value=-MEAN / STD)[:, :, dy:dy + 28, dx:dx + 28]


def accuracy(model, x, y):
    model.eval()
    with torch.no_grad():
        hits = sum((model(x[i:i + 500].expand(-1, 3, -1, -1)).argmax(1) == y[i:i + 500]).sum().item() for i in range(0, len(x), 500))
    model.train()
    return hits / len(x)


def main():
    kind, out = sys.argv[1:3]
    arch, epochs, lr, batch = {"resnet": ("resnet20", 8, 0.4, 256), "vit": ("vit:28,7,6,3,96,192,10", 18, 2e-3, 256)}[kind]
    torch.manual_seed(0)
    torch.set_num_threads(2)
    model = build(arch)
    if kind == "vit":  # torchvision zeroes the head; that is right for training
        opt = torch.optim.AdamW(model.parameters(), lr, weight_decay=0.05)
    else:
        for m in model.modules():
            if isinstance(m, nn.Conv2d): nn.init.kaiming_normal_(m.weight)
        opt = torch.optim.SGD(model.parameters(), lr, momentum=0.9, weight_decay=5e-4, nesterov=True)
    x, y = load("train"); xt, yt = load("t10k")
    steps = len(x) // batch
    sched = torch.optim.lr_scheduler.OneCycleLR(opt, lr, total_steps=epochs * steps, pct_start=0.2)
    start = time.time()
    for epoch in range(epochs):
        order, total = torch.randperm(len(x)), 0.0
        for s in range(steps):
            idx = order[s * batch:(s + 1) * batch]
            loss = F.cross_entropy(model(augment(x[idx]).expand(-1, 3, -1, -1)), y[idx], label_smoothing=0.05)
            opt.zero_grad(); loss.backward(); opt.step(); sched.step()
            total += loss.item()
        torch.save(model.state_dict(), out)
        print(f"{arch} epoch {epoch + 1}/{epochs} loss {total / steps:.4f} test accuracy {accuracy(model, xt, yt):.4f} {time.time() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
