"""What a run shows while it goes on: metrics.csv and the progress bar; and the check that its losses are finite."""

import contextlib
import math
import time

import numpy as np
from tqdm import tqdm

import tinynet
from tinynet import backend, explain
from tinynet.errors import RunError
from tinynet.metrics import MetricsFile, topk_correct
from tinynet.optim.checks import integer


class Progress:
    """step: updates made, the one under way included. evaluated: epochs whose evaluation is done."""

    def __init__(self, ranks, loader, optimizer, model, epochs):
        self.ranks, self.loader, self.optimizer, self.model, self.epochs = ranks, loader, optimizer, model, epochs
        self.step = self.evaluated = 0
        # To read a loss, the host has to wait until the GPU has finished that step.
        self.unread, self.read_every = [], 1 if model.devices[0] == "cpu" else 20
        self.metrics = None
        self.timed_epoch = None  # the epoch that the times below are of

    def state_dict(self):
        if self.metrics:
            self.metrics.sync()  # what a checkpoint speaks of is on the disk before it
        return {"step": self.step, "evaluated": self.evaluated}

    def load_state_dict(self, state):
        self.step, self.evaluated = (integer("Progress", name, state[name]) for name in ("step", "evaluated"))

    @contextlib.contextmanager
    def writing(self, path):
        """While the run goes on: a row per step in `path`, metrics.csv, and the bar."""
        shows = self.ranks.rank == 0
        self.metrics = MetricsFile(path, self.step, write=shows)
        if shows and len(self.metrics.rows) < self.step:
            print(f"{path} has {len(self.metrics.rows)} of {self.step} steps; the run goes on without the others")
        with tqdm(total=self.epochs * len(self.loader), initial=self.step, unit="step", mininterval=0.5,
                  dynamic_ncols=True, disable=not shows) as self.bar:
            yield

    def record(self, loss, logits, labels, n, images):
        """After a step's forward pass. loss: this rank's part of the mean over the n images of all ranks.

        Raises RunError, on all ranks, if the mean is not finite: before the update on `cpu`, up to 20 steps later
        elsewhere.
        """
        if self.timed_epoch != self.loader.epoch:
            self.timed_epoch, self.start = self.loader.epoch, time.perf_counter()
            self.waited, self.seen = self.loader.wait_seconds, 0
        self.step, self.images = self.step + 1, images
        lr = self.optimizer.param_groups[0]["lr"]
        self.unread.append((self.step, self.loader.epoch, lr, loss.data, logits.data, labels, n))
        self.seen += n
        self.bar.update()
        if len(self.unread) == self.read_every or self.loader.position == len(self.loader):
            self.read_losses()
            self.update_bar()

    def read_losses(self):
        """Wait for the steps that are not read yet, check their losses and write them into metrics.csv."""
        own = []
        for *_, loss, logits, labels, _ in self.unread:
            scores = tinynet.Tensor(logits).numpy()
            own.append([loss.item(), *(int(topk_correct(scores, labels, k).sum()) for k in (1, 5))])
        sums = np.sum(self.ranks.all_gather_object(own), axis=0) if own else []
        for (step, epoch, lr, *_, n), (loss, *correct) in zip(self.unread, sums, strict=True):
            if not math.isfinite(loss):
                raise RunError(f"step {step}: the loss is {loss}: {self.autopsy()}; {self.advice()}", 1)
            top1, top5 = (count / n for count in correct)
            self.metrics.add_step(step=step, epoch=epoch, lr=lr, loss=loss, top1=top1, top5=top5)
        self.unread.clear()

    def autopsy(self):
        causes = self.ranks.all_gather_object(explain.first_not_finite(self.model.whole(), self.images))
        return next((cause for cause in causes if not cause.startswith("only")), causes[0])

    def advice(self):
        kept = (self.metrics.path.parent / "checkpoint.safetensors").exists()
        lr = self.optimizer.param_groups[0]["initial_lr"]
        return f"start again with a smaller --lr than {lr:g}" + "; the last good checkpoint is kept" * kept

    def update_bar(self):
        seconds = time.perf_counter() - self.start
        loss, top1, top5 = (self.metrics.recent(name, 50) for name in ("loss", "top1", "top5"))
        waiting = (self.loader.wait_seconds - self.waited) / seconds
        self.bar.set_description(f"epoch {self.loader.epoch + 1}/{self.epochs}", refresh=False)
        self.bar.set_postfix_str(
            f"{self.seen / seconds:.0f} images/s, loss {loss:.3f}, top-1 {top1:.1%}, top-5 {top5:.1%}, "
            f"waiting for data {waiting:.0%}{memory_in_use(self.model.devices)}",
            refresh=False,
        )

    def end_epoch(self, result):
        """Note an epoch's evaluation. Raises RunError if its loss is not finite."""
        self.read_losses()  # the epoch's last batch may have had no image that can be read
        if not math.isfinite(result["loss"]):
            what = f"the validation loss after epoch {self.loader.epoch} is {result['loss']}"
            raise RunError(f"{what}; {self.advice()}", 1)
        self.evaluated += 1
        self.metrics.add_evaluation(**result)
        shares = f"top-1 {result['top1']:.1%}, top-5 {result['top5']:.1%} (center crop)"
        if self.ranks.rank == 0:
            self.bar.write(f"epoch {self.evaluated}: validation loss {result['loss']:.3f}, {shares}")
            if self.evaluated == 1 and result["top1"] > (trained := self.metrics.recent("top1", len(self.loader))):
                self.bar.write(f"better than in training ({trained:.1%}), as usual at first: dropout and augmentation "
                               "make only training harder, and its figure is a mean over the whole epoch")
            if self.evaluated == 3 and result["loss"] > 0.98 * math.log(len(self.loader.dataset.classes)):
                self.bar.write("that is still close to guessing: try --recipe he or chm2012, or another --lr")


def memory_in_use(devices):
    """Text such as ', cuda:0 3.1 of 15.7 GiB': what the pool holds of each GPU's memory; on the CPU nothing."""
    figures = [(name, *backend.memory(name)) for name in dict.fromkeys(devices) if name != "cpu"]
    return "".join(f", {name} {held / 2**30:.1f} of {total / 2**30:.1f} GiB" for name, held, total in figures)
