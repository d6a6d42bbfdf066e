"""A training step of the paper's AlexNet in other frameworks: Chainer, JAX, DeZero and tinygrad.

    python benchmarks/rivals.py [--threads 2]              # tinynet, and PyTorch if it is here
    python benchmarks/rivals.py --jax .venv-jax/bin/python --chainer .venv-chainer/bin/python ...

Each is started with the interpreter of its own environment, which needs that framework and NumPy, and nothing of
tinynet. The network is written down once, below; a framework brings its words for the layers, and the update. What it
has no word for is left out of its network, and the table says so.

First each takes three steps, and so does tinynet: without dropout, from the same weights, on the same images. All three
losses must agree; the second and the third depend on the gradients and the update. Then come the timed steps, with
dropout, in turn, A B A B. Batches differ, so times are per image.
"""

import argparse
import importlib.metadata
import math
import os
import platform
import resource
import statistics
import sys
import time
from types import SimpleNamespace

import common
import numpy as np

RATE, MOMENTUM, DECAY = 0.0001, 0.9, 0.0005  # a small rate: these weights learn noise, and at 0.01 they explode
LRN = dict(size=5, alpha=1e-4, beta=0.75, k=2.0)

# --------------------------------------------------------------------------------------- the network


def network(ops, x, weights, lacks):
    """Images (N, 3, 224, 224) to logits (N, 1000), in the words of `ops`; `lacks` may name "LRN" and "groups".

    weights: w and b of conv1 to conv5 and fc6 to fc8, in turn.
    """
    pairs = iter(weights)

    def conv(x, name):
        *_, stride, padding, groups, _ = common.CONVOLUTIONS[name]
        return ops.relu(ops.conv(x, next(pairs), next(pairs), stride, padding, 1 if "groups" in lacks else groups))

    def lrn(x):  # each half of the channels on its own
        N, C, H, W = x.shape
        return x if "LRN" in lacks else ops.lrn(x.reshape(2 * N, C // 2, H, W)).reshape(N, C, H, W)

    x = ops.pool(lrn(conv(x, "conv1")))
    x = ops.pool(lrn(conv(x, "conv2")))
    x = ops.pool(conv(conv(conv(x, "conv3"), "conv4"), "conv5"))
    x = x.reshape(x.shape[0], 9216)
    x = ops.dropout(ops.relu(ops.linear(x, next(pairs), next(pairs))))
    x = ops.dropout(ops.relu(ops.linear(x, next(pairs), next(pairs))))
    return ops.linear(x, next(pairs), next(pairs))


def initial(lacks):
    """w and b of each layer: He's rule, and biases that are not 0, so that they count."""
    rng = np.random.default_rng(0)
    shapes = [(K, C if "groups" in lacks else C // G, R, R) for C, _, K, R, _, _, G, _ in common.CONVOLUTIONS.values()]
    shapes += [(K, C) for C, K in common.FULLY_CONNECTED.values()]
    for shape in shapes:
        w = rng.standard_normal(shape, dtype=np.float32)
        yield w * np.float32(math.sqrt(2 / math.prod(shape[1:])))
        yield 0.1 * rng.standard_normal(shape[0], dtype=np.float32)


# -------------------------------------------- frameworks: each gives step(), a training step's loss


def torch_names(F, args):
    return SimpleNamespace(
        conv=lambda x, w, b, stride, padding, groups: F.conv2d(x, w, b, stride, padding, groups=groups),
        relu=F.relu, lrn=lambda x: F.local_response_norm(x, **LRN), pool=lambda x: F.max_pool2d(x, 3, 2),
        linear=F.linear, dropout=lambda x: F.dropout(x, args.dropout),
    )


def tinynet(args, weights, images, labels):
    import tinynet
    from tinynet import functional as F
    from tinynet import optim

    tinynet.set_num_threads(args.threads)
    tinynet.backend.keep_freed_memory()
    ops = torch_names(F, args)
    weights = [tinynet.tensor(w, requires_grad=True) for w in weights]
    optimizer = optim.SGD(weights, RATE, MOMENTUM, weight_decay=DECAY)

    def step():
        optimizer.zero_grad()
        loss = F.cross_entropy(network(ops, tinynet.tensor(images), weights, args.lacks), labels)
        loss.backward()
        optimizer.step()
        return loss

    return step


def torch(args, weights, images, labels):
    import torch
    from torch.nn import functional as F

    ops = torch_names(F, args)
    weights = [torch.tensor(w, requires_grad=True) for w in weights]
    images, labels = torch.tensor(images), torch.tensor(labels)
    optimizer = torch.optim.SGD(weights, RATE, MOMENTUM, weight_decay=DECAY)

    def step():
        optimizer.zero_grad()
        loss = F.cross_entropy(network(ops, images, weights, args.lacks), labels)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def chainer(args, weights, images, labels):
    import chainer
    from chainer import functions as F

    alpha = LRN["alpha"] / LRN["size"]  # Chainer's is not divided by the window
    ops = SimpleNamespace(
        conv=lambda x, w, b, stride, padding, groups: F.convolution_2d(x, w, b, stride, padding, groups=groups),
        relu=F.relu, lrn=lambda x: F.local_response_normalization(x, LRN["size"], LRN["k"], alpha, LRN["beta"]),
        pool=lambda x: F.max_pooling_2d(x, 3, 2, cover_all=False),
        linear=F.linear, dropout=lambda x: F.dropout(x, args.dropout),
    )
    weights = [chainer.Parameter(w) for w in weights]
    model = chainer.Link()
    with model.init_scope():
        for i, w in enumerate(weights):
            setattr(model, f"w{i}", w)
    optimizer = chainer.optimizers.MomentumSGD(RATE, MOMENTUM).setup(model)
    optimizer.add_hook(chainer.optimizer_hooks.WeightDecay(DECAY))

    def step():
        model.cleargrads()
        loss = F.softmax_cross_entropy(network(ops, images, weights, args.lacks), labels)
        loss.backward()
        optimizer.update()
        return loss.array

    return step


def jax(args, weights, images, labels):
    import jax
    from jax import lax
    from jax import numpy as jnp

    def conv(x, w, b, stride, padding, groups):
        sides = [(padding, padding)] * 2
        y = lax.conv_general_dilated(x, w, (stride, stride), sides, feature_group_count=groups)
        return y + b[:, None, None]

    def lrn(x):
        energy = lax.reduce_window(x * x, 0.0, lax.add, (1, LRN["size"], 1, 1), (1, 1, 1, 1), "SAME")
        return x * (LRN["k"] + LRN["alpha"] / LRN["size"] * energy) ** -LRN["beta"]

    def loss(weights, images, labels, key):
        keys = iter(jax.random.split(key))

        def dropout(x):
            kept = jax.random.bernoulli(next(keys), 1 - args.dropout, x.shape)
            return jnp.where(kept, x / (1 - args.dropout), 0)

        ops = SimpleNamespace(
            conv=conv, relu=jax.nn.relu, lrn=lrn, linear=lambda x, w, b: x @ w.T + b, dropout=dropout,
            pool=lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 3, 3), (1, 1, 2, 2), "VALID"),
        )
        logits = jax.nn.log_softmax(network(ops, images, weights, args.lacks))
        return -logits[jnp.arange(len(labels)), labels].mean()

    @jax.jit(donate_argnums=(0, 1))
    def update(weights, velocities, images, labels, key):
        value, gradients = jax.value_and_grad(loss)(weights, images, labels, key)
        velocities = [MOMENTUM * v + g + DECAY * w for v, g, w in zip(velocities, gradients, weights, strict=True)]
        return value, [w - RATE * v for w, v in zip(weights, velocities, strict=True)], velocities

    images, labels, key = jnp.asarray(images), jnp.asarray(labels), jax.random.key(0)
    weights = [jnp.asarray(w) for w in weights]
    velocities = [jnp.zeros_like(w) for w in weights]

    def step():
        nonlocal weights, velocities, key
        key, coins = jax.random.split(key)
        value, weights, velocities = update(weights, velocities, images, labels, coins)
        jax.block_until_ready(weights)
        return value

    return step


def dezero(args, weights, images, labels):
    import dezero
    from dezero import functions as F

    ops = SimpleNamespace(
        conv=lambda x, w, b, stride, padding, groups: F.conv2d(x, w, b, stride, padding),
        relu=F.relu, pool=lambda x: F.pooling(x, 3, 2),
        linear=F.linear, dropout=lambda x: F.dropout(x, args.dropout),
    )
    # It multiplies by (C, K), not by (K, C).
    weights = [dezero.Parameter(np.ascontiguousarray(w.T) if w.ndim == 2 else w) for w in weights]
    labels = labels.astype(np.int16)  # float32 and larger integers together are float64 to NumPy
    model = SimpleNamespace(params=lambda: weights)
    optimizer = dezero.optimizers.MomentumSGD(RATE, MOMENTUM).setup(model)
    optimizer.add_hook(dezero.optimizers.WeightDecay(DECAY))

    def step():
        for w in weights:
            w.cleargrad()
        loss = F.softmax_cross_entropy(network(ops, dezero.as_variable(images), weights, args.lacks), labels)
        loss.backward()
        optimizer.update()
        return loss.data

    return step


def tinygrad(args, weights, images, labels):
    from tinygrad import Context, Tensor, TinyJit, nn

    def lrn(x):
        N, C, H, W = x.shape
        energy = (x * x).reshape(N, 1, C, H * W).avg_pool2d((LRN["size"], 1), 1, padding=(LRN["size"] // 2, 0))
        return x * (LRN["k"] + LRN["alpha"] * energy.reshape(x.shape)) ** -LRN["beta"]

    ops = SimpleNamespace(
        conv=lambda x, w, b, stride, padding, groups: x.conv2d(w, b, groups, stride, padding=padding),
        relu=Tensor.relu, lrn=lrn, pool=lambda x: x.max_pool2d(3, 2),
        linear=lambda x, w, b: x.linear(w.T, b), dropout=lambda x: x.dropout(args.dropout),
    )
    weights = [Tensor(w).realize() for w in weights]
    images, labels = Tensor(images).realize(), Tensor(labels).realize()
    optimizer = nn.optim.SGD(weights, RATE, MOMENTUM, weight_decay=DECAY)

    @TinyJit
    @Context(TRAINING=1)
    def step():
        optimizer.zero_grad()
        loss = network(ops, images, weights, args.lacks).sparse_categorical_crossentropy(labels).backward()
        return loss.realize(*optimizer.schedule_step())

    return lambda: step().item()


# Name: the function above, the package, its largest batch, what it has no word for.
FRAMEWORKS = {
    "tinynet": (tinynet, "tinynet-alexnet", math.inf, ""),
    "PyTorch": (torch, "torch", math.inf, ""),
    "Chainer": (chainer, "chainer", math.inf, ""),
    "JAX": (jax, "jax", math.inf, ""),
    "DeZero": (dezero, "dezero", math.inf, "LRN, groups"),
    "tinygrad": (tinygrad, "tinygrad", 8, ""),  # more only takes longer
}


def work(args):
    if hasattr(os, "sched_setaffinity"):  # before the framework counts the cores
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.threads])
    make, package, *_ = FRAMEWORKS[args.worker]
    *_, args.lacks = FRAMEWORKS[args.like or args.worker]
    images = np.random.default_rng(0).standard_normal((args.batch_size, 3, 224, 224), dtype=np.float32)
    step = make(args, list(initial(args.lacks)), images, np.arange(args.batch_size))
    version = f"{importlib.metadata.version(package)}, NumPy {np.__version__}, Python {platform.python_version()}"

    def timed():
        start = time.perf_counter()
        loss = float(step())
        seconds = time.perf_counter() - start
        assert math.isfinite(loss), f"{args.worker}: the loss is {loss}"
        unit = 1024**3 if sys.platform == "darwin" else 1024**2  # bytes there, KiB here -> GiB
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
        return {"milliseconds": 1000 * seconds / args.batch_size, "loss": loss, "peak": peak, "version": version}

    common.serve(timed)


def check(name, python, threads):
    """Ends the benchmark if `name` trains another network than tinynet does: if a loss of the two differs by 1e-3."""
    options = ["--batch-size", 4, "--dropout", 0, "--like", name]
    workers = {name: common.Worker(name, threads, *options, python=python)}
    workers["tinynet"] = common.Worker("tinynet", threads, *options)
    theirs, ours = ([turn["loss"] for turn in some] for some in common.take_turns(workers, 3).values())
    for worker in workers.values():
        worker.close()
    if not np.allclose(theirs, ours, rtol=0, atol=1e-3):
        sys.exit(f"{name} trains another network than tinynet: its losses are {theirs}, tinynet's {ours}")


def main():
    parser = common.parser(__doc__, FRAMEWORKS, rounds=3)
    rivals = [name for name in FRAMEWORKS if name not in ("tinynet", "PyTorch")]
    for name in rivals:
        parser.add_argument(f"--{name.lower()}", metavar="PYTHON", help=f"the interpreter of {name}'s environment")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--threads", type=int, default=common.CORES)
    parser.add_argument("--dropout", type=float, default=0.5)
    parser.add_argument("--like", choices=FRAMEWORKS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        work(args)
        return
    pythons = dict.fromkeys(common.libraries(), sys.executable)
    pythons |= {name: getattr(args, name.lower()) for name in rivals if getattr(args, name.lower())}
    for name, python in pythons.items():
        if name != "tinynet":
            check(name, python, args.threads)
    batches = {name: min(args.batch_size, FRAMEWORKS[name][2]) for name in pythons}
    workers = {name: common.Worker(name, args.threads, "--batch-size", batches[name], python=python)
               for name, python in pythons.items()}
    common.take_turns(workers, 2)  # compilers have done their work after two steps
    turns = common.take_turns(workers, args.rounds)
    for worker in workers.values():
        worker.close()
    times = {name: [turn["milliseconds"] for turn in some] for name, some in turns.items()}
    rows = [[
        f"{name} {turns[name][0]['version']}", FRAMEWORKS[name][3], batches[name], common.spread(t, ".1f"),
        common.spread(common.ratios(t, times["tinynet"]), ".2f"), f"{turns[name][-1]['peak']:.2f}",
    ] for name, t in times.items()]
    header = ["", "left out", "batch", "ms an image, median (min to max)", "time / tinynet's", "peak memory, GiB"]
    medians = {"a training step": {name: statistics.median(t) for name, t in times.items()}}
    checked = "Without dropout, each had tinynet's losses in the first three steps, to 0.001."
    lines = [f"{args.rounds} rounds, {args.threads} threads. {checked}", "", *common.table(header, rows)]
    common.report(args, "AlexNet in other frameworks: a training step", lines, common.bars(medians, "ms an image"))


if __name__ == "__main__":
    main()
