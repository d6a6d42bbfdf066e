"""Trains a tiny AlexNet for many steps, and watches what the process holds: memory, threads, open files.

    python tests/training/soak.py --steps 300 --trace     # as the tests run it
    python tests/training/soak.py --steps 10000

A sample after each epoch of 50 steps; the first two epochs fill caches and do not count. --trace: also count the bytes
that Python and NumPy hold, with tracemalloc, which is slow. What may grow is metrics.csv's rows, which are kept for
curves.png.
"""

import argparse
import gc
import os
import resource
import sys
import tempfile
import threading
import tracemalloc
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
import alexnet_imagenet as example

from tinynet import backend, data, training
from tinynet.errors import RunError
from tinynet.parallel import Ranks

PER_STEP = 1000  # bytes traced
RESIDENT = 16 * 2**20  # bytes: what malloc's pools may grow by


def sample(step):
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return {"step": step, "traced": tracemalloc.get_traced_memory()[0], "resident": pages * resource.getpagesize(),
            "threads": threading.active_count(), "files": len(os.listdir("/proc/self/fd"))}


def soak(steps, folder):
    """The samples of a run, one per epoch."""
    samples = []

    class Watched(training.Progress):
        def end_epoch(self, result):
            super().end_epoch(result)
            samples.append(sample(self.step))

    pictures = data.shapes(folder / "pictures", train=200, val=20, side=72)
    arguments = ["--data", pictures, "--out", folder / "run", "--width", 0.05, "--image-size", 63, "--batch-size", 4,
                 "--devices", "cpu", "--epochs", steps // 50, "--stop-after", steps, "--workers", 1, "--lr", 0.001]
    training.Progress = Watched
    backend.set_num_threads(1)
    try:
        example.main(Ranks(), list(map(str, arguments)))
    except RunError as error:
        if error.code:
            raise
    return samples


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=300, help="300 or more")
    parser.add_argument("--trace", action="store_true")
    args = parser.parse_args()
    if args.trace:
        tracemalloc.start()
    with tempfile.TemporaryDirectory() as folder:
        samples = soak(args.steps, Path(folder))
    for row in samples[1 :: max(len(samples) // 10, 1)]:
        print(", ".join(f"{name} {number:,}" for name, number in row.items()))
    first, last = samples[1], samples[-1]
    grown = {name: last[name] - first[name] for name in first}
    print("grown: " + ", ".join(f"{name} {number:,}" for name, number in grown.items()))
    wrong = [name for name, limit in (("traced", PER_STEP * grown["step"]), ("resident", RESIDENT), ("threads", 0),
                                      ("files", 0)) if grown[name] > limit]
    print(f"leaks: {', '.join(wrong)}" if wrong else "no leaks")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
