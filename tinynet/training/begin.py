"""How a run begins: what must hold before the first step, and what is printed then."""

import math
import os
import platform
import warnings
import zlib
from pathlib import Path

import numpy as np

import tinynet
from tinynet import backend, emulator, explain, optim
from tinynet.errors import RunError
from tinynet.files import printable
from tinynet.models.alexnet import sizes
from tinynet.parallel import check_devices
from tinynet.training.checkpoint import CheckpointError
from tinynet.training.options import fingerprint
from tinynet.training.run_folder import make_folder, write_config


def set_up_process(ranks):
    """Settings for a process that trains: memory is kept, and ranks on one machine share its cores."""
    # A loss that overflows stops the run with a message of our own; NumPy's would come first.
    warnings.filterwarnings("ignore", "overflow|invalid value|divide by zero", RuntimeWarning)
    backend.keep_freed_memory()
    if ranks.local_world_size > 1:
        backend.set_num_threads(max(backend.num_threads() // ranks.local_world_size, 1))


def check_sizes(options, devices, saved=None):
    """Raise RunError if a device is not there, or the network needs more memory than there is. Allocates nothing.

    saved: a checkpoint, whose arrays must have the sizes that its options ask for.
    """
    try:
        for device in dict.fromkeys(devices):
            backend.library(device)
            if device.startswith("emu"):
                emulator.compiler.compiler()  # that there is one
        check_devices("AlexNet", devices)
        shapes, outputs = sizes(
            max(options.outputs, 1), width=options.width, image_size=options.image_size, variant=options.variant
        )
    except (ValueError, RuntimeError) as error:
        raise RunError(str(error)) from error
    for name, shape in shapes.items() if saved else ():
        array = saved.arrays["model"].get(name)
        if not name.startswith("fc8") and (array is None or array.shape != shape):
            got = "is missing" if array is None else f"has shape {array.shape}, expected {shape}"
            raise CheckpointError(f"{saved.path} belongs to another architecture: {name} {got}")
    if saved:
        has, says = np.size(saved.arrays["model"].get("fc8.bias", ())), max(options.outputs, len(saved.info["classes"]))
        if has != says:
            what = f"fc8 has {has} outputs, expected {says}"
            raise CheckpointError(f"{saved.path} belongs to another architecture: {what}")
    # Weights, their gradients and velocities; and each layer's outputs, kept from forward to backward.
    bytes_needed = 4 * (3 * sum(map(math.prod, shapes.values())) + options.batch_size * outputs)
    if bytes_needed > (there := memory_of(devices)):
        what = f"--width {options.width:g}, --image-size {options.image_size} and --batch-size {options.batch_size}"
        need, have = (f"{size / 2**30:,.0f} GiB" for size in (bytes_needed, there))
        raise RunError(f"{what} need at least {need} of memory; there are {have}")


def memory_of(devices):
    """Bytes of memory that the devices have together; emulated ones have this machine's."""
    if devices[0].startswith("cuda"):
        return sum(backend.memory(device)[1] for device in dict.fromkeys(devices))
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else math.inf


def check_images(saved, train, resume):
    """Raise CheckpointError unless a checkpoint is for this training set's classes; to resume, for its very files."""
    if saved.info["classes"] != train.classes:
        raise CheckpointError(f"{saved.path} knows the classes {brief(saved.info['classes'])}; "
                              f"{train.root} has {brief(train.classes)}")
    if resume and saved.info["files"] != train.digest():
        raise CheckpointError(f"{saved.path}: the list of files in {train.root} has changed since this run began")


def brief(names):
    return ", ".join(map(printable, names[:3])) + (f", ... ({len(names)} in all)" if len(names) > 3 else "")


def check_ranks_agree(ranks, options, loaders, model, step=0):
    """RunError, on all ranks, unless all have the same options, images and weights."""
    if ranks.world_size == 1:
        return
    split = set(getattr(model, "split_parameters", list)())
    checksum = 0
    for _, parts in model.named_arrays():
        for part in parts if parts[0] not in split else ():
            checksum = zlib.crc32(part.numpy().tobytes(), checksum)
    ranks.check_equal(fingerprint(options) | {
        "the list of training images": loaders.train.dataset.digest(),
        "the list of validation images": loaders.val["center crop"].dataset.digest(),
        "its step": step,
        "its number of devices": len(model.devices),
        "its kind of devices": model.devices[0].partition(":")[0],  # each kind has collectives of its own
        "its tinynet": tinynet.__version__,
        "the checksum of its weights": checksum,
    })


def begin(options, ranks, loaders, saved, out, **parts):
    """Restore a resumed run's parts, check that the ranks agree, describe what begins. Returns the run's folder."""
    model, progress = parts["model"], parts["progress"]
    if saved:
        ranks.collectively(lambda: saved.restore(**parts))
        saved.arrays.clear()  # as large as the network
        if options.epochs != saved.info["options"]["epochs"]:
            follow_new_curve(parts["optimizer"], parts["schedule"], parts["warm_up"])
        threads = backend.num_threads()
        if ranks.rank == 0 and saved.info["threads"] != threads:
            print(f"the run began with {saved.info['threads']} threads and now has {threads}: last bits may differ")
    check_ranks_agree(ranks, options, loaders, model, progress.step)
    name = f"{Path(options.data).resolve().name}-{options.preset}"
    folder = ranks.collectively(lambda: make_folder(out, name) if ranks.rank == 0 else None)
    folder = Path(ranks.all_gather_object(str(folder))[0])
    if ranks.rank == 0:
        write_config(folder, options, classes=loaders.train.dataset.classes, ranks=ranks.world_size)
    whole = model.whole()
    if ranks.rank == 0 and saved:
        print(f"going on after step {progress.step}, in epoch {loaders.train.epoch + 1} of {options.epochs}")
    elif ranks.rank == 0:
        describe(whole, loaders, options)
    if ranks.world_size > 1:
        connect(ranks, options, model.devices)
    return folder


def follow_new_curve(optimizer, schedule, warm_up):
    """After a change of epochs: the rates restored are the old curve's."""
    if isinstance(schedule, optim.ReduceLROnPlateau):
        return
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"]
        for curve in (schedule, warm_up) if warm_up else (schedule,):
            group["lr"] *= curve.factor(curve.t)


def describe(model, loaders, options):
    """Print the sizes of the data, the table of layers, and how much of each layer's signal depends on the image."""
    train, val = loaders.train.dataset, loaders.val["center crop"].dataset
    print(f"{len(train):,} training and {len(val):,} validation images in {len(train.classes)} classes")
    print(explain.layer_table(model, options.batch_size))
    few = [image for _, image in explain.readable(val, loaders.plain, loaders.train.side, 24)]
    if not few:
        raise RunError(f"none of {min(24, len(val))} images tried in {val.root} can be read")
    shares = explain.signal_share(model, np.stack(few))
    print("how much each layer's output changes from image to image, before training, in percent of its size: "
          + ", ".join(f"{name} {share:.1%}" for name, share in shares.items()))
    print(signal_line(shares["fc8"], options.recipe, len(train.classes)))


GOOD_SHARE = 0.01  # of the scores. Recipe paper has less, and a loss that stays for long where it began; he has 30 %


def signal_line(share, recipe, classes):
    """What it means for training how much of the scores depends on the image, and what to do. recipe: its name."""
    if share >= GOOD_SHARE:
        return "  fc8, the scores, depends on the image: the loss can fall from the start"
    guessing = f"of guessing, log({classes}) = {math.log(classes):.2f}"
    return (f"  fc8, the scores, is below {GOOD_SHARE:.0%}: it hardly depends on the image yet, and the loss may stay "
            f"near that {guessing}, for long" + "; if it does, try --recipe he" * (recipe != "he"))


def connect(ranks, options, devices):
    over_host = ranks.use_nccl(devices) if devices[0].startswith("cuda") else None
    processes = ranks.all_gather_object(f"{os.getpid()} (mpiexec's {os.getppid()}) on {platform.node()}")
    if ranks.rank == 0:
        print(f"{ranks.world_size} ranks, --parallel {options.parallel}: processes {', '.join(processes)}", flush=True)
        if over_host:
            print(f"arrays travel over the hosts and not by NCCL: {over_host}")

