"""How the cost of tinynet's training step grows with the batch, the width, the image and the threads.

    python benchmarks/scaling.py [--rounds 5] [--quick]

One of them changes at a time; the others stay at batch 32, the paper's width, 224 x 224 and all cores. Each point
is a process of its own; points of one axis take turns, and hold some 7 GB together. The slope is that of a line
through the points in a plot of logarithms: with slope b the time grows as the b-th power. Expected where products
take all the time: 1 for the batch; 2 for the width, since a layer has channels going in and coming out; 2 for the
image's side; -1 for the threads.
"""

import argparse
import math
import statistics
import time
from types import SimpleNamespace

import common
import numpy as np
from alexnet_step import tinynet_step


def axes(quick):
    """({name: the usual value}, {name: values})"""
    powers = [2**i for i in range(common.CORES.bit_length())]
    threads = sorted({n for n in powers if n <= common.CORES} | {common.CORES})
    if quick:
        return {"batch": 2, "width": 0.125, "image": 64, "threads": common.CORES}, {
            "batch": [1, 2], "width": [0.125, 0.25], "image": [64, 96], "threads": threads,
        }
    return {"batch": 32, "width": 1.0, "image": 224, "threads": common.CORES}, {
        "batch": [4, 8, 16, 32, 64, 128],
        "width": [0.25, 0.5, 0.75, 1.0, 1.5],
        "image": [96, 128, 160, 192, 224],
        "threads": threads,
    }


def work(args):
    how = SimpleNamespace(batch_size=args.batch, threads=args.threads, devices="cpu", inference=False)
    step, _ = tinynet_step(how, args.width, args.image)
    step()  # the first step allocates

    def timed():
        start = time.perf_counter()
        step()
        return time.perf_counter() - start

    common.serve(timed)


def slope(values, seconds):
    """b of log(seconds) = a + b * log(value), by least squares; and a function that draws the line."""
    b, a = np.polyfit(np.log(values), np.log(seconds), 1)
    return b, lambda value: math.exp(a) * value**b


def measure(axis, values, usual, rounds):
    """{value: seconds of its rounds}"""
    workers = {}
    for value in values:
        setting = usual | {axis: value}
        options = [text for name, number in setting.items() for text in (f"--{name}", number)]
        workers[value] = common.Worker("tinynet", setting["threads"], *options)
    times = common.take_turns(workers, rounds)
    for worker in workers.values():
        worker.close()
    return times


def draw(found):
    """A function that draws {axis: {value: seconds}} into a file."""

    def plot(path):
        from matplotlib.figure import Figure

        figure = Figure((10, 3), layout="constrained")
        every = [second for seconds in found.values() for second in seconds.values()]
        for axes, (axis, seconds) in zip(figure.subplots(1, len(found), sharey=True), found.items(), strict=True):
            values = list(seconds)
            axes.loglog(values, seconds.values(), "o")
            title = axis
            if len(values) > 1:
                b, line = slope(values, list(seconds.values()))
                axes.loglog(values, [line(value) for value in values], "-")
                title = f"{axis}: slope {b:.2f}"
            axes.set_xticks(values, [f"{value:g}" for value in values])
            axes.set_yticks([0.1, 0.2, 0.5, 1, 2, 5], ["0.1", "0.2", "0.5", "1", "2", "5"])
            axes.set_ylim(0.7 * min(every), 1.4 * max(every))
            axes.minorticks_off()
            axes.set_title(title)
        figure.supylabel("seconds a step")
        figure.savefig(path, dpi=120)

    return plot


def main():
    parser = common.parser(__doc__, ["tinynet"], rounds=5)
    parser.add_argument("--quick", action="store_true", help="small sizes: does all of it run?")
    for name, kind in (("batch", int), ("width", float), ("image", int), ("threads", int)):
        parser.add_argument(f"--{name}", type=kind, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        work(args)
        return
    usual, axes_values = axes(args.quick)
    rows, slopes, found = [], [], {}
    for axis, values in axes_values.items():
        times = measure(axis, values, usual, args.rounds)
        found[axis] = medians = {value: statistics.median(t) for value, t in times.items()}
        last = None
        for value, t in times.items():
            here = slope([last, value], [medians[last], medians[value]])[0] if last else None
            rows.append([axis, f"{value:g}", common.spread(t), f"{here:.2f}" if last else ""])
            last = value
        if len(values) > 1:
            slopes.append([axis, f"{slope(values, list(medians.values()))[0]:.2f}"])
    setting = ", ".join(f"{name} {value:g}" for name, value in usual.items())
    common.report(args, "How the training step's cost grows", [
        f"{args.rounds} rounds. What does not change: {setting}.", "",
        *common.table(["axis", "value", "seconds a step, median (min to max)", "slope from the last point"], rows), "",
        *common.table(["axis", "slope through all points"], slopes),
    ], draw(found))


if __name__ == "__main__":
    main()
