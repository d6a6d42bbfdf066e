"""The paper's AlexNet shared out: one device, two columns, and 1, 2 and 4 ranks, in turn, on this machine.

    python benchmarks/parallel.py [--batch-size 32] [--rounds 5]
    python benchmarks/parallel.py --write

Each way trains on batches of the same size in all, with the same cores in all: on one machine splitting can
only cost, and this says how much and where. For each way: seconds a step; the share of it in which a rank
spends in collectives, moving bytes or waiting for others; the bytes that it hands to them. Beside it, what the cost
model of docs/scaling.md says, from three numbers that are measured here too: what a step costs for the weights
alone and for each image, and what it takes to sum up all gradients.
"""

import shutil
import statistics
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import common
import numpy as np

GRADIENT_BYTES = 4 * 60_965_224
# name: ranks, devices, what is shared
WAYS = {
    "one device": (1, "cpu", "data"),
    "two columns": (1, "cpu,cpu", "data"),
    "2 ranks": (2, "cpu", "data"),
    "4 ranks": (4, "cpu", "data"),
    "2 ranks, hybrid": (2, "cpu", "hybrid"),
    "4 ranks, hybrid": (4, "cpu", "hybrid"),
}


def work(args):
    """A worker on one rank or more: rank 0 reads the questions and answers, the others take part."""
    import tinynet
    from tinynet import explain, optim, parallel
    from tinynet.models import RECIPES, AlexNet, HybridAlexNet

    sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
    from alexnet_imagenet import train_epoch

    count, devices, kind = WAYS[args.worker]
    ranks = parallel.init(parallel=count > 1, timeout=600)
    tinynet.set_num_threads(max(1, args.threads // count))
    tinynet.backend.keep_freed_memory()
    recipe = RECIPES["chm2012"]
    model = AlexNet(1000, devices.split(","), width=args.width, recipe=recipe)
    crossing = sum(sum(step.sends.values()) for step in explain.steps(model, args.batch_size)[1:])  # not the images
    if kind == "hybrid":
        model = HybridAlexNet(model, ranks)
    data_parallel = parallel.DataParallel(model, ranks)
    optimizer = optim.PaperSGD(recipe.parameter_groups(model, 0.01, 0.0005), 0.01, 0.9)
    silent = SimpleNamespace(record=lambda *step: None)

    def step(batch_size):
        start, stop = tinynet.backend.bounds(batch_size, ranks.world_size)[ranks.rank]
        n = stop - start
        batch = np.random.default_rng(0).standard_normal((n, 3, 224, 224), dtype=np.float32), np.arange(n)
        ranks.all_gather_object("here")
        ranks.bytes, ranks.seconds, start = 0, 0.0, time.perf_counter()
        train_epoch([batch], model, optimizer, data_parallel, np.asarray, silent, lambda: None)
        everyones = np.array(ranks.all_gather_object([time.perf_counter() - start, ranks.seconds]))
        return {"seconds": everyones[:, 0].max(), "share": everyones[:, 1].mean() / everyones[:, 0].max(),
                "bytes": ranks.bytes if count > 1 else 2 * crossing}  # forward, and as many backward

    def all_reduce():
        """Seconds to add up arrays of the gradients' size, with nothing else to do."""
        array = np.ones(GRADIENT_BYTES // 4, np.float32)
        ranks.all_gather_object("here")
        start = time.perf_counter()
        ranks.all_reduce(array).wait()
        return time.perf_counter() - start

    def answer(batch_size):
        if batch_size:
            return step(batch_size)
        return {"seconds": max(ranks.all_gather_object(all_reduce()))}

    def everyone(**question):
        return answer(**ranks.all_gather_object(question)[0])

    step(args.batch_size)  # the first step allocates
    if ranks.rank == 0:
        common.serve(everyone)
        ranks.all_gather_object(None)
    else:
        while question := ranks.all_gather_object(None)[0]:
            answer(**question)


def measure(args, mpiexec):
    """{way: its answers}, the same for sums of gradients, and the seconds of one device with a small batch."""
    workers = {}
    for name, (count, _, _) in WAYS.items():
        if count == 1 or mpiexec:
            launcher = [mpiexec, "-n", str(count)] if count > 1 else []
            workers[name] = common.Worker(name, args.threads // count or 1, launcher=launcher)
    turns = common.take_turns(workers, args.rounds, batch_size=args.batch_size)
    small = common.take_turns({"one device": workers["one device"]}, args.rounds, batch_size=args.batch_size // 4)
    ranks = {name: worker for name, worker in workers.items() if name in ("2 ranks", "4 ranks")}
    sums = common.take_turns(ranks, args.rounds, batch_size=0)
    for worker in workers.values():
        worker.close()
    return turns, sums, small["one device"]


def seconds(answers):
    return [answer["seconds"] for answer in answers]


def main():
    parser = common.parser(__doc__, list(WAYS), rounds=5)
    parser.add_argument("--batch-size", type=int, default=32, help="of all ranks together")
    parser.add_argument("--threads", type=int, default=common.CORES, help="of all ranks together")
    parser.add_argument("--width", type=float, default=1.0, help="times the paper's channels")
    args = parser.parse_args()
    if args.worker:
        work(args)
        return
    mpiexec = shutil.which("mpiexec", path=str(Path(sys.executable).parent)) or shutil.which("mpiexec")
    if not mpiexec:
        print("there is no mpiexec here, so ranks are left out: pip install -e '.[mpi]'")
    turns, sums, small = measure(args, mpiexec)
    one, B = seconds(turns["one device"]), args.batch_size
    an_image = (statistics.median(one) - statistics.median(seconds(small))) / (B - B // 4)
    weights = statistics.median(one) - B * an_image
    sum_of = {WAYS[name][0]: statistics.median(seconds(answers)) for name, answers in sums.items()}
    rows = []
    for name, answers in turns.items():
        count, _, kind = WAYS[name]
        # Ranks on one machine share its cores and its memory's bandwidth: the work on weights comes `count` times.
        model = B * an_image + count * weights + sum_of.get(count, 0)
        rows.append([
            name, common.spread(seconds(answers)), common.spread(common.ratios(seconds(answers), one), ".2f"),
            f"{model:.3f}" if kind == "data" else "", common.spread([a["share"] for a in answers], ".0%"),
            f"{answers[0]['bytes'] / 1e6:.1f}",
        ])
    header = ["", "seconds a step, median (min to max)", "time / one device's", "the model", "in collectives",
              "MB handed to them"]
    lines = [
        f"Batch {B} in all, {args.rounds} rounds, {args.threads} threads in all.", "", *common.table(header, rows), "",
        f"One device: {1e3 * weights:.0f} ms a step for the weights and {1e3 * an_image:.2f} ms an image (batches of "
        f"{B // 4} and {B}).",
        *(f"To sum up {GRADIENT_BYTES / 1e6:.0f} MB over {count} ranks, with nothing else to do: {1e3 * s:.0f} ms."
          for count, s in sum_of.items()),
    ]
    slower = {name: statistics.median(common.ratios(seconds(a), one)) for name, a in turns.items()}
    slower = [f"{name} ({ratio:.2f} times the time)" for name, ratio in slower.items() if ratio > 1.02]
    lines += ["", f"Slower than one device on this machine: {', '.join(slower) or 'none'}."]
    medians = {"a step": {name: statistics.median(seconds(answers)) for name, answers in turns.items()}}
    common.report(args, "AlexNet shared out", lines, common.bars(medians, "seconds"))


if __name__ == "__main__":
    main()
