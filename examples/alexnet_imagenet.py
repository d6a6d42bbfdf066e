"""Train AlexNet (Krizhevsky, Sutskever & Hinton, 2012). Read from top to bottom:
arguments, data, model, loop, evaluation, figures.

    python examples/alexnet_imagenet.py                              # a small one, on drawn shapes
    python examples/alexnet_imagenet.py --data PATH                  # PATH/train/<class>/*.jpg, PATH/val/...
    python examples/alexnet_imagenet.py --data PATH --preset paper   # the run of 2012
    python examples/alexnet_imagenet.py --out runs/NAME --resume     # go on where a run stopped
    mpiexec -n 4 python examples/alexnet_imagenet.py ...             # four processes share each batch
"""

import argparse
import dataclasses
import errno
import json
import math
import os
import platform
import signal
import sys
import time
import traceback
import warnings
import zlib
from pathlib import Path

import numpy as np
from tqdm import tqdm

import tinynet
from tinynet import checkpoint, data, nn, optim, parallel, plot
from tinynet import functional as F
from tinynet.metrics import MetricsFile, topk_correct
from tinynet.models import RECIPES, AlexNet, HybridAlexNet, diagnose

# ------------------------------------------------------------------------------------- arguments


@dataclasses.dataclass
class Options:
    """What decides a run; the defaults are the quick preset. A checkpoint holds them."""

    data: str = "shapes"
    preset: str = "quick"
    devices: str = "cpu"
    recipe: str = "he"
    schedule: str = "cosine"
    epochs: int = 40
    batch_size: int = 64
    lr: float = 0.01
    width: float = 0.5
    image_size: int = 112
    outputs: int = 0  # at least so many, of which the first are the data's classes
    seed: int = 1
    workers: int = 2
    strict: bool = False
    split_fc8: bool = False
    parallel: str = "data"
    patience: float = 45.0
    scale_lr: bool = False
    warm_up: int = 0
    checkpoint_every: int = 1000
    stop_after: int = 0


# Quick is for two cores: half the width, a quarter of the pixels, He's initial weights, a rate that
# falls along a cosine. The drawn shapes can do with less still.
QUICK_SHAPES = dict(width=0.25, image_size=64, epochs=28, batch_size=32)
PAPER = dict(
    devices="cpu,cpu", recipe="paper", schedule="plateau", epochs=90, batch_size=128, width=1.0, image_size=224,
    outputs=1000,
)
MAY_CHANGE = {"data", "devices", "epochs", "workers", "strict", "checkpoint_every", "stop_after", "split_fc8",
              "parallel", "patience"}  # from one part of a run to the next
MAY_DIFFER = {"data", "devices", "workers"}  # from rank to rank


class Stop(Exception):
    """The run ends here: one line for the user, and the exit code. alone: on this rank, not on all at once."""

    def __init__(self, line, code=2, alone=False):
        super().__init__(line)
        self.code, self.alone = code, alone


class Parser(argparse.ArgumentParser):
    def error(self, message):  # else each rank would print it
        raise Stop(message)


