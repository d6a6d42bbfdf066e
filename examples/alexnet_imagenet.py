"""Train AlexNet (Krizhevsky, Sutskever & Hinton, 2012). Read from top to bottom:
arguments, data, model, loop, evaluation, figures.

    python examples/alexnet_imagenet.py                              # a small one, on drawn shapes
    python examples/alexnet_imagenet.py --data PATH                  # PATH/train/<class>/*.jpg, PATH/val/...
    python examples/alexnet_imagenet.py --data PATH --preset paper   # the run of 2012
    python examples/alexnet_imagenet.py --out runs/NAME --resume     # go on where a run stopped
"""

import argparse
import csv
import dataclasses
import errno
import json
import math
import platform
import signal
import sys
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

import tinynet
from tinynet import checkpoint, data, optim, plot
from tinynet import functional as F
from tinynet.models import RECIPES, AlexNet, diagnose

# ------------------------------------------------------------------------------------- arguments


@dataclasses.dataclass
class Options:
    """What decides a run. config.json holds it; --resume reads it back."""

    data: str = "shapes"
    preset: str = "quick"
    devices: str = "cpu"
    recipe: str = "he"
    schedule: str = "cosine"
    epochs: int = 40
    batch_size: int = 64
    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 0.0005
    width: float = 0.5
    image_size: int = 112
    dropout: float = 0.5
    seed: int = 1
    workers: int = 2
    strict: bool = False
    checkpoint_every: int = 1000
    stop_after: int = 0


# quick is made for two cores: half width, a quarter of the pixels, He's initial weights and a rate
# that falls along a cosine. On the drawn shapes it can be smaller still.
QUICK = {}
QUICK_SHAPES = dict(width=0.25, image_size=64, epochs=14, batch_size=32)
PAPER = dict(
    devices="cpu,cpu", recipe="paper", schedule="plateau", epochs=90, batch_size=128,
    width=1.0, image_size=224,
)  # fmt: skip
MAY_CHANGE = {"epochs", "devices", "workers", "strict", "checkpoint_every", "stop_after"}


class Stop(Exception):
    """The run cannot go on: one line for the user, and an exit code."""

    def __init__(self, message, code=2):
        super().__init__(message)
        self.code = code


def parse(argv):
    parser = argparse.ArgumentParser(description="Train AlexNet (2012) with tinynet.")
    add = parser.add_argument
    add("--data", help="a folder with train/<class>/ and val/<class>/, or shapes (drawn, the default), imagenette or cifar10 (downloaded)")
    add("--preset", choices=["quick", "paper"], help="quick: small, for two cores (default); paper: the run of 2012, at full size")
    add("--devices", help="cpu; cpu,cpu for one column on each of two; cuda:0,cuda:1")
    add("--recipe", choices=list(RECIPES), help="initial weights, biases, LRN constants, input scale, rates")
    add("--schedule", choices=["plateau", "step", "cosine"], help="how the rate falls")
    add("--epochs", type=int)
    add("--batch-size", type=int)
    add("--lr", type=float, help="the rate at the start (default: the recipe's)")
    add("--width", type=float, help="times the paper's number of channels")
    add("--image-size", type=int, help="side of the square crops, in pixels")
    add("--seed", type=int)
    add("--workers", type=int, help="threads that load images")
    add("--strict", action="store_true", default=None, help="stop at the first unreadable image")
    add("--checkpoint-every", type=int, metavar="STEPS", help="besides one at the end of each epoch")
    add("--stop-after", type=int, metavar="STEPS", help="save and exit after so many steps in all")
    add("--out", type=Path, help="folder of the run (default: a new one under runs/)")
    add("--resume", action="store_true", help="go on with the run in --out")
    add("--evaluate", type=Path, metavar="CHECKPOINT", help="only evaluate this checkpoint, on --data")
    args = vars(parser.parse_args(argv))
    out, resume, evaluate = (args.pop(name) for name in ("out", "resume", "evaluate"))
    given = {name: value for name, value in args.items() if value is not None}
    if resume and out is None:
        raise Stop("--resume needs --out, the folder of the run to go on with")
    if resume or evaluate:
        options = stored_options(out / "config.json" if resume else evaluate.parent / "config.json")
        wrong = [n for n in given if given[n] != getattr(options, n) and n not in MAY_CHANGE]
        if resume and wrong:
            n = wrong[0]
            raise Stop(f"--resume: the run in {out} has {n}={getattr(options, n)}, got {given[n]}")
        options = dataclasses.replace(options, **given)
    else:
        preset = PAPER if given.get("preset") == "paper" else QUICK
        if preset is QUICK and given.get("data", "shapes") == "shapes":
            preset = QUICK_SHAPES
        recipe = RECIPES[given.get("recipe") or preset.get("recipe") or Options.recipe]
        options = Options(**{"lr": recipe.lr} | preset | given)
    for name, least in dict(epochs=1, batch_size=1, workers=1, seed=0, checkpoint_every=1).items():
        if getattr(options, name) < least:
            raise Stop(f"--{name.replace('_', '-')} must be at least {least}, got {getattr(options, name)}")
    return options, out or new_folder(options), resume, evaluate


