"""What the fuzzers share: the command line, a limit of memory, and a loop over seeds that names what failed."""

import argparse
import resource
import shutil
import tempfile
import time
from pathlib import Path

MEMORY = 500 * 10**6
SECONDS, WAITED = 5, 60  # of computing; in all, on a busy machine


def slow(start):
    """What is wrong if a case that began at start, a moment(), took too long; or None."""
    used, took = (now - then for now, then in zip(moment(), start, strict=True))
    return f"{used:.1f} seconds of computing, {took:.1f} in all" if used > SECONDS or took > WAITED else None


def moment():
    return time.process_time(), time.monotonic()


def main(run, description, argv=None):
    """run(seed, empty folder): what is wrong, or None. Returns the exit code."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--seconds", type=float, help="instead of a number of cases")
    parser.add_argument("--seed", type=int, default=0, help="of the first case")
    args = parser.parse_args(argv)
    used = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))  # beyond it: MemoryError
    end = time.monotonic() + (args.seconds or 10**9)
    seed, failures = args.seed, 0
    while time.monotonic() < end and (args.seconds or seed < args.seed + args.cases):
        folder = Path(tempfile.mkdtemp(prefix="tinynet-fuzz-"))
        wrong = run(seed, folder)
        shutil.rmtree(folder)
        if wrong:
            failures += 1
            print(f"--seed {seed} --cases 1: {wrong}", flush=True)
        seed += 1
    print(f"{seed - args.seed} cases, {failures} failures")
    return failures > 0