def parse(argv):
    """(options given, folder, checkpoint to go on with or None, checkpoint to evaluate or None)."""
    parser = Parser(description="Train AlexNet (2012) with tinynet.")
    add = parser.add_argument
    add("--data", help="a folder with train/<class>/ and val/<class>/; or shapes (drawn; the default), "
        "imagenette or cifar10 (downloaded)")
    add("--preset", choices=["quick", "paper"], help="quick: for two cores (default); paper: the run of 2012")
    add("--devices", help="cpu; cuda:0; emu:0 (an emulated GPU: slow, to read kernels by); or two, such as "
        "cpu,cpu or cuda:0,cuda:1: one for each column of channels, as in 2012; or four. With mpiexec, one list a "
        "process of a machine: cuda:0/cuda:1")
    add("--split-fc8", action="store_true", default=None, help="over the devices; else it is whole on the first")
    add("--parallel", choices=["data", "hybrid"], help="what the processes of mpiexec share: the batch (default), or "
        "the batch in the convolutions and the units in the fully connected layers")
    add("--patience", type=float, metavar="SECONDS", help="for which processes wait for one that does not answer")
    add("--recipe", choices=list(RECIPES), help="initial weights, biases, LRN constants, input scale, rates")
    add("--schedule", choices=["plateau", "step", "cosine"], help="how the rate falls")
    add("--epochs", type=int)
    add("--batch-size", type=int)
    add("--lr", type=float, help="rate at the start (default: the recipe's)")
    add("--scale-lr", action="store_true", default=None, help="times batch size / 128: linear scaling")
    add("--warm-up", type=int, metavar="EPOCHS", help="during which the rate rises to its start in a straight line")
    add("--width", type=float, help="times the paper's number of channels")
    add("--image-size", type=int, help="side of the square crops, in pixels")
    add("--seed", type=int)
    add("--workers", type=int, help="threads that load images")
    add("--strict", action="store_true", default=None, help="stop at the first unreadable image")
    add("--checkpoint-every", type=int, metavar="STEPS", help="besides those at the ends of epochs")
    add("--stop-after", type=int, metavar="STEPS", help="save and exit after so many steps in all")
    add("--out", type=Path, metavar="DIR", help="the run's folder (default: a new one under runs/)")
    add("--resume", action="store_true", help="go on with the run in --out")
    add("--evaluate", type=Path, metavar="CHECKPOINT", help="only evaluate it, on --data")
    given = {name: value for name, value in vars(parser.parse_args(argv)).items() if value is not None}
    out, resume, evaluate = (given.pop(name, None) for name in ("out", "resume", "evaluate"))
    for name in ("epochs", "batch_size", "workers", "checkpoint_every", "stop_after", "lr", "width", "image_size",
                 "patience", "warm_up"):
        if not 0 < given.get(name, 1) < math.inf:
            raise Stop(f"--{name.replace('_', '-')} must be more than 0, got {given[name]}")
    if given.get("seed", 0) < 0:
        raise Stop(f"--seed must be 0 or more, got {given['seed']}")
    if resume and evaluate:
        raise Stop("--resume goes on training and --evaluate does not: choose one")
    if out and out.exists() and not out.is_dir():
        raise Stop(f"--out must be a folder, {out} is a file")
    if resume and out is None:
        raise Stop("--resume needs --out, the folder of the run to go on with")
    if out and not resume and (out / "checkpoint.safetensors").exists():
        raise Stop(f"{out} already holds a run: add --resume to go on with it, or choose another --out")
    return given, out, out / "checkpoint.safetensors" if resume else None, evaluate


def choose(given, state):
    """The options of a new run, or those in a checkpoint with what may change changed."""
    if state is None:
        preset = PAPER if given.get("preset") == "paper" else {}
        if not preset and given.get("data", "shapes") == "shapes":
            preset = QUICK_SHAPES
        recipe = RECIPES[given.get("recipe", preset.get("recipe", Options.recipe))]
        return Options(**{"lr": recipe.lr} | preset | given)
    if "options" not in state.info:
        raise Stop(f"{state.path} is a checkpoint, but not of this program")
    stored = state.info["options"]
    for name in given.keys() - MAY_CHANGE:
        before = stored.get(name, getattr(Options, name))
        if given[name] != before:
            raise Stop(f"{state.path} was trained with {name}={before}, got {given[name]}")
    return Options(**stored | {"stop_after": 0} | given)


def make_folder(out, options):
    """`out`, or the first of runs/NAME, runs/NAME-2, ... that is not there yet."""
    if out:
        out.mkdir(parents=True, exist_ok=True)
        return out
    name = f"{Path(options.data).resolve().name}-{options.preset}"
    path, n = Path("runs") / name, 1
    while True:
        try:
            path.mkdir(parents=True)
            return path
        except FileExistsError:
            n += 1
            path = Path("runs") / f"{name}-{n}"


# -------------------------------------------------------------------------------- data and model


