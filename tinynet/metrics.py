"""Top-k accuracy, and the file with the metrics of each step."""

import csv
import os

import numpy as np

from tinynet.errors import RunError
from tinynet.files import replacing


def topk_correct(scores, labels, k):
    """Whether each label is among the `k` highest scores. scores: (N, classes) -> bool (N,).

    Of equal scores the first counts as the higher, as in argmax: a network that gives every class the same score must
    not be right every time.
    """
    own = np.take_along_axis(scores, labels[:, None], axis=1)  # (N, 1)
    first = np.arange(scores.shape[1]) < labels[:, None]  # (N, classes)
    rank = (scores > own).sum(1) + ((scores == own) & first).sum(1)
    return (rank < k) & np.isfinite(own[:, 0])  # no score is greater than nan, so its rank would be 0


class MetricsFile:
    """metrics.csv: a row per step; an evaluation is in the row of the step that it followed."""

    fields = ("step", "epoch", "lr", "loss", "top1", "top5", "val_loss", "val_top1", "val_top5")

    def __init__(self, path, steps, write=True):
        """Start the file, or go on after its first `steps` steps: those after the checkpoint will be repeated.
        write=False: keep the rows, but leave the file to another process."""
        self.path, self.rows, self.writes = path, [], write
        if steps and path.exists():
            with open(path, newline="", encoding="utf-8", errors="replace") as file:
                rows = csv.DictReader(file)
                if rows.fieldnames is not None and tuple(rows.fieldnames) != self.fields:
                    raise RunError(f"{path} does not begin with the columns of a run: move it away to go on without")
                self.rows = [row for row in self.checked(list(rows)) if int(row["step"]) <= steps]
        self.write()

    def checked(self, rows):
        """The rows, less a last one that a kill cut off. RunError if one of them is not of a run."""
        for i, row in enumerate(rows):
            try:
                [float(row[name]) for name in self.fields[:6]]
                if i and int(row["step"]) != int(rows[i - 1]["step"]) + 1:
                    raise ValueError
            except (TypeError, ValueError) as error:
                if i == len(rows) - 1:
                    return rows[:i]
                raise RunError(f"{self.path}: line {i + 2} is not of a run: move it away to go on without") from error
        return rows

    def sync(self):
        """See that all rows are on the disk: a checkpoint speaks of them."""
        if self.writes:
            with open(self.path, "rb+") as file:
                os.fsync(file.fileno())

    def write(self):
        """All rows, to a temporary file first: a kill or a full disk must not lose the old ones."""
        if not self.writes:
            return
        with replacing(self.path) as unfinished, open(unfinished, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, self.fields)
            writer.writeheader()
            writer.writerows(self.rows)

    def add_step(self, **row):
        self.rows.append(row)
        if not self.writes:
            return
        with open(self.path, "a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, self.fields).writerow(row)

    def add_evaluation(self, loss, top1, top5):
        self.rows[-1] |= {"val_loss": loss, "val_top1": top1, "val_top5": top5}
        self.write()

    def recent(self, name, count):
        """The mean of a column over the last `count` steps."""
        return float(np.mean([float(row[name]) for row in self.rows[-count:]]))
