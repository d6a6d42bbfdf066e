"""What the CPU benchmarks share: workers that take turns, this machine's peak rates, tables, result pages.

A script starts itself again for each library, with `--worker <name>`, so that thread pools do not compete and peak
memory is measured separately. A worker answers each line of JSON with another.
"""

import argparse
import datetime
import functools
import importlib.metadata
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
RESULTS = Path(__file__).parent / "results"
REST = 0.3  # seconds: the last worker's idle threads spin for a while before they sleep

# C, H = W, K, R = S, stride, padding, groups, P = Q
CONVOLUTIONS = {
    "conv1": (3, 224, 96, 11, 4, 2, 1, 55),
    "conv2": (96, 27, 256, 5, 1, 2, 2, 27),
    "conv3": (256, 13, 384, 3, 1, 1, 1, 13),
    "conv4": (384, 13, 384, 3, 1, 1, 2, 13),
    "conv5": (384, 13, 256, 3, 1, 1, 2, 13),
}
FULLY_CONNECTED = {"fc6": (9216, 4096), "fc7": (4096, 4096), "fc8": (4096, 1000)}  # C, K

# Floating-point operations per image, forward: one multiplication and one addition per weight and output position.
FORWARD = {name: 2 * C // G * R * R * K * P * P for name, (C, _, K, R, _, _, G, P) in CONVOLUTIONS.items()}
FORWARD |= {name: 2 * C * K for name, (C, K) in FULLY_CONNECTED.items()}
# Backward takes two more products of that size, but the image needs no gradient. 4.136 GFLOP in all.
BACKWARD = {name: flop if name == "conv1" else 2 * flop for name, flop in FORWARD.items()}


class Worker:
    """This script in another process: worker(**question) returns its answer. `options` are added to the script's own.

    python: the interpreter; its environment needs only NumPy to import this file. launcher: a command that starts it.
    """

    def __init__(self, name, threads, *options, python=sys.executable, launcher=()):
        command = [*launcher, python, *sys.argv, *map(str, options), "--worker", name]
        limits = {f"{library}_NUM_THREADS": str(threads) for library in ("OPENBLAS", "OMP", "MKL")}
        pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.name, self.process = name, subprocess.Popen(command, env=os.environ | limits, **pipes)
        self.read()  # wait until it is ready

    def __call__(self, **question):
        time.sleep(REST)
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"the worker {self.name} ended with code {self.process.wait()}")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def serve(answer):
    """In a worker: for each line of standard input, print answer(**question) as JSON."""
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(**json.loads(line))), flush=True)


def take_turns(workers, rounds, **question):
    """{name: its answers}. A B A B, so that whatever else slows the machine down affects all of them."""
    answers = {name: [] for name in workers}
    for _ in range(rounds):
        for name, worker in workers.items():
            answers[name].append(worker(**question))
    return answers


@functools.cache  # prints the message once
def libraries():
    """tinynet, and PyTorch if it is installed."""
    if importlib.util.find_spec("torch"):
        return ["tinynet", "PyTorch"]
    print("PyTorch is not installed, so its columns stay empty (benchmarks/README.md says how to install it)")
    return ["tinynet"]