class Run:
    """All that a checkpoint has to bring back. state: a loaded checkpoint, or None for a new run."""

    def __init__(self, options, ranks, state=None, training=True):
        self.options, self.recipe, self.ranks = options, RECIPES[options.recipe], ranks
        self.first = ranks.number == 0  # who prints and saves
        self.devices = parallel.own_devices(options.devices, ranks)
        self.out = None  # the folder, once all arguments have proved good
        self.signals, self.interrupted = [], []  # those that came to this rank; to any, as of the last meet()
        self.side = round(options.image_size * 256 / 224)  # the paper: 224 x 224 out of 256 x 256
        self.train, self.val = data.open_images(options.data, self.side)
        if state and state.info["classes"] != self.train.classes:
            raise Stop(f"{state.path} knows the classes {brief(state.info['classes'])}; "
                       f"{self.train.root} has {brief(self.train.classes)}")
        if state and training and state.info["files"] != self.train.digest():
            raise Stop(f"{state.path}: the list of files in {self.train.root} has changed since this run began")
        tinynet.manual_seed(options.seed)
        try:
            self.model = self.make_model(self.devices)
            if ranks.size > 1 and options.parallel == "hybrid":
                self.model = HybridAlexNet(self.model, ranks)
        except (ValueError, RuntimeError) as error:  # an image too small, a device that is not there
            raise Stop(str(error)) from error
        self.split = self.model.split_parameters() if isinstance(self.model, HybridAlexNet) else []
        self.buckets = parallel.Buckets(ranks, own=self.split)
        lr = options.lr * (options.batch_size / 128 if options.scale_lr else 1)
        groups = self.recipe.parameter_groups(self.model, lr, weight_decay=0.0005)
        self.optimizer = optim.PaperSGD(groups, lr, momentum=0.9)
        self.schedule = make_schedule(options, self.optimizer)
        self.step = self.evaluated = 0  # updates made, epochs whose evaluation is done
        if state is None:
            self.mean, self.colors = color_statistics(self.train, self.side, options.seed, self.first)
        else:
            checkpoint.restore(state, self.model, self.optimizer if training else None)
            self.mean, self.colors = state.extra["mean"], data.PCAColor(*state.info["colors"])
        size, normalize = options.image_size, data.Normalize(self.mean, self.recipe.pixel_std)
        augment = data.Compose([data.RandomHorizontalFlip(), self.colors, normalize, data.to_chw])
        self.plain = data.Compose([data.CenterCrop(size), normalize, data.to_chw])
        self.prefetcher = data.Prefetcher(self.devices[0])
        self.loader = self.load(self.train, augment, shuffle=True, crop=data.RandomCrop(size))
        self.center = self.load(self.val, data.Compose([normalize, data.to_chw]), crop=data.CenterCrop(size))
        self.ten = self.load(self.val, data.Compose([data.TenCrop(size), normalize, data.to_chw]), crops=10)
        self.warm_up = optim.LinearWarmup(
            self.optimizer, min(128 / options.batch_size, 1) if options.scale_lr else 0.1,
            total_iters=options.warm_up * len(self.loader),
        ) if options.warm_up else None
        if state and training:
            self.step, self.evaluated = state.info["step"], state.info["evaluated"]
            self.loader.load_state_dict(state.info["loader"])
            self.schedule.load_state_dict(state.info["schedule"])
            if self.warm_up:
                self.warm_up.t = self.step  # the rates stored with the schedule have it in them
            if options.epochs != state.info["options"]["epochs"] and options.schedule != "plateau":
                for group in self.optimizer.param_groups:  # the stored rate is the old curve's
                    warmth = self.warm_up.factor(self.step) if self.warm_up else 1
                    group["lr"] = group["initial_lr"] * self.schedule.factor(self.schedule.t) * warmth

    def make_model(self, devices):
        o = self.options
        return AlexNet(
            max(len(self.train.classes), o.outputs), devices, width=o.width, image_size=o.image_size,
            recipe=self.recipe, split_fc8=o.split_fc8,
        )

    def whole_model(self):
        """The network with all of its weights on this rank's devices. All ranks ask together."""
        if not isinstance(self.model, HybridAlexNet):
            return self.model
        random = tinynet.backend.generator().bit_generator
        state, model = random.state, self.make_model(self.devices)
        random.state = state  # as if no weights had been drawn
        model.load_state_dict(self.model.state_dict())
        return model

    def load(self, images, transform, shuffle=False, crops=1, crop=None):
        o, batch_size = self.options, max(self.options.batch_size // crops, 1)
        return data.DataLoader(
            images, batch_size, transform, shuffle, o.seed, o.workers, side=self.side, crop=crop, strict=o.strict,
            empty=self.prefetcher.empty, shard=(self.ranks.number, self.ranks.size),
        )

    def facts(self):
        """What must be the same on all ranks, by name."""
        facts = {name: value for name, value in dataclasses.asdict(self.options).items() if name not in MAY_DIFFER}
        facts["the list of training images"] = self.train.digest()
        facts["the list of validation images"] = self.val.digest()
        checksum = 0
        for _, parts in self.model.named_arrays():
            for part in parts if parts[0] not in self.split else ():
                checksum = zlib.crc32(part.numpy().tobytes(), checksum)
        facts |= {"its step": self.step, "its number of devices": len(self.devices)}
        return facts | {"its tinynet": tinynet.__version__, "the checksum of its weights": checksum}

    def save(self):
        """On rank 0. All ranks call it at the same step: of a hybrid each has a part of the weights."""
        self.ranks.all_gather("here")  # one that hangs is named now: nobody would be, while waiting for a GPU
        if not self.first and not isinstance(self.model, HybridAlexNet):
            return
        info = {
            "options": dataclasses.asdict(self.options),
            "threads": tinynet.num_threads(),
            "classes": self.train.classes,
            "files": self.train.digest(),
            "step": self.step,
            "evaluated": self.evaluated,
            "loader": self.loader.state_dict(),
            "schedule": self.schedule.state_dict(),
            "colors": [self.colors.eigenvalues.tolist(), self.colors.eigenvectors.tolist()],
        }
        path = self.out / "checkpoint.safetensors"
        try:
            checkpoint.save(path, self.model, self.optimizer, info, {"mean": self.mean}, write=self.first)
        except ValueError as error:  # a weight is not finite
            raise Stop(str(error), 1, alone=True) from error


def color_statistics(images, side, seed, show):
    """Mean image and PCA color noise, fitted on up to 2,000 training images."""
    chosen = np.random.default_rng(seed).permutation(len(images))[:2000]
    sample = []
    for i in tqdm(np.sort(chosen), desc="mean and colors", unit="image", leave=False, disable=not show):
        try:
            sample.append(images.image(i, side))
        except data.ImageError:
            continue  # the loader counts and lists it
    return data.mean_image(sample), data.PCAColor.fit(sample[:500])


def make_schedule(options, optimizer):
    if options.schedule == "plateau":  # of the validation error, as in the paper
        return optim.ReduceLROnPlateau(optimizer, factor=0.1, patience=4)
    if options.schedule == "step":
        return optim.MultiStepLR(optimizer, [max(options.epochs // 3, 1), max(2 * options.epochs // 3, 1)], gamma=0.1)
    return optim.CosineAnnealingLR(optimizer, options.epochs)


def describe(run, model):
    print(f"{len(run.train):,} training and {len(run.val):,} validation images in {len(run.train.classes)} classes")
    print(diagnose.layer_table(model))
    few = [image for _, image in readable(run, run.val, 24)]
    if not few:
        raise Stop(f"none of 24 images tried in {run.val.root} can be read", alone=True)
    shares = diagnose.signal_share(model, np.stack(few))
    print("depends on the image, of each layer's signal: " + ", ".join(f"{k} {v:.1%}" for k, v in shares.items()))


# ------------------------------------------------------------------------------------------ loop


def train(run, metrics):
    """Epochs of forward, loss, backward, update; an evaluation and a checkpoint after each."""
    options, loader = run.options, run.loader
    steps = options.epochs * len(loader)
    # To read a loss, the host has to wait until the GPU has finished that step.
    unread, read_every = [], 1 if run.devices[0] == "cpu" else 20
    with tqdm(
        total=steps, initial=run.step, unit="step", mininterval=0.5, dynamic_ncols=True, disable=not run.first
    ) as bar:
        while True:
            if loader.epoch > run.evaluated:
                end_epoch(run, metrics, bar)
            if loader.epoch >= options.epochs:
                return
            start, waited, seen = time.perf_counter(), loader.wait_seconds, 0
            for images, labels in loader:
                counts = meet(run, len(labels))
                if sum(counts) == 0:  # not one image of this batch can be read
                    continue
                loss, logits = forward(run, images, labels, first_row=sum(counts[: run.ranks.number]))
                unread.append((run.step + 1, loader.epoch, loss.data, logits.data, labels, sum(counts)))
                seen += sum(counts)
                if len(unread) == read_every or loader.position == len(loader):
                    read_results(run, metrics, unread, images)
                    show(run, metrics, bar, seen, time.perf_counter() - start, waited)
                update(run, loss, sum(counts))
                bar.update()
                stop = run.interrupted or 0 < options.stop_after <= run.step
                if stop or run.step % options.checkpoint_every == 0:
                    read_results(run, metrics, unread, images)
                    save_and_stop(run) if stop else run.save()
            if unread:  # the epoch's last batch could not be read
                read_results(run, metrics, unread, images)


def meet(run, images):
    """How many images each rank has. A signal that came to one of them counts for all from here on, and not before."""
    everyone = run.ranks.all_gather([images, *run.signals])
    run.interrupted = [number for _, *signals in everyone for number in signals]
    return [count for count, *_ in everyone]


def forward(run, images, labels, first_row=0):
    """The *sum* of the losses, and the logits. first_row: the number in the whole batch of the first image here."""
    for module in run.model.train().modules():
        if isinstance(module, nn.Dropout):
            module.first_row = first_row
    logits = run.model(tinynet.tensor(run.prefetcher(images)))
    return F.cross_entropy(logits, labels, reduction="sum"), logits


def update(run, loss, images):
    """images: of all ranks together, over which the loss is averaged."""
    (loss * (1 / images)).backward(on_grad_ready=run.buckets.ready)
    run.buckets.finish()
    run.optimizer.step()
    run.optimizer.zero_grad()
    run.step += 1
    if run.warm_up:
        run.warm_up.step()


def read_results(run, metrics, unread, images):
    """Wait for the steps in `unread`, check their losses and write them into metrics.csv."""
    own = []
    for _, _, loss, logits, labels, _ in unread:
        scores = tinynet.Tensor(logits).numpy()
        own.append([loss.item(), *(int(topk_correct(scores, labels, best).sum()) for best in (1, 5))])
    sums = np.sum(run.ranks.all_gather(own), axis=0)
    for (step, epoch, *_, count), (loss, *right) in zip(unread, sums, strict=True):
        loss, top1, top5 = loss / count, right[0] / count, right[1] / count
        if not math.isfinite(loss):
            causes = run.ranks.all_gather(diagnose.first_not_finite(run.whole_model(), images))
            cause = next((c for c in causes if not c.startswith("only")), causes[0])
            raise Stop(f"step {step}: the loss is {loss}: {cause}; {advice(run)}", 1)
        lr = run.optimizer.param_groups[0]["lr"]
        metrics.add_step(step=step, epoch=epoch, lr=lr, loss=loss, top1=top1, top5=top5)
    unread.clear()


def batch_that_fits(run):
    """After running out of memory: tries a step with half of the images, a quarter, ...; 0 if not even one fits."""
    size, batch = run.options.image_size, run.options.batch_size
    while batch := batch // 2:
        run.prefetcher = data.Prefetcher(run.devices[0])
        run.optimizer.zero_grad()
        try:
            images, labels = np.zeros((batch, 3, size, size), np.float32), np.zeros(batch, int)
            update(run, forward(run, images, labels)[0], batch)
            return batch
        except MemoryError:
            continue
    return 0


def show(run, metrics, bar, seen, seconds, waited):
    loss, top1, top5 = (metrics.recent(name, 50) for name in ("loss", "top1", "top5"))
    waiting = (run.loader.wait_seconds - waited) / seconds
    bar.set_description(f"epoch {run.loader.epoch + 1}/{run.options.epochs}", refresh=False)
    bar.set_postfix_str(
        f"{seen / seconds:.0f} images/s, loss {loss:.3f}, top-1 {top1:.1%}, top-5 {top5:.1%}, "
        f"waiting for data {waiting:.0%}{memory_in_use(run.devices)}",
        refresh=False,
    )


def memory_in_use(devices):
    """", cuda:0 3.1 of 15.7 GiB": what the pool holds of each GPU's memory; on the CPU nothing."""
    figures = [(name, *tinynet.backend.memory(name)) for name in dict.fromkeys(devices) if name != "cpu"]
    return "".join(f", {name} {held / 2**30:.1f} of {total / 2**30:.1f} GiB" for name, held, total in figures)


def advice(run):
    kept = (run.out / "checkpoint.safetensors").exists()
    return f"start again with a smaller --lr than {run.options.lr}" + "; the last good checkpoint is kept" * kept


def end_epoch(run, metrics, bar):
    result = evaluate(run, run.center)
    if not math.isfinite(result["loss"]):
        raise Stop(f"the validation loss after epoch {run.loader.epoch} is {result['loss']}; {advice(run)}", 1)
    run.evaluated = run.loader.epoch
    run.schedule.step(*([1 - result["top1"]] if run.options.schedule == "plateau" else []))
    metrics.add_evaluation(**result)
    run.save()
    if not run.first:
        return
    shares = f"top-1 {result['top1']:.1%}, top-5 {result['top5']:.1%} (center crop)"
    bar.write(f"epoch {run.evaluated}: validation loss {result['loss']:.3f}, {shares}")
    if run.evaluated == 3 and result["loss"] > 0.98 * math.log(len(run.train.classes)):
        bar.write("that is still close to guessing: try --recipe he or chm2012, or another --lr")


def save_and_stop(run):
    run.save()
    why = signal.Signals(run.interrupted[0]).name if run.interrupted else "--stop-after"
    code = 128 + run.interrupted[0] if run.interrupted else 0
    raise Stop(f"{why}: saved at step {run.step}; go on with --out {run.out} --resume", code)


# ------------------------------------------------------------------------------------ evaluation


@tinynet.no_grad()
def evaluate(run, loader):
    """Loss, top-1 and top-5 shares. Of ten crops of an image, the mean of their softmaxes counts."""
    run.model.eval()
    losses, top1, top5 = [], [], []  # of this rank's images
    loader.load_state_dict({"epoch": 0, "position": 0})
    for images, labels in loader:
        crops = images.shape[1] if images.ndim == 5 else 1
        single = images.reshape(-1, *images.shape[-3:])  # (N * crops, 3, H, W)
        logits = run.model(tinynet.tensor(single, device=run.model.devices[0]))
        scores = F.softmax(logits, dim=1).numpy().reshape(len(labels), crops, logits.shape[1]).mean(1)
        # The mean is of probabilities, so their logarithm comes last; clipped, for nothing flows back.
        losses.extend(-np.log(np.maximum(scores[np.arange(len(labels)), labels], 1e-30)))
        top1.extend(topk_correct(scores, labels, 1))
        top5.extend(topk_correct(scores, labels, 5))
        meet(run, len(labels))
        if run.interrupted:
            save_and_stop(run)
    own = [len(losses), *(float(np.sum(x)) for x in (losses, top1, top5))]
    count, *sums = np.sum(run.ranks.all_gather(own), axis=0)
    if count == 0:  # a loader that makes parts of batches cannot know
        raise Stop(f"not one image of {run.val.root} can be read")
    return dict(zip(("loss", "top1", "top5"), (total / count for total in sums), strict=True))


def final_lines(run):
    for name, loader in (("center crop", run.center), ("ten-crop", run.ten)):
        result = evaluate(run, loader)
        yield f"{name}: top-1 {100 * result['top1']:.1f} % top-5 {100 * result['top5']:.1f} %"


# --------------------------------------------------------------------------------------- figures


def draw_figures(run, model, metrics):
    o = run.options
    about = f"AlexNet, {o.width:g} of its width, {o.image_size} x {o.image_size} pixels, recipe {o.recipe}"
    plot.curves(run.out / "curves.png", metrics.rows, len(run.loader), about)
    conv1 = model.state_dict()["conv1.weight"]
    plot.filters(run.out / "conv1.png", conv1, model.groups, f"conv1: {about}")
    asked, queries = features(run, model, run.val, 6)
    known, vectors = features(run, model, run.train, 10_000)
    rows = []
    for i, query in zip(asked, queries, strict=True):
        near = np.argsort(((vectors - query) ** 2).sum(1))[:6]  # Euclidean, as in the paper
        cells = [(run.val, i)] + [(run.train, known[j]) for j in near]
        rows.append([(s.image(k, run.side), s.classes[s.labels[k]]) for s, k in cells])
    title = f"left: a validation image; right: the nearest of {len(known):,} training images by fc7. {about}"
    plot.nearest(run.out / "nearest.png", rows, title)


@tinynet.no_grad()
def features(run, model, images, most):
    """Numbers of up to `most` images, and for each the last hidden layer after its ReLU, 4096-d at full width."""
    numbers, vectors, batch = [], [], []

    def watch(name, xs):
        if name == "relu7":
            vectors.append(np.concatenate([x.numpy() for x in xs], axis=1))

    def forward():
        model(tinynet.tensor(np.stack(batch), device=model.devices[0]), watch)
        batch.clear()

    model.eval()
    for i, image in readable(run, images, most):
        numbers.append(i)
        batch.append(image)
        if len(batch) == run.options.batch_size:
            forward()
    if batch:
        forward()
    return numbers, np.concatenate(vectors)


def readable(run, images, most):
    """(number, center crop as the network sees it) of up to `most` images, evenly from the whole set."""
    for i in np.linspace(0, len(images) - 1, min(most, len(images))).astype(int).tolist():
        try:
            yield i, run.plain(images.image(i, run.side))
        except data.ImageError:
            continue  # the loader counts and lists it


# ------------------------------------------------------------------------------------------ main


def main(argv=None):
    if parallel.started_by_mpiexec():
        parallel.supervise()
    try:
        ranks = parallel.join(any(a.startswith("--parallel") for a in argv or sys.argv))
    except parallel.RankError as error:
        leave(error, parallel.Ranks())
    try:
        work(ranks, *ranks.together(lambda: parse(argv)))
    except (Stop, parallel.RankError, data.DataError, checkpoint.CheckpointError, OSError) as error:
        leave(error, ranks)
    except KeyboardInterrupt:  # before training began, or in an evaluation: there is nothing to save
        sys.exit(130)
    except Exception:
        if ranks.size > 1:  # or the others would wait for this one
            traceback.print_exc()
            ranks.abort(1)
        raise


def work(ranks, given, out, resume, to_evaluate):
    def on_signal(number, frame):
        run.signals.append(number)
        signal.signal(number, signal.SIG_DFL)  # a second one ends the process at once

    # A loss that overflows stops the run with a message of our own; NumPy's would come first.
    warnings.filterwarnings("ignore", "overflow|invalid value|divide by zero", RuntimeWarning)
    tinynet.backend.keep_freed_memory()
    if ranks.local_size > 1:
        tinynet.set_num_threads(max(1, tinynet.num_threads() // ranks.local_size))
    if ranks.number == 0 and not (given or out or resume or to_evaluate):
        print("Training a small AlexNet on drawn shapes; on ImageNet: --data DIR --preset paper "
              "(DIR/train/<class>/*.JPEG, DIR/val/<class>/*.JPEG).", flush=True)

    def prepare():
        state = checkpoint.load(resume or to_evaluate) if resume or to_evaluate else None
        options = choose(given, state)
        return state, Run(options, ranks, state, training=not to_evaluate)

    ranks.patience = given.get("patience", ranks.patience)
    state, run = ranks.together(prepare)
    options = run.options
    ranks.agree(run.facts() if ranks.size > 1 else {})
    if to_evaluate:
        lines = list(final_lines(run))
        report_skipped(run)
        if run.first:
            print(*lines, sep="\n")
        return
    if run.first and state and state.info["threads"] != tinynet.num_threads():
        print(f"begun on {state.info['threads']} threads, now {tinynet.num_threads()}: the last bits may differ")
    del state  # as large as the network
    run.out = Path(ranks.all_gather(str(ranks.together(lambda: start_folder(run, out))))[0])
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    model = run.whole_model()
    if resume and run.first:
        print(f"going on after step {run.step}, in epoch {run.loader.epoch + 1} of {options.epochs}")
    elif run.first:
        describe(run, model)
    del model  # of a hybrid, as large as what all ranks have together
    over_host = ranks.use_nccl(run.devices) if run.devices[0].startswith("cuda") else None
    processes = ranks.all_gather(f"{os.getpid()} (mpiexec's {os.getppid()}) on {platform.node()}")
    if run.first and ranks.size > 1:
        print(f"{ranks.size} ranks, --parallel {options.parallel}: processes {', '.join(processes)}", flush=True)
        if over_host:
            print(f"arrays travel over the hosts and not by NCCL: {over_host}")
    metrics = MetricsFile(run.out / "metrics.csv", run.step, write=run.first)
    out_of_memory = False
    try:
        train(run, metrics)
    except MemoryError:
        out_of_memory = True  # only noted: as long as the exception lives, so do the arrays in its frames
    if out_of_memory:
        fits = batch_that_fits(run) if ranks.size == 1 else None
        hint = f"--batch-size {fits} fits" if fits else "not even one image fits" if fits == 0 else "try a smaller one"
        raise Stop(f"{options.devices}: out of memory with batches of {options.batch_size}; {hint}", 1, alone=True)
    lines = list(final_lines(run))
    report_skipped(run)
    model = run.whole_model()
    if run.first:
        draw_figures(run, model, metrics)
        print(f"in {run.out}: checkpoint.safetensors, metrics.csv, config.json, curves.png, conv1.png, nearest.png")
        print(*lines, sep="\n")


def start_folder(run, out):
    """The run's folder with config.json, made by rank 0."""
    if not run.first:
        return None
    folder = make_folder(out, run.options)
    versions = {"tinynet": tinynet.__version__, "numpy": np.__version__, "python": platform.python_version()}
    config = dataclasses.asdict(run.options) | {"classes": run.train.classes, "versions": versions}
    (folder / "config.json").write_text(json.dumps(config | {"ranks": run.ranks.size}, indent=2) + "\n")
    return folder


def report_skipped(run):
    skipped = {path: reason for x in (run.loader, run.center, run.ten) for path, reason in x.skipped.items()}
    everyones = {path: reason for own in run.ranks.all_gather({str(p): r for p, r in skipped.items()})
                 for path, reason in own.items()}
    if everyones and run.first:
        print(f"{len(everyones)} images could not be read and were skipped:")
        print(*sorted(f"  {path}: {reason}" for path, reason in everyones.items()), sep="\n")


def brief(names):
    return ", ".join(names[:3]) + (f", ... ({len(names)} in all)" if len(names) > 3 else "")


def leave(error, ranks):
    """Say why, in one line, and end: together with the other ranks if all know of it, else at their cost."""
    line, code, alone = f"error: {error}", 2, not getattr(error, "together", False)
    if isinstance(error, Stop):
        line, code = line if error.code not in (0, 130, 143) else str(error), error.code
        alone = alone and error.alone
    elif isinstance(error, OSError):
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        what, code = ("the disk is full", 1) if full else ("cannot read or write", 2)
        line = f"error: {what}: {error}; a checkpoint from before is left as it was"
    if ranks.size > 1 and alone and not isinstance(error, parallel.RankError):
        line = line.replace("error:", f"error: rank {ranks.number}:", 1)
    speaks = getattr(error, "speaks", alone or ranks.number == 0)
    if speaks:
        print("\n" * (ranks.number > 0) + line, file=sys.stderr, flush=True)  # below the bar of rank 0
    if ranks.size > 1 and alone:
        time.sleep(0 if speaks else 3)  # the line first
        ranks.abort(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
