#!/usr/bin/env python3
"""How coar ablate scales: workers, examples, rows already done, and the memory of a large run. Prints Markdown tables.

  python3 testdata/oracle/bench_scaling.py COAR [--parts workers,examples,rows,memory] [--models resnet20,...]

COAR is the program's path. Needs numpy alone: weights are drawn with the shapes that testdata/margins lists and written as
.safetensors. Times are coar's own for the rows, writing and syncing included; memory is the largest resident set of the process.
"""
import argparse, itertools, json, os, struct, subprocess, sys, tempfile
import numpy as np

MARGINS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "margins")


def apart(make):
    """make run in a process of its own: a program started later counts its parent's largest resident set as its own."""
    def run(*args):
        pid = os.fork()
        if pid == 0:
            try:
                make(*args)
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
    return run


@apart
def weights(name, path):
    """Writes the tensors that MARGINS/name.json lists, drawn at random: matrices of variance 1/fan-in, norms the identity."""
    rng, header, at, blobs = np.random.default_rng(0), {}, 0, []
    for t in json.load(open(os.path.join(MARGINS, name + ".json")))["tensors"]:
        key, shape = t["key"], t["shape"]
        if len(shape) > 1:
            x = rng.standard_normal(shape, dtype=np.float32) / np.float32(np.prod(shape[1:]) ** .5)
        else:
            x = np.full(shape, key.endswith(("weight", "running_var")), np.float32)
        header[key] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + x.nbytes]}
        at += x.nbytes
        blobs.append(x)
    h = json.dumps(header).encode()
    h += b" " * (-len(h) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(h)) + h)
        for x in blobs:
            f.write(x.tobytes())


@apart
def write_images(x, y, n, side):
    """Writes n images, a few in memory at a time."""
    rng = np.random.default_rng(1)
    out = np.lib.format.open_memmap(x, "w+", np.float32, (n, 3, side, side))
    for i in range(0, n, 50):
        out[i:i + 50] = rng.standard_normal(out[i:i + 50].shape, dtype=np.float32)
    out.flush()
    np.save(y, np.arange(n) % 10)


def images(directory, n, side):
    """Writes n images and returns their specification for --data."""
    x, y = os.path.join(directory, "x.npy"), os.path.join(directory, "y.npy")
    write_images(x, y, n, side)
    return f"npy:{x},{y}"


def start(coar, d, run, data, rows, *extra):
    return subprocess.Popen([coar, "ablate", os.path.join(d, run), "--json", "--quiet", "--weights", os.path.join(d, "w.safetensors"), "--data", data,
                             "-m", str(rows), "--gradients", "0", *extra], stdout=subprocess.PIPE, text=True)


def finish(p):
    """One coar ablate: its report, and the largest resident set in MB."""
    report = p.stdout.read()
    _, status, usage = os.wait4(p.pid, 0)
    if status:
        sys.exit("coar ablate failed")
    return json.loads(report), usage.ru_maxrss / 1024


def ablate(*args):
    return finish(start(*args))


def table(title, *head):
    print(f"\n{title}\n\n| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|", flush=True)


def line(*cells):
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


ROUNDS = 7
MODELS = {"resnet20": (32, 100, 60, .1), "mini_resnet_32": (32, 32, 150, .1), "resnet18_224": (224, 16, 12, .05), "vit_b_16": (224, 4, 16, .05)}  # side, images, rows of a worker, fraction


def workers(coar, models):
    table(f"Speed-up of two workers over {ROUNDS} rounds; beside it what two processes of one worker reach together, which share nothing but the machine. "
          "In a round one worker runs before and after the others, so that a machine that changes its speed between rounds changes no ratio; the best rates come from the machine's quietest moments",
          "model", "margins/s, 1 worker, median (best)", "2 workers", "2 processes", "speed-up, median of the rounds", "of the best", "of 2 processes", "of the best")
    for name in models:
        side, n, rows, fraction = MODELS[name]
        with tempfile.TemporaryDirectory() as d:
            weights(name, os.path.join(d, "w.safetensors"))
            data, runs = images(d, n, side), itertools.count()
            rates = {"one": [], "two": [], "apart": []}

            def measure(way, *processes):  # the workers of each process; every worker has the same number of rows
                begun = [start(coar, d, f"run{next(runs)}", data, w * rows, "--fraction", str(fraction), "--workers", str(w)) for w in processes]
                rates[way].append(sum(finish(p)[0]["margins_per_second"] for p in begun))

            for _ in range(ROUNDS):
                measure("one", 1)
                measure("two", 2)
                measure("apart", 1, 1)
                measure("one", 1)
            around = np.reshape(rates["one"], (ROUNDS, 2)).mean(1)
            cells = [f"{np.median(r):.1f} ({max(r):.1f})" for r in rates.values()]
            for way in "two", "apart":
                cells += [f"{np.median(rates[way] / around):.2f}", f"{max(rates[way]) / max(rates['one']):.2f}"]
            line(name, *cells)


def examples(coar):
    table("Time against examples: ResNet-20, 40 rows", "examples", "ms per row", "us per margin")
    with tempfile.TemporaryDirectory() as d:
        weights("resnet20", os.path.join(d, "w.safetensors"))
        for n in (16, 64, 256, 1024):
            r, _ = ablate(coar, d, f"run{n}", images(d, n, 32), 40)
            line(n, f"{1e3 * r['seconds'] / 40:.1f}", f"{1e6 / r['margins_per_second']:.0f}")


def rows(coar):
    table("Time against rows already done: ResNet-20, 16 examples, one run resumed", "rows done", "rows measured", "ms per row", "MB")
    with tempfile.TemporaryDirectory() as d:
        weights("resnet20", os.path.join(d, "w.safetensors"))
        data, done = images(d, 16, 32), 0
        for m in (500, 1000, 5000, 5500):
            r, mb = ablate(coar, d, "run", data, m)
            line(done, r["rows_measured"], f"{1e3 * r['seconds'] / r['rows_measured']:.2f}", f"{mb:.0f}")
            done = m


def memory(coar):
    table("Memory of ResNet-50, images of 224x224, one row", "images", "margins/s", "MB")
    with tempfile.TemporaryDirectory() as d:
        weights("resnet50_224", os.path.join(d, "w.safetensors"))
        for n in (10, 1000):
            r, mb = ablate(coar, d, f"run{n}", images(d, n, 224), 1, "--fraction", "0.05")
            line(n, f"{r['margins_per_second']:.1f}", f"{mb:.0f}")


def main():
    parts = {f.__name__: f for f in (workers, examples, rows, memory)}
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("coar"); ap.add_argument("--parts", default=",".join(parts))
    ap.add_argument("--models", default=",".join(MODELS), help="of the part workers")
    a = ap.parse_args()
    for name in a.parts.split(","):
        if name == "workers":
            workers(a.coar, a.models.split(","))
        else:
            parts[name](a.coar)


if __name__ == "__main__":
    main()
