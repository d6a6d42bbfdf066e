"""tinynet's kernels and its training step on a GPU, beside cuDNN, cuBLAS and PyTorch.

    python benchmarks/gpu.py              # some minutes; writes benchmarks/results/gpu-<device>.md
    python benchmarks/gpu.py --all        # doctor, the tests on a GPU, then this; their output in runs/gpu-<device>/
    python benchmarks/gpu.py --quick      # fewer rounds; writes nothing
    python benchmarks/gpu.py --device emu:0 --batch-size 1 --width 0.125 --dry-run    # no GPU: does all of it run?

How it measures. First every kernel must be right: on fresh random numbers, beside the NumPy path in
float64, its output poisoned with NaN before. Then rivals take turns, A B A B, over several sets of
inputs, so that none finds its own in the cache; the GPU is kept busy with copies until a whole round is
queued, so that no gap between launches counts; events on the GPU take the time, and the median of the
rounds stands. What the time could be at best is measured too, on this very GPU: a large copy, a large
product. Only the training step goes by the host's clock: there Python's own time belongs to it.
"""

import argparse
import contextlib
import datetime
import gc
import math
import platform
import statistics
import subprocess
import sys
import time
import traceback
from functools import partial
from pathlib import Path

import gpu_kernels
import gpu_step
import numpy as np
from common import table

import tinynet
from tinynet import backend

ROOT = Path(__file__).resolve().parents[1]
DRY = "dry run: these are not measurements"


