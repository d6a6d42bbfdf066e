"""Train AlexNet (Krizhevsky, Sutskever & Hinton, 2012). Read from top to bottom:
options, data, model and optimizer, training, main.

    python examples/alexnet_imagenet.py                              # a small one, on drawn shapes
    python examples/alexnet_imagenet.py --data PATH                  # PATH/train/<class>/*.jpg, PATH/val/...
    python examples/alexnet_imagenet.py --data PATH --preset paper   # the run of 2012
    python examples/alexnet_imagenet.py --out runs/NAME --resume     # go on where a run stopped
    mpiexec -n 4 python examples/alexnet_imagenet.py ...             # four processes share each batch
    python examples/alexnet_imagenet.py --evaluate CHECKPOINT...     # how good it is; of several, their average, too
    python examples/alexnet_imagenet.py --predict CHECKPOINT... PICTURE...    # what do these pictures show?
"""

import signal

if __name__ == "__main__":  # Ctrl-C during the imports below ends the program without a traceback
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import sys
from dataclasses import dataclass
from types import SimpleNamespace

import tinynet
from tinynet import data, explain, optim, parallel, training
from tinynet import functional as F
from tinynet.data import AUGMENTATIONS
from tinynet.errors import RunError
from tinynet.explain.figures import FIGURES, draw_figures
from tinynet.models import RECIPES, VARIANTS, AlexNet, HybridAlexNet
from tinynet.training import option

# --------------------------------------------------------------------------------------- options


@dataclass
class Options(training.RunOptions):
    """What decides a run. The defaults are for photographs; `choose` has those for drawn shapes and the paper's run."""

    data: str = option("shapes", "a folder with train/<class>/ and val/<class>/; or shapes (drawn; the default), "
                       "imagenette or cifar10 (downloaded)", may_change=True, may_differ=True)
    preset: str = option("quick", "quick: for two cores (default); paper: the run of 2012", choices=["quick", "paper"])
    devices: str = option("cpu,cpu", "cpu; cuda:0; emu:0 (emulated: slow, to read kernels by); or one for each column "
                          "of channels, as in 2012: cpu,cpu (default; with mpiexec cpu), cuda:0,cuda:1; or four. With "
                          "mpiexec, a list per process of a machine: cuda:0/cuda:1", may_change=True, may_differ=True)
    split_fc8: bool = option(False, "split fc8 over the devices (default: whole on the first)", may_change=True)
    parallel: str = option("data", "what processes of mpiexec split: the batch (default); or the batch in convolutions "
                           "and the units in fully connected layers", choices=["data", "hybrid"], may_change=True)
    recipe: str = option("he", "initial weights, biases, LRN, input scale, learning rates", choices=list(RECIPES))
    schedule: str = option("cosine", "how the learning rate falls", choices=["plateau", "step", "cosine"])
    epochs: int = option(40, "how often to train on every image", above=0, may_change=True)
    batch_size: int = option(64, "images per batch, over all processes", above=0)
    lr: float = option(0.01, "initial learning rate (default: the recipe's)", above=0)
    scale_lr: bool = option(False, "multiply the learning rate by batch size / 128")
    warm_up: int = option(0, "epochs of linear warm-up to the initial learning rate", metavar="EPOCHS", least=0)
    width: float = option(0.5, "multiply the paper's numbers of channels", above=0)
    image_size: int = option(112, "side of the square crops, in pixels", above=0)
    outputs: int = option(0, "minimum number of outputs; the first are the data's classes", least=0)
    variant: str = option("", "changes to figure 2, to see what they are good for", names=list(VARIANTS))
    dropout: float = option(0.5, "probability of a zero in fc6 and fc7", least=0, below=1)
    weight_decay: float = option(0.0005, "of the update rule", least=0)
    augment: str = option("crops,flips,colors", "how training images vary", names=list(AUGMENTATIONS))


# Quick is for two cores: half the width, a quarter of the pixels, He's initial weights. Drawn shapes need less still.
QUICK_SHAPES = dict(width=0.25, image_size=64, epochs=28, batch_size=32)
PAPER = dict(recipe="paper", schedule="plateau", epochs=90, batch_size=128, width=1.0, image_size=224, outputs=1000)


