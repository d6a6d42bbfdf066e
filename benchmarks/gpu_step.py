"""gpu.py's last part: a whole training step of the paper's network, tinynet and PyTorch in turn.

A step is forward, loss, backward and update (60,965,224 parameters, dropout on), as in alexnet_step.py. The
images are on the GPU already. The host's clock runs from before the first launch until the GPU is
idle after the last of a few steps, so that a step's launches count if the GPU has to wait for them.
"""

import math
import statistics
import time

import numpy as np
from common import ratios, spread, table
from gpu_kernels import column_lrn

import tinynet
from tinynet import functional as F
from tinynet import optim
from tinynet.models import RECIPES, AlexNet


def training_step(bench):
    """The table, and the marks: PyTorch's time / tinynet's, at least 1 with TF32 off and 0.8 with it on."""
    args = bench.args
    rounds, steps = (1, 1) if args.dry_run else (5, 5) if args.quick else (15, 5)
    images = bench.normal(2, args.batch_size, 3, args.image_size, args.image_size)  # two batches, in turn
    labels = np.arange(args.batch_size) % 1000
    bench.large = None
    bench.free()
    steppers = {"tinynet": tinynet_step(bench, images, labels)}
    if bench.torch:
        steppers["PyTorch"] = torch_step(bench, images, labels, steppers["tinynet"].model)
    rows = []
    for tf32 in bench.modes:
        with bench.tf32(tf32):
            warm_up(bench, steppers)
            times = {name: [] for name in steppers}
            for _ in range(rounds):
                for name, stepper in steppers.items():
                    times[name].append(seconds_a_step(bench, stepper, steps))
        mode = "on" if tf32 else "off"
        for name, t in times.items():
            images_a_second = f"{args.batch_size / statistics.median(t):.0f}"
            rows.append([mode, name, spread(t, ".2f", 1e3), images_a_second, memory(bench, name)])
        if bench.torch:
            found = ratios(times["PyTorch"], times["tinynet"])
            rows.append([mode, "PyTorch / tinynet, round by round", spread(found, ".2f"), "", ""])
            mark = f"whole step, TF32 {mode}: PyTorch's time / tinynet's"
            bench.marks.append([mark, 0.8 if tf32 else 1.0, statistics.median(found)])
    header = ["TF32", "", "ms a step, median (min to max)", "images/s", "peak memory"]
    return [f"{rounds} rounds of {steps} steps each.", "", *table(header, rows)]


def warm_up(bench, steppers):
    """Compile, let cuDNN try its algorithms, and then forget how much memory that took."""
    for stepper in steppers.values():
        seconds_a_step(bench, stepper, 1)
    bench.free()
    if bench.torch and bench.cuda:
        bench.torch.cuda.reset_peak_memory_stats()
    for stepper in steppers.values():
        seconds_a_step(bench, stepper, 1)


def seconds_a_step(bench, stepper, steps):
    bench.gpu.synchronize()  # waits for everything on the device, PyTorch's work too
    start = time.perf_counter()
    for i in range(steps):
        loss = stepper(i % 2)
    bench.gpu.synchronize()
    seconds = (time.perf_counter() - start) / steps
    if not math.isfinite(loss.item()):
        raise RuntimeError(f"the loss is {loss.item()}: that is no training step")
    return seconds


def memory(bench, name):
    if not bench.cuda:
        return "-"
    if name == "tinynet":
        return f"{bench.xp.get_default_memory_pool().total_bytes() / 2**30:.2f} GiB in its pool"
    allocated, reserved = bench.torch.cuda.max_memory_allocated(), bench.torch.cuda.max_memory_reserved()
    return f"{reserved / 2**30:.2f} GiB in its pool, {allocated / 2**30:.2f} allocated"


class tinynet_step:
    def __init__(self, bench, images, labels):
        args, recipe = bench.args, RECIPES["chm2012"]
        self.images, self.labels = bench.xp.asarray(images), labels
        self.model = AlexNet(1000, [args.device], width=args.width, image_size=args.image_size, recipe=recipe)
        self.optimizer = optim.PaperSGD(recipe.parameter_groups(self.model, 0.001, 0.0005), 0.001, 0.9)

    def __call__(self, i):
        loss = F.cross_entropy(self.model(tinynet.Tensor(self.images[i])), self.labels)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss


class torch_step:
    """The same network on one device: grouped convolutions, LRN on each half of the channels."""

    def __init__(self, bench, images, labels, twin):
        torch, nn = bench.torch, bench.torch.nn

        class ColumnLRN(nn.Module):
            def forward(self, x):
                return column_lrn(torch, x)

        self.torch, self.images, self.labels = torch, bench.tensor(images), bench.tensor(labels)
        weights = [p for name, p in twin.named_parameters() if name.endswith("weight")]
        c1, c2, c3, c4, c5, f6, f7, classes = (w.shape[0] for w in weights)
        self.model = nn.Sequential(
            nn.Conv2d(3, c1, 11, 4, 2), nn.ReLU(), ColumnLRN(), nn.MaxPool2d(3, 2),
            nn.Conv2d(c1, c2, 5, padding=2, groups=2), nn.ReLU(), ColumnLRN(), nn.MaxPool2d(3, 2),
            nn.Conv2d(c2, c3, 3, padding=1), nn.ReLU(),
            nn.Conv2d(c3, c4, 3, padding=1, groups=2), nn.ReLU(),
            nn.Conv2d(c4, c5, 3, padding=1, groups=2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Flatten(),
            nn.Linear(weights[5].shape[1], f6), nn.ReLU(), nn.Dropout(),
            nn.Linear(f6, f7), nn.ReLU(), nn.Dropout(),
            nn.Linear(f7, classes),
        ).to(self.images.device)
        self.become(bench, twin)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.001, momentum=0.9, weight_decay=0.0005)

    def become(self, bench, twin):
        """Take over tinynet's weights. Up to fc6, before any dropout, both networks must then compute the same."""
        with self.torch.no_grad(), tinynet.no_grad():
            for theirs, ours in zip(self.model.parameters(), twin.parameters(), strict=True):
                theirs.copy_(self.torch.from_numpy(bench.host(ours.data)))
            images, seen = self.images[0], {}
            ours = tinynet.Tensor(bench.xp.asarray(bench.host(images)))
            twin.forward(ours, hook=lambda name, xs: seen.update({name: xs[0].data}))
            expected, got = bench.host(seen["flatten5"]), bench.host(self.model[:16](images))
        error = np.linalg.norm(got - expected) / np.linalg.norm(expected)
        if not error < 1e-4:
            bench.complain(f"the two networks differ before fc6: relative error {error:.1e}")

    def __call__(self, i):
        self.optimizer.zero_grad()
        loss = self.torch.nn.functional.cross_entropy(self.model(self.images[i]), self.labels)
        loss.backward()
        self.optimizer.step()
        return loss