def peaks(args):
    """The answers of the worker `machine`: sgemm in FLOP/s, and a large copy in bytes/s, read and written.

    Each thread multiplies and copies on its own: this is what the machine can do, not how well threads share work.
    """
    import threadpoolctl  # a rival's environment, which imports this file too, may lack it

    a, b, *products = np.ones((2 + args.threads, 1536, 1536), np.float32)
    source, target = np.ones((2, args.threads, 2**25 // args.threads), np.float32)  # 128 MiB each, beyond the caches
    pool = ThreadPoolExecutor(args.threads)
    threadpoolctl.threadpool_limits(1)

    def best(body, *lists):
        seconds = []
        for _ in range(5):
            start = time.perf_counter()
            list(pool.map(body, *lists))
            seconds.append(time.perf_counter() - start)
        return min(seconds)

    def answer():
        sgemm = best(lambda out: np.matmul(a, b, out=out), products)
        copy = best(np.copyto, target, source)
        return {"sgemm": args.threads * 2 * len(a) ** 3 / sgemm, "copy": 2 * source.nbytes / copy}

    return answer


def table(header, rows):
    """A table as lines of Markdown."""
    return [f"| {' | '.join(map(str, row))} |" for row in (header, ["---"] * len(header), *rows)]


def spread(values, form=".3f", scale=1):
    """median (min to max)"""
    middle, low, high = (format(f(values) * scale, form) for f in (statistics.median, min, max))
    return f"{middle} ({low} to {high})"


def ratios(above, below):
    """above / below, round by round: whatever slowed a whole round down cancels."""
    return [a / b for a, b in zip(above, below, strict=True)]


def mark(figure, values, least=None, most=None):
    """A row: the median of `values` (ratios, one per round) against its target."""
    median = statistics.median(values)
    reached = median >= least if most is None else median <= most
    limit = f"at least {least}" if most is None else f"at most {most}"
    return [figure, limit, spread(values, ".2f"), "pass" if reached else "FAIL"]


def marks_table(marks):
    return table(["figure", "must be", "median of the rounds (min to max)", ""], marks) if marks else []


def bars(values, axis):
    """A function that draws {who: {what: value}} to a file: at each `what`, one bar per `who`."""

    def draw(path):
        from matplotlib.figure import Figure  # no pyplot: no window, no state

        names = list(next(iter(values.values())))
        height = 0.8 / len(values)
        figure = Figure((7, 1 + 0.17 * len(names) * (len(values) + 1)), layout="constrained")
        axes = figure.subplots()
        for i, (who, of) in enumerate(values.items()):
            y = [names.index(name) + i * height for name in of]
            axes.bar_label(axes.barh(y, of.values(), height, label=who), fmt=" %.3g", fontsize="x-small")
        axes.set_yticks([n + 0.4 - height / 2 for n in range(len(names))], names)
        axes.invert_yaxis()
        axes.margins(x=0.1, y=0.01)
        axes.set_xlabel(axis)
        figure.legend(loc="outside upper center", ncols=len(values))
        figure.savefig(path, dpi=120)

    return draw


def parser(doc, workers, rounds=7):
    """A parser with the options that all scripts share."""
    parser = argparse.ArgumentParser(description=doc.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--write", action="store_true", help="also write benchmarks/results/<name>.md")
    parser.add_argument("--worker", choices=workers, help=argparse.SUPPRESS)
    return parser


def about():
    """Lines: the date, the machine, the versions, the command."""
    import threadpoolctl

    blas = [f"{b['internal_api']} {b['version']}, {b['architecture']} kernels"
            for b in threadpoolctl.threadpool_info() if b["internal_api"] == "openblas"]
    versions = [f"Python {platform.python_version()}", f"NumPy {np.__version__} ({'; '.join(blas) or 'other BLAS'})"]
    for module, name in (("tinynet", "tinynet-alexnet"), ("torch", "torch"), ("PIL", "pillow")):
        if importlib.util.find_spec(module):
            versions.append(f"{name} {importlib.metadata.version(name)}")
    command = [Path(a).name if os.sep in a else a for a in sys.argv[1:]]  # no paths of this machine
    return [
        f"Measured on {datetime.date.today()}: {processor()}, {CORES} cores, {platform.system()}.",
        f"{', '.join(versions)}.",
        "",
        "    " + " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *command]),
    ]


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(": ")[2] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):  # not Linux, or a processor without this line
        return platform.processor() or platform.machine()


def report(args, title, lines, figure=None):
    """Print the page; with --write, also save it to results/, with the plot that figure(path) draws."""
    name = Path(sys.argv[0]).stem
    page = [f"# {title}", "", *about(), "", *lines]
    print("\n".join(page))
    if args.write:
        RESULTS.mkdir(exist_ok=True)
        if figure:
            figure(RESULTS / f"{name}.png")
            page += ["", f"![{title}]({name}.png)"]
        (RESULTS / f"{name}.md").write_text("\n".join(page) + "\n")
        print(f"\nwritten: benchmarks/results/{name}.md")
