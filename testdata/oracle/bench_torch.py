#!/usr/bin/env python3
"""Margins per second of coar and of PyTorch, in float32 and bfloat16, on the same weights, images and keep-rows.

  python3 testdata/oracle/bench_torch.py COAR [--pairs 5] [--models resnet20,resnet18,...]

COAR is the program's path. Every pair runs coar f32, PyTorch f32, coar bf16 and PyTorch bf16 one after the other, every second
pair in the reverse order; ratios are taken within a pair. PyTorch runs torch_oracle.py --bench (the median of many rows after one to
warm up), channels first and channels last, and the better of the two counts. coar's figure is that of a whole
`coar ablate` call's rows, writing and syncing included. bfloat16 is left out where coar says that the processor lacks it.
Output: a Markdown table of medians, and of ratios with the smallest and largest of all pairs. Other processes spoil it, PyTorch's side more,
whose threads wait for each other: every run waits for a quiet machine, up to 20 seconds, and is repeated, up to twice, where others used more
than a seventh of a processor meanwhile. The last column is the most that others used in a run that counts.
Debian: apt-get install python3-torch python3-torchvision.

PyTorch gets what serves it best here, by the environment. glibc's malloc as it is returns every large activation to the kernel and takes
it back zeroed, page by page; PEER_ENV lets it keep its memory, in huge pages where the kernel grants them.
Measured with resnet18, 16 images of 224x224, two cores of a Zen 5, PyTorch 1.13, glibc 2.36 (margins/s; system time and page faults of
the whole process, 9 rows):

  environment                       channels first   channels last   system time   page faults
  as it is                               28               39           3.4-4.3 s       400-490 k
  PEER_ENV                               55               70           1.5 s           21 k
  and inference_mode                     57               71           1.0-1.5 s       21 k
  and ATEN_CPU_CAPABILITY=avx512         53               71           0.8-1.4 s       21 k
  and OMP_PROC_BIND, active waiting      56               69           1.0-1.1 s       20 k

MALLOC_TRIM_THRESHOLD_ alone made it worse (1.1 to 1.7 million faults): it freezes the threshold above which malloc maps memory afresh.
The last two gave nothing and are left alone.
"""
import argparse, json, os, re, resource, statistics, subprocess, sys, tempfile, time
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
ORACLE = os.path.join(HERE, "torch_oracle.py")
MODELS = {  # name: (architecture, image side, examples, fraction, rows for coar, rows for PyTorch)
    "resnet20": ("resnet20", 32, 100, .1, 400, 60),
    "mini_resnet": ("mini_resnet:256x4", 32, 16, .1, 40, 9),
    "resnet18": ("resnet18", 224, 16, .05, 40, 11),
    "resnet50": ("resnet50", 224, 16, .05, 20, 9),
    "vit_b_16": ("vit_b_16", 224, 8, .05, 10, 5),
}
PEER_ENV = {
    "MALLOC_TRIM_THRESHOLD_": str(10**11), "MALLOC_MMAP_MAX_": "0", "MALLOC_TOP_PAD_": str(64 << 20),
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
# torch_oracle.py with inference_mode in no_grad's place.
PEER = "import runpy, sys, torch; torch.no_grad = torch.inference_mode; {}sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
# PyTorch 1.13's fused attention refuses bfloat16 and is taken unless autocast is seen to be on, which on the CPU it is not.
NO_FUSED_ATTENTION = "torch.is_autocast_enabled = lambda: True; "
RATIOS = [("coar f32", "PyTorch f32"), ("coar bf16", "PyTorch f32"), ("coar bf16", "PyTorch bf16")]


def run(*args):
    return subprocess.run(args, check=True, capture_output=True, text=True).stdout


def busy():
    """Processor seconds that the whole machine, and our finished children, have used."""
    t = list(map(int, open("/proc/stat").readline().split()[1:9]))
    c = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (sum(t) - t[3] - t[4]) / os.sysconf("SC_CLK_TCK"), c.ru_utime + c.ru_stime


def others(run):
    """run's result, and the processors that others used meanwhile."""
    (all0, own0), start = busy(), time.time()
    result = run()
    (all1, own1), took = busy(), time.time() - start
    return result, max(0, (all1 - all0 - own1 + own0) / took)


noise = []  # what others used in each run that counted


def undisturbed(*args, env=None):
    """Runs a program as quietly as the machine allows."""
    best = None
    for _ in range(3):
        for _ in range(20):
            if others(lambda: time.sleep(1))[1] < .15: break
        got = others(lambda: subprocess.run(args, env=env, capture_output=True, text=True))
        best = min(best or got, got, key=lambda g: g[1])
        if best[1] < .15 or got[0].returncode: break
    noise.append(best[1])
    return best[0]


def ours(coar, at, out, *extra):
    """Margins/s of one coar ablate into the new run directory out; None where the processor lacks the precision."""
    script = 'rm -rf "$1" && exec "$0" ablate "$@"'  # a repeated run must not resume
    r = undisturbed("sh", "-c", script, coar, at(out), "--json", "--quiet", "--weights", at("w.pth"), "--data", f"npy:{at('x.npy')},{at('y.npy')}",
                    "--masks-file", at("masks.npy"), *extra)
    if "needs a processor" in r.stderr:
        return None
    if r.returncode:
        sys.exit(r.stderr)
    return json.loads(r.stdout)["margins_per_second"]


def theirs(at, arch, n, rows, *extra):
    """Margins/s of PyTorch in the better layout; None where neither runs."""
    best = None
    for layout in ([], ["--channels-last"]):
        stub = PEER.format(NO_FUSED_ATTENTION if "--bf16" in extra else "")
        r = undisturbed(sys.executable, "-c", stub, ORACLE, "--arch", arch, "--weights", at("w.pth"), "--images", at("x.npy"), "--labels", at("y.npy"), "--masks", at("masks.npy"),
                            "--batch", str(n), "--bench", str(rows), *layout, *extra, env={**os.environ, **PEER_ENV})
        if r.returncode == 0:
            best = max(best or 0, float(re.search(r"([\d.]+) margins/s", r.stdout).group(1)))
    return best


def measure(name, coar, pairs):
    """A list of {contestant: margins/s} of pairs rounds; what does not run, or is not there, is missing."""
    arch, side, n, fraction, our_rows, their_rows = MODELS[name]
    with tempfile.TemporaryDirectory() as d:
        at = lambda f: os.path.join(d, f)
        rng = np.random.RandomState(0)
        np.save(at("x.npy"), rng.randn(n, 3, side, side).astype(np.float32))
        np.save(at("y.npy"), rng.randint(0, 10, n))
        table = run(sys.executable, ORACLE, "--arch", arch, "--weights", "random:0", "--save", at("w.pth"))
        total = int(re.search(r"total (\d+)", table).group(1))
        np.save(at("masks.npy"), rng.rand(our_rows, total) >= fraction)
        rounds, left_out = [], set()
        for pair in range(pairs):
            contest = {
                "coar f32": lambda: ours(coar, at, f"f32-{pair}"),
                "PyTorch f32": lambda: theirs(at, arch, n, their_rows),
                "coar bf16": lambda: ours(coar, at, f"bf16-{pair}", "--precision", "bf16"),
                "PyTorch bf16": lambda: theirs(at, arch, n, their_rows, "--bf16"),
            }
            order = list(contest) if pair % 2 == 0 else list(contest)[::-1]
            rounds.append({})
            for k in order:
                if k in left_out: continue
                rate = contest[k]()
                if rate is not None: rounds[-1][k] = rate
                elif k == "coar bf16": left_out = {"coar bf16", "PyTorch bf16"}
        return rounds


def median(rounds, who):
    values = [r[who] for r in rounds if who in r]
    return f"{statistics.median(values):.1f}" if values else "-"


def ratio(rounds, us, them):
    values = [r[us] / r[them] for r in rounds if us in r and them in r]
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})" if values else "-"


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("coar"); ap.add_argument("--pairs", type=int, default=5); ap.add_argument("--models", default=",".join(MODELS))
    a = ap.parse_args()
    contestants = ["coar f32", "PyTorch f32", "coar bf16", "PyTorch bf16"]
    head = ["model", *contestants, *(f"{us} : {them}" for us, them in RATIOS), "others"]
    print(f"Margins per second, medians of {a.pairs} pairs; ratios with the smallest and largest.\n")
    print("| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|", flush=True)
    for name in a.models.split(","):
        noise.clear()
        rounds = measure(name, a.coar, a.pairs)
        print("| " + " | ".join([name, *(median(rounds, c) for c in contestants), *(ratio(rounds, *r) for r in RATIOS), f"{max(noise):.2f}"]) + " |", flush=True)


if __name__ == "__main__":
    main()
