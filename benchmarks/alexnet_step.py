"""The paper's AlexNet, a training step or inference: tinynet and PyTorch in turn, on this machine.

    python benchmarks/alexnet_step.py [--batch-size 32] [--rounds 7] [--threads 2]
    python benchmarks/alexnet_step.py --devices cpu,cpu    # also the two columns as two devices
    python benchmarks/alexnet_step.py --inference --batch-size 128
    python benchmarks/alexnet_step.py --all --write        # every figure of results/alexnet_step.md

A step is forward, loss, backward and update of the full network (60,965,224 parameters, 224 x 224,
dropout on); inference is forward alone, in evaluation mode, without a graph. Each library runs in a
process of its own, so that its peak memory is its own; they take turns, A B A B, so that whatever
else slows the machine slows all. PyTorch's network is the same one on one device: grouped
convolutions, LRN on each half of the channels. Every round also measures how fast sgemm is here: the
floor is the time that the network's products alone would take at that rate. Page faults count how often the
system had to find a page of memory for a step: none, if the step lives in memory that earlier ones gave back.
"""

import resource
import statistics
import sys
import time

import common
import numpy as np


def tinynet_step(args, width=1.0, image_size=224):
    import tinynet
    from tinynet import functional as F
    from tinynet import optim
    from tinynet.models import RECIPES, AlexNet

    tinynet.set_num_threads(args.threads)
    tinynet.backend.keep_freed_memory()
    recipe = RECIPES["chm2012"]
    model = AlexNet(1000, args.devices.split(","), width=width, image_size=image_size, recipe=recipe)
    optimizer = optim.PaperSGD(recipe.parameter_groups(model, 0.01, 0.0005), 0.01, 0.9)
    images, labels = batch(args.batch_size, image_size)

    def step():
        loss = F.cross_entropy(model(tinynet.tensor(images)), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    @tinynet.no_grad()
    def infer():
        model(tinynet.tensor(images))

    if args.inference:
        model.eval()
    return infer if args.inference else step, sum(p.size for p in model.parameters())


def torch_step(args):
    import torch
    from torch import nn

    torch.set_num_threads(args.threads)

    class ColumnLRN(nn.Module):
        def forward(self, x):  # each half of the channels on its own
            N, C, H, W = x.shape
            y = nn.functional.local_response_norm(x.view(2 * N, C // 2, H, W), 5, 1e-4, 0.75, 2.0)
            return y.view(x.shape)

    model = nn.Sequential(
        nn.Conv2d(3, 96, 11, 4, 2), nn.ReLU(), ColumnLRN(), nn.MaxPool2d(3, 2),
        nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.ReLU(), ColumnLRN(), nn.MaxPool2d(3, 2),
        nn.Conv2d(256, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 384, 3, padding=1, groups=2), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1, groups=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Flatten(),
        nn.Linear(9216, 4096), nn.ReLU(), nn.Dropout(),
        nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(),
        nn.Linear(4096, 1000),
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=0.0005)
    images, labels = map(torch.tensor, batch(args.batch_size, 224))

    def step():
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()

    @torch.no_grad()
    def infer():
        model(images)

    if args.inference:
        model.eval()
    return infer if args.inference else step, sum(p.numel() for p in model.parameters())


def batch(size, side):
    rng = np.random.default_rng(0)
    return rng.standard_normal((size, 3, side, side), dtype=np.float32), np.arange(size)


STEPS = {"tinynet": tinynet_step, "PyTorch": torch_step}


def work(args):
    if args.worker == "machine":
        common.serve(common.peaks(args))
        return
    step, parameters = STEPS[args.worker](args)
    assert parameters == 60_965_224
    step()  # the first step allocates

    def timed():
        before = resource.getrusage(resource.RUSAGE_SELF)
        start = time.perf_counter()
        step()
        seconds = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_SELF)
        unit = 1024**3 if sys.platform == "darwin" else 1024**2  # bytes there, KiB here -> GiB
        return {"seconds": seconds, "peak": after.ru_maxrss / unit, "faults": after.ru_minflt - before.ru_minflt}

    common.serve(timed)


def compare(args, batch_size, devices, inference):
    """Of one setting, {who: seconds of its rounds}, {who: peak memory in GiB}, {who: page faults of its rounds}."""
    options = ["--batch-size", batch_size, *(["--inference"] if inference else [])]
    workers = {"sgemm alone (the floor)": common.Worker("machine", args.threads)}
    for name in common.libraries():
        workers[name] = common.Worker(name, args.threads, *options, "--devices", "cpu")
    if devices != "cpu":
        workers[f"tinynet on {devices}"] = common.Worker("tinynet", args.threads, *options, "--devices", devices)
    turns = common.take_turns(workers, args.rounds)
    for worker in workers.values():
        worker.close()
    products = common.FORWARD.values() if inference else [*common.FORWARD.values(), *common.BACKWARD.values()]
    work = batch_size * sum(products)
    times = {who: [turn["seconds"] if "seconds" in turn else work / turn["sgemm"] for turn in some]
             for who, some in turns.items()}
    peaks = {who: some[-1].get("peak") for who, some in turns.items()}
    return times, peaks, {who: [turn["faults"] for turn in some] for who, some in turns.items() if peaks[who]}


def marks(setting, times, peaks):
    """What the figures of batch 32 and 128 must reach."""
    floor, ours, *_ = times.values()
    theirs, rows = times.get("PyTorch"), []
    least = {"training step, batch 32": 1.3, "training step, batch 128": 1.6, "inference, batch 128": 1.3}.get(setting)
    if least and theirs:
        rows.append(common.mark(f"{setting}: PyTorch's time / tinynet's", common.ratios(theirs, ours), least=least))
    if least and "training" in setting:
        rows.append(common.mark(f"{setting}: tinynet's time / the floor", common.ratios(ours, floor), most=1.8))
        for who in [who for who in times if "tinynet on" in who]:
            rows.append(common.mark(f"{setting}: {who} / on cpu", common.ratios(times[who], ours), most=1.05))
    if setting == "training step, batch 128" and theirs:
        memory = [peaks["tinynet"] / peaks["PyTorch"]]
        rows.append(common.mark(f"{setting}: peak memory, tinynet's / PyTorch's", memory, most=1.0))
    return rows


def main():
    parser = common.parser(__doc__, [*STEPS, "machine"])
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--threads", type=int, default=common.CORES)
    parser.add_argument("--devices", default="cpu", help="cpu,cpu: tinynet also with each column on a device")
    parser.add_argument("--inference", action="store_true", help="forward alone, in evaluation mode")
    parser.add_argument("--all", action="store_true", help="training at 32 and 128, on two devices too; inference")
    args = parser.parse_args()
    if args.worker:
        work(args)
        return
    settings = [(args.batch_size, args.devices, args.inference)]
    if args.all:
        settings = [(32, "cpu,cpu", False), (128, "cpu,cpu", False), (128, "cpu", True)]
    rows, found, medians = [], [], {}
    for batch_size, devices, inference in settings:
        setting = f"{'inference' if inference else 'training step'}, batch {batch_size}"
        times, peaks, faults = compare(args, batch_size, devices, inference)
        floor, *_ = times.values()
        for who, t in times.items():
            rows.append([
                setting, who, common.spread(t), f"{peaks[who]:.2f}" if peaks[who] else "",
                common.spread(faults[who], ".0f") if who in faults else "",
                common.spread(common.ratios(times["PyTorch"], t), ".2f") if "PyTorch" in times else "",
                common.spread(common.ratios(t, floor), ".2f"),
            ])
            medians.setdefault(who, {})[setting] = statistics.median(t)
        found += marks(setting, times, peaks)
    header = ["", "", "seconds, median (min to max)", "peak memory, GiB", "page faults, after the first step",
              "PyTorch's time / this", "this / the floor"]
    lines = [f"{args.rounds} rounds, {args.threads} threads.", "", *common.table(header, rows), ""]
    lines += common.marks_table(found)
    common.report(args, "AlexNet: a training step and inference", lines, common.bars(medians, "seconds"))


if __name__ == "__main__":
    main()