def stored_options(path):
    try:
        return Options(**json.loads(path.read_text())["options"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Stop(f"{path}: not the config.json of a run ({error})") from error


def new_folder(options):
    name = f"{Path(options.data).resolve().name if '/' in options.data else options.data}-{options.preset}"
    tries = (Path("runs") / (name + (f"-{n}" if n > 1 else "")) for n in range(1, 10_000))
    return next(path for path in tries if not path.exists())


# ------------------------------------------------------------------------------------------ data


def open_data(options):
    """(training set, validation set, side): side is the size to which images are decoded."""
    side = round(options.image_size * 256 / 224)  # the paper: 224 x 224 crops of 256 x 256
    if options.data == "cifar10":
        sets = data.cifar10()
    else:
        if options.data == "shapes":
            root = data.shapes(side=side)
        elif options.data == "imagenette":
            root = data.imagenette()
        else:
            root = Path(options.data)
        train = data.ImageFolder(root / "train")
        sets = train, data.ImageFolder(root / "val", classes=train.classes)
    if sum(map(len, sets)) * side * side * 3 < 1e9:  # small sets are decoded once and kept
        sets = [data.Cached(images, side) for images in sets]
    return (*sets, side)


def colour_statistics(train, side, seed):
    """(mean image, PCA noise), fitted on up to 2,000 training images."""
    chosen = np.random.default_rng(seed).permutation(len(train))[:2000]
    images = []
    for i in tqdm(np.sort(chosen), desc="mean and colours", unit="image", leave=False):
        try:
            images.append(train.image(i, side))
        except data.ImageError:
            continue  # the loader counts and lists it
    return data.mean_image(images), data.PCAColour.fit(images[:500])


# ----------------------------------------------------------------------------------------- model


class Run:
    """Everything that a checkpoint has to bring back, together."""

    def __init__(self, options, out):
        self.options, self.out = options, out
        self.train, self.val, self.side = open_data(options)
        self.recipe = RECIPES[options.recipe]
        tinynet.manual_seed(options.seed)
        self.model = AlexNet(
            len(self.train.classes), options.devices.split(","), width=options.width,
            image_size=options.image_size, recipe=self.recipe, dropout=options.dropout,
        )  # fmt: skip
        groups = self.recipe.parameter_groups(self.model, options.lr, options.weight_decay)
        self.optimiser = optim.PaperSGD(groups, options.lr, options.momentum)
        self.schedule = make_schedule(options, self.optimiser)
        self.evaluated = 0  # epochs whose evaluation is done
        self.step = 0
        self.mean = self.colours = None

    def prepare_loaders(self):
        """Loaders need the colour statistics, which a checkpoint brings or the data gives."""
        options, size = self.options, self.options.image_size
        if self.mean is None:
            self.mean, self.colours = colour_statistics(self.train, self.side, options.seed)
        normalise = data.Normalise(self.mean, self.recipe.pixel_sd)
        augmented = [data.RandomCrop(size), data.RandomFlip(), self.colours, normalise, data.to_chw]
        self.loader = self.make_loader(self.train, options.batch_size, augmented, shuffle=True)
        plain = [data.CentreCrop(size), normalise, data.to_chw]
        self.centre = self.make_loader(self.val, options.batch_size, plain)
        self.centre_train = self.make_loader(self.train, options.batch_size, plain)
        ten = [data.TenCrop(size), normalise, data.to_chw]
        self.ten = self.make_loader(self.val, max(options.batch_size // 10, 1), ten)

    def make_loader(self, images, batch_size, transforms, shuffle=False):
        options = self.options
        return data.DataLoader(
            images, batch_size, data.Compose(transforms), shuffle=shuffle, seed=options.seed,
            workers=options.workers, side=self.side, strict=options.strict,
        )  # fmt: skip

    def save(self):
        info = {
            "options": dataclasses.asdict(self.options),
            "classes": self.train.classes,
            "files": self.train.digest(),
            "step": self.step,
            "evaluated": self.evaluated,
            "loader": self.loader.state_dict(),
            "schedule": self.schedule.state_dict(),
            "colours": [self.colours.eigenvalues.tolist(), self.colours.eigenvectors.tolist()],
        }
        path = self.out / "checkpoint.safetensors"
        checkpoint.save(path, self.model, self.optimiser, info, {"mean": self.mean})

    def restore(self, path, training):
        """Load a checkpoint: to go on training, or only to evaluate."""
        state = checkpoint.load(path)
        info = state.info
        if info["classes"] != self.train.classes:
            raise Stop(f"{path} knows the classes {brief(info['classes'])}, {self.train.root} has {brief(self.train.classes)}")
        checkpoint.restore(state, self.model, self.optimiser if training else None)
        if training and info["files"] != self.train.digest():
            raise Stop(f"{path}: the training set in {self.train.root} has changed since this run began")
        self.mean, self.colours = state.extra["mean"], data.PCAColour(*info["colours"])
        self.prepare_loaders()
        if training:
            self.step, self.evaluated = info["step"], info["evaluated"]
            self.loader.load_state_dict(info["loader"])
            self.schedule.load_state_dict(info["schedule"])


def make_schedule(options, optimiser):
    if options.schedule == "plateau":  # on the validation error, as in the paper
        return optim.ReduceLROnPlateau(optimiser, factor=0.1, patience=4)
    if options.schedule == "step":
        thirds = [options.epochs // 3, 2 * options.epochs // 3]
        return optim.MultiStepLR(optimiser, thirds, gamma=0.1)
    return optim.CosineAnnealingLR(optimiser, options.epochs)


def brief(names):
    return ", ".join(names[:3]) + (f", ... ({len(names)} in all)" if len(names) > 3 else "")


# ------------------------------------------------------------------------------------------ loop


class Metrics:
    """metrics.csv: one row a step, and the evaluation in the row of the step that it followed."""

    fields = ("step", "epoch", "lr", "loss", "top1", "top5", "val_loss", "val_top1", "val_top5")

    def __init__(self, path, keep_steps):
        self.path, self.rows = path, []
        if keep_steps and path.exists():  # rows after the checkpoint will be made again
            with open(path, newline="") as file:
                self.rows = [row for row in csv.DictReader(file) if int(row["step"]) <= keep_steps]
        self.write_all()

    def write_all(self):
        with open(self.path, "w", newline="") as file:
            writer = csv.DictWriter(file, self.fields)
            writer.writeheader()
            writer.writerows(self.rows)

    def add(self, **row):
        self.rows.append(row)
        with open(self.path, "a", newline="") as file:
            csv.DictWriter(file, self.fields).writerow(row)

    def add_evaluation(self, **values):
        self.rows[-1] |= values
        self.write_all()

    def column(self, name, rows=None):
        return [float(row[name]) for row in (self.rows if rows is None else rows)]


def train(run, metrics, interrupted):
    """Epochs of: forward, loss, backward, update; after each an evaluation and a checkpoint."""
    options, model, loader = run.options, run.model, run.loader
    total = options.epochs * len(loader)
    bar = tqdm(total=total, initial=run.step, unit="step", mininterval=0.5, dynamic_ncols=True)
    with bar:
        while True:
            if loader.epoch > run.evaluated:
                end_epoch(run, metrics, bar, interrupted)
            if loader.epoch >= options.epochs:
                return
            model.train()
            recent, start, waited, seen = [], time.perf_counter(), loader.wait_seconds, 0
            for images, labels in loader:
                logits = model(tinynet.tensor(images, device=model.devices[0]))
                loss = F.cross_entropy(logits, labels)
                value = loss.item()
                if not math.isfinite(value):
                    bar.close()
                    reason = diagnose.first_not_finite(model, images)
                    raise Stop(f"step {run.step + 1}: the loss is {value}: {reason}. The checkpoint from before is kept; try a smaller --lr than {options.lr}", 1)
                loss.backward()
                run.optimiser.step()
                run.optimiser.zero_grad()
                run.step += 1
                top1, top5 = hits(logits.numpy(), labels)
                row = dict(loss=value, top1=top1.mean(), top5=top5.mean())
                metrics.add(step=run.step, epoch=loader.epoch, lr=run.optimiser.param_groups[0]["lr"], **row)
                recent = [*recent[-49:], row]
                seen += len(labels)
                seconds = time.perf_counter() - start
                mean = {name: np.mean([r[name] for r in recent]) for name in row}
                bar.set_description(f"epoch {loader.epoch + 1}/{options.epochs}", refresh=False)
                bar.set_postfix_str(
                    f"{seen / seconds:.0f} images/s, loss {mean['loss']:.3f}, top-1 {mean['top1']:.1%}, "
                    f"top-5 {mean['top5']:.1%}, waiting for data {(loader.wait_seconds - waited) / seconds:.0%}",
                    refresh=False,
                )
                bar.update()
                stop = run.step == options.stop_after
                if interrupted or stop or run.step % options.checkpoint_every == 0:
                    run.save()
                if interrupted or stop:
                    raise Stop(stopped(run, interrupted), 128 + interrupted[0] if interrupted else 0)


def stopped(run, interrupted):
    why = signal.Signals(interrupted[0]).name if interrupted else "--stop-after"
    return f"{why}: saved at step {run.step}; go on with --out {run.out} --resume"


def end_epoch(run, metrics, bar, interrupted):
    val = evaluate(run, run.centre, interrupted)
    run.evaluated = run.loader.epoch
    if run.options.schedule == "plateau":
        run.schedule.step(1 - val["top1"])
    else:
        run.schedule.step()
    metrics.add_evaluation(**{f"val_{name}": value for name, value in val.items()})
    run.save()
    bar.write(f"epoch {run.evaluated}: validation loss {val['loss']:.3f}, top-1 {val['top1']:.1%}, top-5 {val['top5']:.1%} (centre crop)")
    if val["loss"] > 0.98 * math.log(len(run.train.classes)) and run.evaluated == 1:
        bar.write("this is close to guessing; where it stays so, try --recipe he or chm2012, or another --lr")


# ------------------------------------------------------------------------------------ evaluation


def hits(scores, labels):
    """Whether the label is the best, and among the best five. scores: (N, classes)."""
    own = scores[np.arange(len(labels)), labels]
    rank = (scores > own[:, None]).sum(1)
    return rank < 1, rank < 5


@tinynet.no_grad()
def evaluate(run, loader, interrupted):
    """Loss, top-1 and top-5 over a loader. Ten crops of an image: the mean of their softmaxes."""
    model = run.model
    model.eval()
    losses, top1, top5 = [], [], []
    for images, labels in loader:
        crops = images.shape[1] if images.ndim == 5 else 1
        batch = images.reshape(-1, *images.shape[-3:])
        logits = model(tinynet.tensor(batch, device=model.devices[0]))
        scores = F.softmax(logits, dim=1).numpy().reshape(len(labels), crops, -1).mean(1)
        own = scores[np.arange(len(labels)), labels]
        losses.extend(-np.log(np.maximum(own, 1e-30)))
        for total, hit in zip((top1, top5), hits(scores, labels), strict=True):
            total.extend(hit)
        if interrupted:
            run.save()
            raise Stop(stopped(run, interrupted), 128 + interrupted[0])
    loader.epoch = 0  # an evaluation is not an epoch
    return dict(loss=float(np.mean(losses)), top1=float(np.mean(top1)), top5=float(np.mean(top5)))


def final_evaluation(run, interrupted):
    lines = []
    for name, loader in (("centre crop", run.centre), ("ten-crop", run.ten)):
        r = evaluate(run, loader, interrupted)
        lines.append(f"{name}: top-1 {100 * r['top1']:.1f} % top-5 {100 * r['top5']:.1f} %")
    return lines


# --------------------------------------------------------------------------------------- figures


def draw_figures(run, metrics):
    out, options = run.out, run.options
    about = f"AlexNet x {options.width} at {options.image_size} px on {run.train.root.parent.name}, recipe {options.recipe}"
    per_epoch = len(run.loader)
    evaluations = [row for row in metrics.rows if row.get("val_loss")]
    validation = []
    for row in evaluations:
        step = int(row["step"])
        epoch = [r for r in metrics.rows if step - per_epoch < int(r["step"]) <= step]
        values = {name: float(row[f"val_{name}"]) for name in ("loss", "top1", "top5")}
        validation.append(values | {"train_top1": np.mean(metrics.column("top1", epoch))})
    if validation:
        steps = [step / per_epoch for step in metrics.column("step")]
        epochs = [int(row["step"]) / per_epoch for row in evaluations]
        plot.curves(out / "curves.png", steps, metrics.column("loss"), epochs, validation, about)
    weight = run.model.state_dict()["conv1.weight"]
    plot.kernels(out / "conv1.png", weight, run.model.groups, f"conv1 kernels: {about}")
    draw_nearest(run, about)


def draw_nearest(run, about, queries=6, neighbours=6, among=10_000):
    """Validation images and the training images whose last 4096-d layer is closest to theirs."""
    rng = np.random.default_rng(run.options.seed)
    asked = features(run, run.val, rng.permutation(len(run.val))[:queries])
    known = features(run, run.train, rng.permutation(len(run.train))[:among])
    rows, near = [], []
    for vector, i in zip(*asked, strict=True):
        order = np.argsort(((known[0] - vector) ** 2).sum(1))[:neighbours]
        label = run.val.labels[i]
        rows.append((run.val.image(i, run.side), run.val.classes[label]))
        same = [(known[1][j], run.train.labels[known[1][j]]) for j in order]
        near.append([(run.train.image(j, run.side), run.train.classes[m], m == label) for j, m in same])
    plot.nearest(run.out / "nearest.png", rows, near, f"nearest training images by fc7: {about}")


@tinynet.no_grad()
def features(run, images, indices):
    """fc7 after its ReLU for the images with these indices: (N, 4096), and the indices read."""
    run.model.eval()
    found, vectors = [], []
    prepare = data.Compose([data.CentreCrop(run.options.image_size), data.Normalise(run.mean, run.recipe.pixel_sd), data.to_chw])

    def watch(name, xs):
        if name == "relu7":
            vectors.append(np.concatenate([x.numpy() for x in xs], axis=1))

    for start in range(0, len(indices), run.options.batch_size):
        batch = []
        for i in indices[start : start + run.options.batch_size]:
            try:
                batch.append(prepare(images.image(int(i), run.side)))
                found.append(int(i))
            except data.ImageError:
                continue
        if batch:
            run.model(tinynet.tensor(np.stack(batch), device=run.model.devices[0]), watch)
    return np.concatenate(vectors), found


# ------------------------------------------------------------------------------------------ main


def describe(run):
    print(f"{len(run.train):,} training and {len(run.val):,} validation images, {len(run.train.classes)} classes")
    print(diagnose.layer_table(run.model))
    few = [image for images, _ in [next(iter(run.centre_train))] for image in images[:24]]
    run.centre_train.load_state_dict({"epoch": 0, "position": 0})
    shares = diagnose.signal_share(run.model, np.stack(few))
    print("share of the signal that depends on the image: " + ", ".join(f"{k} {v:.1%}" for k, v in shares.items()))


def report_skipped(run):
    loaders = (run.loader, run.centre, run.ten)
    skipped = {path: reason for loader in loaders for path, reason in loader.skipped.items()}
    if skipped:
        print(f"{len(skipped)} images could not be read and were skipped:")
        for path, reason in sorted(skipped.items(), key=str):
            print(f"  {path}: {reason}")


def main(argv=None):
    interrupted = []  # the number of the signal, once one came

    def on_signal(number, frame):
        interrupted.append(number)
        signal.signal(number, signal.SIG_DFL)  # a second one ends the process at once

    options, out, resume, checkpoint_to_evaluate = parse(argv)
    if not sys.argv[1:] and argv is None:
        print("Training a small AlexNet on drawn shapes; for ImageNet: --data PATH --preset paper (PATH/train/<class>/..., PATH/val/<class>/...).")
    if not (resume or checkpoint_to_evaluate) and (out / "checkpoint.safetensors").exists():
        raise Stop(f"{out} already holds a run; go on with it by --resume, or choose another --out")
    run = Run(options, out)
    if checkpoint_to_evaluate:
        run.restore(checkpoint_to_evaluate, training=False)
        lines = final_evaluation(run, interrupted)
        print(*lines, sep="\n")
        return
    if resume:
        run.restore(out / "checkpoint.safetensors", training=True)
        print(f"going on at step {run.step}, epoch {run.loader.epoch + 1} of {options.epochs}")
    else:
        run.prepare_loaders()
        describe(run)
    out.mkdir(parents=True, exist_ok=True)
    versions = {"tinynet": tinynet.__version__, "numpy": np.__version__, "python": platform.python_version()}
    config = {"options": dataclasses.asdict(options), "classes": run.train.classes, "versions": versions}
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    metrics = Metrics(out / "metrics.csv", run.step)
    train(run, metrics, interrupted)
    lines = final_evaluation(run, interrupted)
    draw_figures(run, metrics)
    report_skipped(run)
    print(f"written to {out}: checkpoint.safetensors, config.json, metrics.csv, curves.png, conv1.png, nearest.png")
    print(*lines, sep="\n")


if __name__ == "__main__":
    try:
        main()
    except Stop as stop:
        print(stop if stop.code in (0, 130, 143) else f"error: {stop}", file=sys.stderr)
        sys.exit(stop.code)
    except (data.DataError, checkpoint.CheckpointError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        print(f"error: the disk is full: {error}; the last good checkpoint is still there", file=sys.stderr)
        sys.exit(1)
