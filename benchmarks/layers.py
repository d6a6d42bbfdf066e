"""Each layer of the paper's AlexNet by itself, forward and backward: tinynet and PyTorch in turn.

    python benchmarks/layers.py [--batch-size 128] [--rounds 7] [--threads 2] [--layers conv2 lrn1]

Convolutions and fully connected layers are products: GFLOP/s, and the share of this machine's own sgemm. All
others wait for the memory: GB/s of the fewest bytes that can do it, each input read once and each output written
once, and the share of a large copy. Both ceilings are measured between the layers, in the same run.

Backward is the layer's own: dy in, all of dx, dw and db out, without what an engine does between layers. tinynet
keeps memory that was freed, as its example does; PyTorch is as it comes.
"""

import functools
import math
import statistics
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import NamedTuple

import common
import numpy as np

ENOUGH = 0.2  # seconds that one turn repeats a layer


# --------------------------------------------------------------------------------------- layers


class Layer(NamedTuple):
    """call(library, x, *parameters) -> y. Shapes of x and y are without the batch."""

    call: Callable
    x: tuple
    y: tuple
    parameters: tuple = ()
    reads_again: bool = True  # backward needs an array of x's size besides dy

    def work(self, name, batch_size):
        """(unit, of the forward pass, of the backward pass)"""
        if name in common.FORWARD:
            return "GFLOP/s", batch_size * common.FORWARD[name], batch_size * common.BACKWARD[name]
        if name == "update":
            return "GB/s", 4 * 5 * parameters(), 0  # reads w, g and v; writes w and v
        x, y = batch_size * math.prod(self.x), batch_size * math.prod(self.y)
        return "GB/s", 4 * (x + y), 4 * (y + x + x * self.reads_again)