def choose(given, saved, ranks):
    """The options of a new run, or those in a checkpoint, updated with options that may change."""
    if saved:
        return training.resumed_options(Options, saved, {"stop_after": 0} | given)
    shapes = given.get("data", "shapes") == "shapes"
    preset = PAPER if given.get("preset") == "paper" else QUICK_SHAPES if shapes else {}
    recipe = RECIPES[given.get("recipe", preset.get("recipe", Options.recipe))]
    devices = "cpu,cpu" if ranks.world_size == 1 else "cpu"
    return Options(**{"lr": recipe.lr, "devices": devices} | preset | given)


# ------------------------------------------------------------------------------------------ data


def make_loaders(options, ranks, train, val, side, saved, device):
    """Loaders of the training set and of the validation set's center crops and ten crops; and what they share."""
    size, recipe, prefetcher = options.image_size, RECIPES[options.recipe], data.Prefetcher(device)
    if saved:
        statistics = data.Statistics.from_state_dict(saved.state_dict("statistics"))
    else:
        statistics = data.fit_statistics(train, side, options.seed, progress=ranks.rank == 0)
    crop, augment = data.augmentation(options.augment, size, statistics.colors)
    normalize = [data.Normalize(statistics.mean, recipe.pixel_std), data.to_chw]

    def load(images, *transforms, crops=1, **more):
        return data.DataLoader(images, max(options.batch_size // crops, 1), data.Compose([*transforms, *normalize]),
                               shard=(ranks.rank, ranks.world_size), seed=options.seed, workers=options.workers,
                               side=side, strict=options.strict, empty=prefetcher.empty, **more)

    return SimpleNamespace(
        train=load(train, *augment, crop=crop, shuffle=True),
        val={"center crop": load(val, crop=data.CenterCrop(size)), "ten-crop": load(val, data.TenCrop(size), crops=10)},
        plain=data.Compose([data.CenterCrop(size), *normalize]), statistics=statistics, prefetcher=prefetcher,
    )


# --------------------------------------------------------------------------- model and optimizer


def make_model(options, classes, devices, ranks):
    tinynet.manual_seed(options.seed)
    try:
        model = AlexNet(max(classes, options.outputs), devices, width=options.width, image_size=options.image_size,
                        recipe=RECIPES[options.recipe], dropout=options.dropout, split_fc8=options.split_fc8,
                        variant=options.variant)
        return HybridAlexNet(model, ranks) if ranks.world_size > 1 and options.parallel == "hybrid" else model
    except (ValueError, RuntimeError) as error:  # an image too small, a device that is not there
        raise RunError(str(error)) from error


def make_optimizer(options, model, steps_per_epoch):
    """(optimizer, schedule of epochs, warm-up of steps or None)"""
    lr = options.lr * (options.batch_size / 128 if options.scale_lr else 1)
    groups = RECIPES[options.recipe].parameter_groups(model, lr, options.weight_decay)
    optimizer, epochs = optim.PaperSGD(groups, lr, momentum=0.9), options.epochs
    if options.schedule == "plateau":  # of the validation error, as in the paper
        schedule = optim.ReduceLROnPlateau(optimizer, factor=0.1, patience=4)
    elif options.schedule == "step":
        schedule = optim.MultiStepLR(optimizer, [max(epochs // 3, 1), max(2 * epochs // 3, 1)], gamma=0.1)
    else:
        schedule = optim.CosineAnnealingLR(optimizer, epochs)
    start = min(128 / options.batch_size, 1) if options.scale_lr else 0.1
    warm_up = options.warm_up and optim.LinearWarmup(optimizer, start, total_iters=options.warm_up * steps_per_epoch)
    return optimizer, schedule, warm_up or None


# -------------------------------------------------------------------------------------- training


def train_epoch(loader, model, optimizer, data_parallel, prefetcher, progress, after_step):
    """Forward, loss, backward, update: once for every batch."""
    model.train()
    for images, labels in loader:
        n = data_parallel.start(len(labels))  # images on all ranks; tells dropout which of them are here
        if n == 0:  # not one image of this batch can be read
            continue
        logits = model(tinynet.tensor(prefetcher(images)))
        loss = F.cross_entropy(logits, labels, reduction="sum") / n
        progress.record(loss, logits, labels, n, images)  # stops the run if a loss is not finite
        data_parallel.backward(loss)  # sums gradients over the ranks while it goes on
        optimizer.step()
        optimizer.zero_grad()
        after_step()


def train(options, ranks, model, loaders, saved, out):
    """Epochs of training, with an evaluation and a checkpoint after each: (folder, metrics, lines of results)."""
    optimizer, schedule, warm_up = make_optimizer(options, model, len(loaders.train))
    interrupts, filters = training.Interrupts(ranks), explain.FilterHistory(model)
    data_parallel = parallel.DataParallel(model, ranks, interrupts.sync)
    progress = training.Progress(ranks, loaders.train, optimizer, model, options.epochs)
    parts = dict(model=model, optimizer=optimizer, schedule=schedule, warm_up=warm_up, loader=loaders.train,
                 progress=progress, filters=filters)
    folder = training.begin(options, ranks, loaders, saved, out, **parts)
    checkpoint = training.Checkpoint(folder / "checkpoint.safetensors", ranks, **parts, statistics=loaders.statistics)

    def save(stop=None):
        progress.read_losses()
        checkpoint.save(**training.run_info(options, loaders))
        if stop:
            line = f'{stop}: saved at step {progress.step}; go on with --out "{folder}" --resume'
            raise RunError(line, interrupts.exit_code)

    def after_step():
        if warm_up:
            warm_up.step()
        enough = 0 < options.stop_after <= progress.step
        if interrupts.name or enough or progress.step % options.checkpoint_every == 0:
            save(interrupts.name or ("--stop-after" if enough else None))

    def after_batch(count):  # in an evaluation
        interrupts.sync(count)
        if interrupts.name:
            save(interrupts.name)

    with interrupts.listening(), progress.writing(folder / "metrics.csv"):
        while progress.evaluated < options.epochs:
            if loaders.train.epoch == progress.evaluated:  # else the run was stopped during this evaluation
                train_epoch(loaders.train, model, optimizer, data_parallel, loaders.prefetcher, progress, after_step)
            result = training.evaluate(model, loaders.val["center crop"], ranks, after_batch)
            progress.end_epoch(result)
            filters.note(progress.evaluated, model)
            schedule.step(1 - result["top1"])
            save()
    return folder, progress.metrics, filters, training.result_lines(model, loaders.val, ranks)


# ------------------------------------------------------------------------------------------ main


def prepare(arguments, checkpoint, ranks):
    """(options, checkpoint or None, model, loaders). Whatever is wrong with the arguments is found here."""
    saved = training.load(checkpoint) if checkpoint else None
    options = choose(arguments.given, saved, ranks)
    ranks.set_timeout(options.timeout)
    devices, side = parallel.own_devices(options.devices, ranks), round(options.image_size * 256 / 224)
    training.check_sizes(options, devices, saved)  # before anything is drawn or downloaded
    if arguments.predict:
        train = val = training.Pictures(arguments.pictures, saved.info["classes"])
    else:
        train, val = data.open_images(options.data, side)  # to be cropped: the paper takes 224 x 224 out of 256 x 256
    if saved:
        training.check_images(saved, train, arguments.resume)
    model = make_model(options, len(train.classes), devices, ranks)
    loaders = make_loaders(options, ranks, train, val, side, saved, devices[0])
    return options, saved, model, loaders


def main(ranks, argv=None):
    arguments = ranks.collectively(lambda: training.parse(Options, "Train AlexNet (2012).", argv, ranks.world_size))
    training.set_up_process(ranks)
    if ranks.rank == 0 and not any(arguments):
        print("Training a small AlexNet on drawn shapes; on ImageNet: --data DIR --preset paper "
              "(DIR/train/<class>/*.JPEG, DIR/val/<class>/*.JPEG).", flush=True)
    runs = ranks.collectively(lambda: [prepare(arguments, path, ranks) for path in arguments.checkpoints])
    if arguments.evaluate or arguments.predict:
        training.answer(arguments, runs, ranks)
        return
    options, saved, model, loaders = runs[0]
    folder, metrics, filters, lines = training.with_batch_size_hint(
        lambda: train(options, ranks, model, loaders, saved, arguments.out), train_epoch, options, ranks, model, loaders
    )
    training.report_skipped([loaders.train, *loaders.val.values()], ranks)
    whole = model.whole()  # of a hybrid, the weights of all ranks
    if ranks.rank == 0:
        files = ", ".join(["checkpoint.safetensors", "metrics.csv", "config.json", *FIGURES])
        print(f"in {folder}: {files}", *lines, sep="\n", flush=True)
        draw_figures(folder, options, whole, loaders, metrics, filters)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    parallel.launch(main, parallel=any(argument.startswith("--parallel") for argument in sys.argv))
