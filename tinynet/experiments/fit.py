"""One training run: a Setting, a data set and a folder, which has a result.json in the end.

The loop is the one of examples/alexnet_imagenet.py, for one process and one device, which need not be the CPU. After
each epoch there is a checkpoint, so a run that was stopped goes on where it was.
"""

import json
import time

import numpy as np

import tinynet
from tinynet import data, optim
from tinynet import functional as F
from tinynet.errors import RunError
from tinynet.experiments.images import Images
from tinynet.experiments.networks import LAST, make_network, recipe_of, take_weights
from tinynet.files import replacing
from tinynet.metrics import topk_correct
from tinynet.training import Checkpoint, load
from tinynet.training.predict import answers

NETWORK = "network.safetensors"  # of a finished run: without what only training needs


class History:
    """What a run notes: a row for each epoch, and the loss of each step."""

    def __init__(self):
        self.epochs, self.losses = [], []

    def state_dict(self):
        return {"epochs": self.epochs, "losses": self.losses}

    def load_state_dict(self, state):
        self.epochs, self.losses = list(state["epochs"]), list(state["losses"])


def fit(folder, source, setting, after_epoch):
    """Train, unless folder/result.json is there. folder: of this run; others are beside it."""
    if (folder / "result.json").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    images = Images(setting, source)
    loader, validate = images.to_train(), images.to_validate()
    model, history = make_network(setting, len(images.train.classes), source.device), History()
    if setting.start:
        start = folder.parent / setting.start.key(images.digest) / NETWORK
        other_classes = setting.classes != setting.start.classes
        take_weights(model, load(start).arrays["model"], LAST[setting.network] if other_classes else None)
    optimizer, schedule = make_optimizer(setting, model)
    checkpoint = Checkpoint(folder / "checkpoint.safetensors", model=model, optimizer=optimizer, schedule=schedule,
                            loader=loader, history=history)
    if checkpoint.path.exists():
        load(checkpoint.path).restore(**checkpoint.parts)
    while loader.epoch < setting.epochs and not reached(setting, history):
        start = time.perf_counter()
        row = train_epoch(model, loader, optimizer, history.losses)
        row |= {f"val_{key}": value for key, value in test(model, validate).items()}
        history.epochs.append(row | {"seconds": time.perf_counter() - start})
        schedule.step(row["val_error"])
        checkpoint.save()
        after_epoch()
    result = history.state_dict() | {f"trained_{key}": value for key, value in test(model, images.trained()).items()}
    Checkpoint(folder / NETWORK, model=model, statistics=images.statistics).save(classes=images.train.classes)
    with replacing(folder / "result.json") as unfinished:
        unfinished.write_text(json.dumps(result), encoding="utf-8")
    checkpoint.path.unlink()  # only now: a run that is stopped before goes on from it


def restored(folder, source, setting):
    """(the trained network of a run, its Images)"""
    saved = load(folder / NETWORK)
    statistics = data.Statistics.from_state_dict(saved.state_dict("statistics"))
    images = Images(setting, source, statistics)
    model = make_network(setting, len(images.train.classes), source.device)
    saved.restore(model=model)
    return model, images


def reached(setting, history):
    return bool(history.epochs) and history.epochs[-1]["error"] < setting.until


def make_optimizer(setting, model):
    """(optimizer, schedule) for the layers that are not frozen."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad = name.partition(".")[0] not in setting.frozen
    groups = recipe_of(setting).parameter_groups(model, setting.lr, setting.weight_decay)
    for group in groups:
        group["params"] = [parameter for parameter in group["params"] if parameter.requires_grad]
    optimizer = optim.PaperSGD(groups, setting.lr, momentum=0.9)
    if setting.schedule == "plateau":
        return optimizer, optim.ReduceLROnPlateau(optimizer, factor=0.1, patience=4)
    if setting.schedule == "constant":
        return optimizer, optim.StepLR(optimizer, setting.epochs + 1)
    return optimizer, optim.CosineAnnealingLR(optimizer, setting.epochs)


def train_epoch(model, loader, optimizer, losses):
    """{"loss", "error"}: means over an epoch, while the network learns. Each step's loss goes to `losses`."""
    model.train()
    total, wrong, count = 0.0, 0, 0
    for images, labels in loader:
        logits = model(tinynet.tensor(images, device=model.devices[0]))
        loss = F.cross_entropy(logits, labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if not np.isfinite(losses[-1]):
            raise RunError(f"the loss is {losses[-1]} after {len(losses)} steps: a lower rate is needed", 1)
        total += losses[-1] * len(labels)
        wrong += int((~topk_correct(logits.numpy(), labels, 1)).sum())
        count += len(labels)
    return {"loss": total / count, "error": wrong / count}


def test(model, loader):
    """{"loss", "error", "top5"}: of the network as it is used, without dropout; the last is the error among five."""
    return errors(*answers(model, loader))


def errors(found, labels):
    """The same of probabilities (N, classes) and labels (N,)."""
    right = np.maximum(found[np.arange(len(labels)), labels], 1e-30)
    top1, top5 = (1 - float(topk_correct(found, labels, k).mean()) for k in (1, 5))
    return {"loss": float(-np.log(right).mean()), "error": top1, "top5": top5}
