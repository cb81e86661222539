#!/usr/bin/env python3
"""Correlation with fresh hard rows against cost, plain COAR beside gradient rows, as the Markdown tables of docs/estimator.md.

  python3 testdata/oracle/bench_estimator.py COAR DIR --model resnet|vit|resnet20 [--weights W --data SPEC] [--gradients 25,50,100,200,400]
                                             [--rows 688,2064] [--both 100:400,400:5000] [--examples 0-59] [--fresh 1000]

Needs nothing but the program. --model resnet and vit are the embedded networks, written by `coar demo DIR/demo`; anything else needs
--weights and --data. A run in DIR is extended step by step; where it has more rows already than a step asks for, the script stops. Cost is in forward passes of one
example: a gradient row counts as many as its time is of a hard row's, both measured by the program in this call.
"""
import argparse, json, os, subprocess, sys

EMBEDDED = {"resnet": ["--fraction", "0.1"], "vit": ["--heads", "3", "--fraction", "0.05"]}


def coar(a, *args):
    return json.loads(subprocess.run([a.coar, *args, "--json", "--quiet"], check=True, capture_output=True, text=True).stdout)


def inputs(a):
    if a.model not in EMBEDDED: return ["--weights", a.weights, "--data", a.data, "--fraction", str(a.fraction)]
    demo = f"{a.dir}/demo"
    if not os.path.exists(f"{demo}/{a.model}.safetensors"): subprocess.run([a.coar, "demo", demo, "--quiet"], check=True, stdout=subprocess.DEVNULL)
    return ["--weights", f"{demo}/{a.model}.safetensors", "--data", f"idx:{demo}/fashion-mnist", "--mean", "0.2860", "--std", "0.3530", *EMBEDDED[a.model]]


def extend(a, run, given, m, k):
    """Grows a run to m hard rows and k gradient rows, no more: the fit would use them all."""
    r = coar(a, "ablate", run, *given, "-m", str(m), "--gradients", str(k))
    if (r["rows"], r["gradient_rows"]) != (m, k):
        sys.exit(f"{run} has {r['rows']} rows and {r['gradient_rows']} gradient rows already, more than {m} and {k}: name another DIR")


def score(a, run, *fit):
    coar(a, "fit", run, *fit)
    c = coar(a, "evaluate", run, "--fractions", str(a.fraction), "--rows", str(a.fresh))["fractions"][0]["correlation"]
    return f"{c['mean']:.3f} ({c['low']:.3f} to {c['high']:.3f})"


def numbers(text): return [int(x) for x in text.split(",") if x]


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("coar"); ap.add_argument("dir"); ap.add_argument("--model", required=True)
    ap.add_argument("--weights"); ap.add_argument("--data"); ap.add_argument("--fraction", type=float)
    ap.add_argument("--gradients", default="25,50,100,200,400"); ap.add_argument("--rows", default=""); ap.add_argument("--both", default="")
    ap.add_argument("--examples", default="0-59"); ap.add_argument("--fresh", type=int, default=1000); ap.add_argument("--ratio", type=float)
    a = ap.parse_args()
    if a.model in EMBEDDED: a.fraction = float(EMBEDDED[a.model][-1])
    given = [*inputs(a), "--examples", a.examples]
    ratio = a.ratio
    if ratio is None:
        r = coar(a, "ablate", f"{a.dir}/{a.model}-ratio", *given, "-m", "400", "--gradients", "200")
        ratio = r["gradient_seconds"] / r["gradient_margins_measured"] * r["margins_per_second"] if r["gradient_margins_measured"] else float("nan")
    print(f"a gradient row costs {ratio:.2f} hard rows\n\n| estimate | cost | correlation (95 % interval) |\n|---|---|---|", flush=True)
    run = f"{a.dir}/{a.model}-gradient"
    for k in numbers(a.gradients):
        extend(a, run, given, 0, k)
        print(f"| {k} gradient rows | {k * ratio:.0f} | {score(a, run)} |", flush=True)
    for pair in [p for p in a.both.split(",") if p]:
        k, m = map(int, pair.split(":"))
        run = f"{a.dir}/{a.model}-both-{k}"
        extend(a, run, given, m, k)
        print(f"| {k} gradient rows and {m} hard rows | {k * ratio + m:.0f} | {score(a, run)} |", flush=True)
    run = f"{a.dir}/{a.model}-plain"
    for m in numbers(a.rows):
        extend(a, run, given, m, 0)
        for method in ("ridge", "lasso"):
            print(f"| plain COAR, {method}, {m} hard rows | {m} | {score(a, run, '--method', method)} |", flush=True)


if __name__ == "__main__":
    main()
