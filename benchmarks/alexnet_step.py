"""One training step of the paper's AlexNet: tinynet and PyTorch in turn, on this machine.

    python benchmarks/alexnet_step.py [--batch-size 32] [--rounds 7] [--threads 2]

A step is forward, loss, backward and update of the full network (60,965,224 parameters, 224 x 224,
dropout on). Each library runs in a process of its own, so that its peak memory is its own; the
two take turns, A B A B, so that whatever else slows the machine slows both. PyTorch's network is
the same one on one device: grouped convolutions, LRN on each half of the channels.
"""

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import time

import numpy as np


def tinynet_step(batch_size, devices, threads):
    import tinynet
    from tinynet import functional as F
    from tinynet import optim
    from tinynet.models import RECIPES, AlexNet

    tinynet.backend.WORKERS = threads
    tinynet.backend.keep_freed_memory()
    recipe = RECIPES["chm2012"]
    model = AlexNet(1000, devices.split(","), recipe=recipe)
    optimiser = optim.PaperSGD(recipe.parameter_groups(model, 0.01, 0.0005), 0.01, 0.9)
    images, labels = batch(batch_size)

    def step():
        loss = F.cross_entropy(model(tinynet.tensor(images)), labels)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        return loss.item()

    return step, sum(p.size for p in model.parameters()), f"tinynet {tinynet.__version__}, NumPy {np.__version__}"


def torch_step(batch_size, devices, threads):
    import torch
    from torch import nn

    torch.set_num_threads(threads)

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
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=0.0005)
    images, labels = map(torch.tensor, batch(batch_size))

    def step():
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimiser.step()
        return loss.item()

    return step, sum(p.numel() for p in model.parameters()), f"PyTorch {torch.__version__}"


def batch(size):
    rng = np.random.default_rng(0)
    return rng.standard_normal((size, 3, 224, 224), dtype=np.float32), np.arange(size)


STEPS = {"tinynet": tinynet_step, "torch": torch_step}


def work(name, args):
    """In a process of its own: one step for each line on standard input."""
    step, parameters, version = STEPS[name](args.batch_size, args.devices, args.threads)
    step()  # the first step allocates
    print(parameters, version, sep="\t", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        step()
        seconds = time.perf_counter() - start
        unit = 1024**3 if sys.platform == "darwin" else 1024**2  # bytes there, KiB here -> GiB
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
        print(seconds, peak, sep="\t", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--devices", default="cpu", help="tinynet's; cpu,cpu: each column in turn")
    parser.add_argument("--worker", choices=STEPS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        work(args.worker, args)
        return
    workers, times, peaks, versions = {}, {}, {}, {}
    for name in STEPS:
        command = [sys.executable, __file__, *sys.argv[1:], "--worker", name]
        environment = os.environ | {"OPENBLAS_NUM_THREADS": str(args.threads)}
        pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        workers[name] = subprocess.Popen(command, env=environment, **pipes)
        parameters, versions[name] = workers[name].stdout.readline().strip().split("\t")
        assert int(parameters) == 60_965_224
        times[name] = []
    for _ in range(args.rounds):
        for name, worker in workers.items():
            time.sleep(0.5)  # idle threads of the other library spin for a while before they sleep
            worker.stdin.write("step\n")
            worker.stdin.flush()
            seconds, peaks[name] = map(float, worker.stdout.readline().split("\t"))
            times[name].append(seconds)
    for worker in workers.values():
        worker.stdin.close()
        worker.wait()
    machine = f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}"
    print(f"batch {args.batch_size}, {args.threads} threads, {machine}")
    for name in STEPS:
        t = times[name]
        print(
            f"{versions[name]:32} median {statistics.median(t):.3f} s (min {min(t):.3f}, max {max(t):.3f}), "
            f"peak memory {peaks[name]:.2f} GiB"
        )
    ratios = sorted(b / a for a, b in zip(times["tinynet"], times["torch"], strict=True))
    spread = f"(min {ratios[0]:.2f}, max {ratios[-1]:.2f})"
    print(f"PyTorch's time / tinynet's, round by round: median {statistics.median(ratios):.2f} {spread}")


if __name__ == "__main__":
    main()