class Bench:
    """The device, its clock, what tells right from wrong; and PyTorch, if it is there."""

    def __init__(self, args):
        self.args, self.cuda = args, args.device.startswith("cuda")
        if not self.cuda and not (args.device.startswith("emu") and args.dry_run):
            raise ValueError(f"{args.device} is no GPU; what needs none is a dry run: --device emu:0 --dry-run")
        self.torch, self.no_torch = find_torch(args.device)
        self.xp = backend.library(args.device)
        self.gpu = self.xp.cuda.Device(int(args.device.partition(":")[2]))
        self.gpu.use()
        self.modes = [False, True] if int(self.gpu.compute_capability) >= 80 else [False]  # TF32 off, on
        self.rng = np.random.default_rng()  # other numbers each time
        self.budget = 0.05 if args.quick else 0.3  # seconds for each contender
        self.ceiling = {"copy": math.nan, False: math.nan, True: math.nan}  # bytes/s; operations/s with TF32 off, on
        self.spreads, self.rounds, self.late = [], 0, 0
        self.marks, self.complaints = [], []
        size = 2**20 if args.dry_run else min(2**30, self.gpu.mem_info[0] // 8)
        self.large = self.xp.asarray(np.tile(self.normal(2**18), size // 2**20))  # 1 GiB where there is room
        self.copies, self.busy = 4, math.inf  # copies of it keep the GPU busy while a round is queued; for how long

    # ------------------------------------------------------------------- inputs, there and back

    def normal(self, *shape):
        return self.rng.standard_normal(shape, dtype=np.float32)

    def sets(self, *arrays):
        """Copies of the arrays on the device, enough to outgrow its cache: ([tinynet's, ...], [PyTorch's, ...])."""
        cache, size = self.gpu.attributes.get("L2CacheSize", 0), sum(a.nbytes for a in arrays)
        count = min(max(math.ceil(3 * cache / size), 2), 8) if self.cuda else 1
        ours = [[self.xp.asarray(a) for a in arrays] for _ in range(count)]
        return ours, [[self.tensor(a) for a in arrays] for _ in range(count)] if self.torch else []

    def tensor(self, array):
        return self.torch.tensor(array, device=self.args.device if self.cuda else "cpu")

    def host(self, array):
        if self.torch and isinstance(array, self.torch.Tensor):
            return array.detach().cpu().numpy()
        return self.xp.asnumpy(array)

    # ------------------------------------------------------------------------- right, then fast

    def compare(self, what, contenders):
        """{name: median seconds of a call}, without those that are wrong.

        contenders: {name: (calls, expected, limit)}. The calls do the same work on other sets of inputs; the
        first must give `expected` up to a relative error of `limit` (expected None: not checked).
        """
        good = {}
        for name, (calls, expected, limit) in contenders.items():
            try:
                with self.poisoned():
                    result = calls[0]()
                error = -1.0 if expected is None else relative_error(self.host(result), expected)
                del result
            except (MemoryError, RuntimeError) as problem:  # the other contenders may still succeed
                self.complain(f"{what}, {name}: {problem}")
                continue
            if expected is None or error < limit:  # nan is not
                good[name] = calls
            else:
                self.complain(f"{what}, {name} is WRONG: relative error {error:.1e}, allowed {limit:.1e}; not timed")
        return self.time(good)

    def complain(self, line):
        self.complaints.append(line)
        print("!", line, flush=True)

    @contextlib.contextmanager
    def poisoned(self):
        """All memory that CuPy hands out here is NaN before: what a kernel forgets to write shows."""
        if not self.cuda:
            yield
            return

        def allocate(size):
            memory = self.xp.get_default_memory_pool().malloc(size)
            if size:
                memory.memset_async(255, size)  # four or eight bytes of 255 are a NaN
            return memory

        with self.xp.cuda.using_allocator(allocate):
            yield

    def time(self, contenders):
        """{name: median seconds of a call}; contenders: {name: calls}."""
        rounds, times = {}, {name: [] for name in contenders}
        for name, calls in contenders.items():
            self.round(calls)  # compiles, chooses algorithms, allocates
            fit = self.budget / (self.round(calls) * len(calls))
            rounds[name] = 1 if self.args.dry_run else min(max(int(fit), 3), 30)
        for i in range(max(rounds.values(), default=0)):
            for name, calls in contenders.items():
                if i < rounds[name]:
                    times[name].append(self.round(calls, count=True))
        self.spreads += [middle_half(t) / statistics.median(t) for t in times.values() if len(t) > 1]
        return {name: statistics.median(t) for name, t in times.items()}

    def round(self, calls, count=False):
        """Seconds of a call, the mean of one round of them. count: the round goes into the report."""
        if not self.cuda:
            start = time.perf_counter()
            for call in calls:
                call()
            return (time.perf_counter() - start) / len(calls)
        start, stop = self.xp.cuda.Event(), self.xp.cuda.Event()  # on the stream that PyTorch uses too
        begin = time.perf_counter()
        for _ in range(self.copies):
            self.large.copy()
        start.record()
        results = [call() for call in calls]  # alive together, so that each lies in memory of its own
        stop.record()
        self.rounds += count
        self.late += count and time.perf_counter() - begin > self.busy  # the GPU had to wait for Python
        stop.synchronize()
        del results
        return self.xp.cuda.get_elapsed_time(start, stop) / 1000 / len(calls)

    # -------------------------------------------------------------------------------- the rest

    @contextlib.contextmanager
    def tf32(self, on):
        """Both libraries may use TF32 in here, or may not."""

        def allow(on):
            tinynet.allow_tf32(on)
            if self.torch:
                self.torch.backends.cuda.matmul.allow_tf32 = self.torch.backends.cudnn.allow_tf32 = on

        allow(on)
        try:
            yield
        finally:
            allow(False)

    def free(self):
        """Give back the memory that nobody uses."""
        gc.collect()
        self.xp.get_default_memory_pool().free_all_blocks()
        if self.torch and self.cuda:
            self.torch.cuda.empty_cache()

    def verdict(self, got, wanted):
        return "-" if self.args.dry_run else "pass" if got >= wanted else "FAIL"


def find_torch(device):
    """(module, None) or (None, why not). Before CuPy, so that it finds the CUDA libraries that it was built for."""
    try:
        import torch
    except ImportError:
        return None, "PyTorch is not installed here: its columns, cuDNN's and cuBLAS's are -"
    if device.startswith("cuda"):
        if not torch.cuda.is_available():
            return None, f"PyTorch {torch.__version__} finds no GPU here: its columns, cuDNN's and cuBLAS's are -"
        torch.cuda.set_device(device)
    torch.backends.cudnn.benchmark = True  # it tries its algorithms and takes the fastest
    return torch, None


def relative_error(got, expected):
    return float(np.linalg.norm((got - expected).ravel()) / np.linalg.norm(expected.ravel()))


def middle_half(values):
    first, _, third = statistics.quantiles(values, n=4)
    return third - first


# ------------------------------------------------------------------------------------- sections


def ceilings(bench):
    """The fastest copy and the fastest product on this device."""
    large = bench.large
    seconds = bench.compare("copy", {"copy": ([large.copy], bench.host(large), 1e-7)})["copy"]
    bench.copies = math.ceil(0.003 / seconds)
    bench.busy = bench.copies * seconds
    bench.ceiling["copy"] = 2 * large.nbytes / seconds
    rate = f"{bench.ceiling['copy'] / 1e9:.0f} GB/s, read + written"
    rows = [[f"copy of {large.nbytes / 2**20:.0f} MiB", "CuPy", rate]]
    n = 64 if bench.args.dry_run else 8192
    a, b = bench.normal(n, n), bench.normal(n, n)
    expected = a[:64].astype(np.float64) @ b.astype(np.float64)
    ours, theirs = bench.sets(a, b)
    libraries = {"CuPy": ours} | ({"PyTorch": theirs} if theirs else {})
    for tf32 in bench.modes:
        what, limit = ("TF32", gpu_kernels.TF32) if tf32 else ("float32", gpu_kernels.FLOAT32)
        calls = {name: [partial(first_rows_of_product, *pair) for pair in pairs] for name, pairs in libraries.items()}
        with bench.tf32(tf32):
            times = bench.compare(f"{what} product", {name: (calls[name], expected, limit) for name in calls})
        for name, seconds in times.items():
            rate = f"{2 * n**3 / seconds / 1e12:.1f} TFLOP/s"
            rows.append([f"{what} product, {n} x {n} x {n}", f"cuBLAS, {name}", rate])
        bench.ceiling[tf32] = 2 * n**3 / min(times.values(), default=math.nan)
    return table(["", "through", "measured"], rows)


def first_rows_of_product(a, b):
    return (a @ b)[:64]


def in_short(bench):
    """What went wrong, how steady the times were, and the marks."""
    wrong = [f"- {line}" for line in bench.complaints] or ["Every kernel was right."]
    steady = []
    if bench.spreads:
        usual, worst = statistics.median(bench.spreads), max(bench.spreads)
        steady = [f"The middle half of a kernel's rounds spans {usual:.1%} of their median; at worst {worst:.1%}."]
    if bench.late:
        steady.append(f"In {bench.late} of {bench.rounds} rounds the GPU had to wait for Python, and the gaps count.")
    rows = [[what, f"{wanted:.1f}", f"{got:.2f}", bench.verdict(got, wanted)] for what, wanted, got in bench.marks]
    marks = table(["mark", "at least", "measured", ""], rows) if rows else ["No marks: they need PyTorch."]
    return [*wrong, "", *steady, "", *marks]


# --------------------------------------------------------------------------------------- report


def about(bench):
    """(the device's name, lines on the device, the versions and the command)."""
    args, name = bench.args, device_name(bench.args.device)
    versions = [f"Python {platform.python_version()}", f"tinynet {tinynet.__version__}", f"NumPy {np.__version__}"]
    if bench.cuda:
        cuda = bench.xp.cuda
        numbers = cuda.runtime.driverGetVersion(), cuda.runtime.runtimeGetVersion()  # 13020 is 13.2
        newest, runtime = (f"{number // 1000}.{number % 1000 // 10}" for number in numbers)
        versions += [f"driver {driver()} (CUDA up to {newest})", f"CUDA {runtime}"]
        versions += [f"NVRTC {'.'.join(map(str, cuda.nvrtc.getVersion()))}", f"CuPy {bench.xp.__version__}"]
    if bench.torch:
        cudnn = bench.torch.backends.cudnn.version()
        versions.append(f"PyTorch {bench.torch.__version__} (CUDA {bench.torch.version.cuda}, cuDNN {cudnn})")
    return name, [
        f"{name}, {bench.gpu.attributes['MultiProcessorCount']} multiprocessors, compute capability "
        f"{bench.gpu.compute_capability}, {bench.gpu.mem_info[1] / 2**30:.0f} GiB. {datetime.date.today()}.",
        "; ".join(versions) + ".",
        *([bench.no_torch] if bench.no_torch else []),
        f"Batch {args.batch_size}, {args.image_size} x {args.image_size}, width {args.width:g}.",
        "",
        f"    python benchmarks/gpu.py {' '.join(sys.argv[1:])}".rstrip(),
    ]


def device_name(device):
    if not device.startswith("cuda"):
        return device
    number = int(device.partition(":")[2])
    return backend.library(device).cuda.runtime.getDeviceProperties(number)["name"].decode()


def file_name(name):
    return "gpu-" + name.lower().replace(" ", "-").replace(":", "-")


def driver():
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True, check=True).stdout.split()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "unknown"


def parse():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--width", type=float, default=1.0, help="times the paper's number of channels")
    parser.add_argument("--quick", action="store_true", help="fewer rounds; writes no file")
    parser.add_argument("--all", action="store_true", help="doctor and the tests on a GPU first; output in runs/")
    parser.add_argument("--dry-run", action="store_true", help="everything once, on small images; measures nothing")
    args = parser.parse_args()
    args.image_size = 64 if args.dry_run else 224
    return args


def everything(folder):
    """doctor, the tests on a GPU, and this benchmark, whatever fails: they print into the folder, too. Exits."""
    options = [argument for argument in sys.argv[1:] if argument != "--all"]
    steps = {
        "doctor": ["-m", "tinynet", "doctor"],
        "tests": ["-m", "pytest", "-m", "gpu", "-rs"],
        "benchmark": [str(ROOT / "benchmarks" / "gpu.py"), *options],
    }
    folder.mkdir(parents=True, exist_ok=True)
    codes = {step: tee(command, folder / f"{step}.txt") for step, command in steps.items()}
    ends = [f"{step}: {'done' if code == 0 else f'FAILED with exit code {code}'}" for step, code in codes.items()]
    print(f"\n{folder}: {', '.join(ends)}")
    sys.exit(1 if any(codes.values()) else 0)


def tee(command, path):
    """Run Python with these arguments; what it prints is shown and written. Returns its exit code."""
    print(f"\n$ python {' '.join(command)}", flush=True)
    how = dict(cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    with subprocess.Popen([sys.executable, "-u", *command], **how) as process, path.open("w") as file:
        for line in process.stdout:
            print(line, end="", flush=True)
            file.write(line)
    return process.returncode


def main():
    args = parse()
    try:
        if args.all:
            everything(ROOT / "runs" / file_name(device_name(args.device)))
        bench = Bench(args)
    except (RuntimeError, ValueError) as error:  # no CuPy, no GPU
        print(f"gpu.py: {error}", file=sys.stderr)
        sys.exit(2)
    backend.keep_freed_memory()
    sections = {
        "Ceilings": ceilings,
        "Convolutions": gpu_kernels.convolutions,
        "The other kernels": gpu_kernels.others,
        "One training step": gpu_step.training_step,
        "In short": in_short,
    }
    name, lines = about(bench)
    report = [f"# tinynet on {name}", "", *([DRY, ""] if args.dry_run else []), *lines]
    print("\n".join(report), flush=True)
    for title, section in sections.items():
        bench.free()
        try:
            lines = section(bench)
        except Exception as error:  # what the others measure must not be lost
            traceback.print_exc()
            bench.complain(f"{title}: {type(error).__name__}: {error}")
            lines = [bench.complaints[-1]]
        lines = ["", f"## {title}", "", *lines]
        print("\n".join(lines), flush=True)
        report += lines
    if args.dry_run:
        print(f"\n{DRY}")
    elif not args.quick:
        path = ROOT / "benchmarks" / "results" / f"{file_name(name)}.md"
        path.write_text("\n".join(report) + "\n")
        print(f"\nwritten: {path}")
    sys.exit(1 if bench.complaints else 0)


if __name__ == "__main__":
    main()