def layers():
    """{name: Layer}, in the network's order. PyTorch's functions have the same names and arguments as tinynet's."""
    found = {}
    for name, (C, H, K, R, stride, padding, groups, P) in common.CONVOLUTIONS.items():
        how = stride, padding, 1, groups
        found[name] = Layer(lambda lib, *xs, how=how: lib.F.conv2d(*xs, *how), (C, H, H), (K, P, P),
                            ((K, C // groups, R, R), (K,)))
    found["relu1"] = Layer(lambda lib, x: lib.F.relu(x), (96, 55, 55), (96, 55, 55))
    for name, image in {"lrn1": (96, 55, 55), "lrn2": (256, 27, 27)}.items():
        found[name] = Layer(lambda lib, x: lib.column_lrn(x), image, image)
    for name, (C, H, P) in {"pool1": (96, 55, 27), "pool2": (256, 27, 13), "pool5": (256, 13, 6)}.items():
        found[name] = Layer(lambda lib, x: lib.F.max_pool2d(x, 3, 2), (C, H, H), (C, P, P), reads_again=False)
    for name, (C, K) in common.FULLY_CONNECTED.items():
        found[name] = Layer(lambda lib, *xs: lib.F.linear(*xs), (C,), (K,), ((K, C), (K,)))
    found["drop6"] = Layer(lambda lib, x: lib.F.dropout(x, 0.5), (4096,), (4096,), reads_again=False)
    found["loss"] = Layer(lambda lib, x: lib.F.cross_entropy(x, lib.labels(len(x))), (1000,), ())
    found["update"] = Layer(None, (), ())
    return found


LAYERS = layers()


def parameters():
    """How many the network has."""
    return sum(math.prod(shape) for layer in LAYERS.values() for shape in layer.parameters)


# ------------------------------------------------------------------------------------ libraries


def tinynet_library(threads):
    import tinynet
    from tinynet import functional as F
    from tinynet import optim

    tinynet.set_num_threads(threads)
    tinynet.backend.keep_freed_memory()
    return SimpleNamespace(
        F=F,
        tensor=tinynet.tensor,  # (array, requires_grad)
        labels=np.arange,
        column_lrn=lambda x: F.local_response_norm(x, 5, 1e-4, 0.75, 2.0, groups=2),
        backward=lambda y, dy, inputs: y.function.backward(dy.data),
        optimizer=lambda weights: optim.PaperSGD(weights, 0.01, 0.9, 0.0005),
        set_gradient=lambda weight, array: setattr(weight, "grad", array),
    )


def torch_library(threads):
    import torch
    from torch.nn import functional as F

    torch.set_num_threads(threads)

    def column_lrn(x):  # each half of the channels on its own
        N, C, H, W = x.shape
        return F.local_response_norm(x.view(2 * N, C // 2, H, W), 5, 1e-4, 0.75, 2.0).view(x.shape)

    return SimpleNamespace(
        F=F,
        tensor=lambda array, requires_grad: torch.from_numpy(array).requires_grad_(requires_grad),
        labels=torch.arange,
        column_lrn=column_lrn,
        backward=lambda y, dy, inputs: torch.autograd.grad(y, [x for x in inputs if x.requires_grad], dy),
        optimizer=lambda weights: torch.optim.SGD(weights, 0.01, 0.9, weight_decay=0.0005),
        set_gradient=lambda weight, array: setattr(weight, "grad", torch.from_numpy(array)),
    )


LIBRARIES = {"tinynet": tinynet_library, "PyTorch": torch_library}


def work(args):
    if args.worker == "machine":
        peaks = common.peaks(args)
        common.serve(lambda layer: peaks())
        return
    library, rng = LIBRARIES[args.worker](args.threads), np.random.default_rng(0)

    def normal(shape):
        return np.asarray(rng.standard_normal(shape, np.float32))

    @functools.lru_cache(maxsize=1)  # all rounds of a layer come one after the other
    def passes(name):
        """(forward() -> y, backward(y))"""
        layer = LAYERS[name]
        if name == "update":
            weights = [library.tensor(normal(shape), True) for other in LAYERS.values() for shape in other.parameters]
            for weight in weights:
                library.set_gradient(weight, normal(tuple(weight.shape)))
            return library.optimizer(weights).step, lambda y: None
        inputs = [library.tensor(normal((args.batch_size, *layer.x)), name != "conv1")]
        inputs += [library.tensor(normal(shape), True) for shape in layer.parameters]
        dy = library.tensor(normal((args.batch_size, *layer.y) if layer.y else ()), False)
        return lambda: layer.call(library, *inputs), lambda y: library.backward(y, dy, inputs)

    def turn(layer):
        forward, backward = passes(layer)
        backward(forward())  # wakes the threads
        times, end = [], time.perf_counter() + ENOUGH
        while not times or time.perf_counter() < end:
            start = time.perf_counter()
            y = forward()
            between = time.perf_counter()
            dxs = backward(y)
            times.append((between - start, time.perf_counter() - between))
            del y, dxs
        return [statistics.median(t) for t in zip(*times, strict=True)]

    common.serve(turn)


# ---------------------------------------------------------------------------------------- tables


def rows_of(name, batch_size, turns):
    """(rows of the table, marks, {library: median seconds of both passes})"""
    unit, *works = LAYERS[name].work(name, batch_size)
    ceiling = [turn["sgemm" if unit == "GFLOP/s" else "copy"] for turn in turns.pop("machine")]
    rows, found = [], []
    times = {who: dict(zip(("forward", "backward"), zip(*some, strict=True), strict=True))
             for who, some in turns.items()}
    for t in times.values():
        t["both"] = [f + b for f, b in zip(t["forward"], t["backward"], strict=True)]
    for which, size in zip(("forward", "backward", "both"), (*works, sum(works)), strict=True):
        if name == "update" and which != "forward":
            continue
        ours, theirs = (times.get(who, {}).get(which) for who in LIBRARIES)
        rates = [size / seconds for seconds in ours]
        rows.append([
            name, which if name != "update" else "", common.spread(ours, ".2f", 1e3),
            f"{statistics.median(rates) / 1e9:.4g} {unit}", f"{statistics.median(common.ratios(rates, ceiling)):.0%}",
            common.spread(theirs, ".2f", 1e3) if theirs else "",
            common.spread(common.ratios(theirs, ours), ".2f") if theirs else "",
        ])
        least = 0.8 if name.startswith("conv") else 3 if name.startswith(("lrn", "pool")) else None
        if which == "both" and least and theirs:
            figure = f"{name}, forward and backward: PyTorch's time / tinynet's"
            found.append(common.mark(figure, common.ratios(theirs, ours), least=least))
    return rows, found, {who: statistics.median(t["both"]) for who, t in times.items()}


def main():
    parser = common.parser(__doc__, [*LIBRARIES, "machine"])
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--threads", type=int, default=common.CORES)
    parser.add_argument("--layers", nargs="+", choices=LAYERS, default=list(LAYERS), metavar="LAYER")
    args = parser.parse_args()
    if args.worker:
        work(args)
        return
    workers = {name: common.Worker(name, args.threads) for name in ("machine", *common.libraries())}
    rows, marks, machine, medians = [], [], [], {}
    for name in args.layers:
        turns = common.take_turns(workers, args.rounds, layer=name)
        machine += turns["machine"]
        more_rows, more_marks, seconds = rows_of(name, args.batch_size, turns)
        rows, marks = rows + more_rows, marks + more_marks
        for who, t in seconds.items():
            medians.setdefault(who, {})[name] = t * 1e3
    for worker in workers.values():
        worker.close()
    sgemm, copy = ([turn[what] for turn in machine] for what in ("sgemm", "copy"))
    header = ["layer", "pass", "tinynet, ms, median (min to max)", "rate", "of the ceiling", "PyTorch, ms",
              "PyTorch's time / tinynet's"]
    common.report(args, "The layers of AlexNet", [
        f"Batch {args.batch_size}, {args.rounds} rounds, {args.threads} threads. The ceilings: sgemm "
        f"{common.spread(sgemm, '.0f', 1e-9)} GFLOP/s, copy {common.spread(copy, '.1f', 1e-9)} GB/s.",
        "", *common.table(header, rows), "", *common.marks_table(marks),
    ], common.bars(medians, "milliseconds, forward and backward"))


if __name__ == "__main__":
    main()
