"""What an experiment shows: lines and tables, printed and kept in NAME.md, and a figure, NAME.png."""

import textwrap

import numpy as np
from matplotlib.figure import Figure

from tinynet import plot
from tinynet.files import replacing

COLORS = [*plot.DEVICES, "#7a4b9d", "#00838f", plot.MUTED, "#ad1457", "#5d4037", plot.INK]


def spread(values, digits=1):
    """The mean, and in parentheses the smallest and the largest, if there are several."""
    mean = f"{np.mean(values):.{digits}f}"
    return f"{mean} ({min(values):.{digits}f} to {max(values):.{digits}f})" if len(values) > 1 else mean


class Page:
    """name: of the experiment. about: on which data, with which network."""

    def __init__(self, folder, name, about):
        self.folder, self.name, self.about, self.lines = folder, name, about, []

    def text(self, line):
        print(line, flush=True)
        self.lines += [line, ""]

    def table(self, header, rows):
        """header, rows: lists of texts."""
        cells = [header, *rows]
        widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
        cells.insert(1, ["-" * width for width in widths])
        lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in cells]
        self.text("\n".join(lines))

    def results(self, runs, **more):
        """A table of runs ({label: [Run]}): errors in percent, means and spread. more: {column: {label: text}}."""
        columns = {"top-1 error": "val_error", "top-5 error": "val_top5", "training error": "trained_error"}
        rows = [[label, *(spread([run.final(key) for run in own]) for key in columns.values()),
                 *(texts.get(label, "") for texts in more.values())] for label, own in runs.items()]
        self.table(["", *columns, *(name.replace("_", " ") for name in more)], rows)

    def difference(self, runs, a, b, paper="", key="val_error", what="top-1 error"):
        """A line: how much larger a number is in runs[a] than in runs[b], seed by seed, and whether that counts."""
        values = [[run.final(key) for run in runs[label]] for label in (a, b)]
        unit = "" if key.endswith("loss") else " points"
        self.compare(f"{what}, {a} less {b}", *values, unit, paper)

    def overfitting(self, runs, a, b, paper=""):
        """The same for the gap between the validation and the training error, both of the trained network."""
        gaps = [[run.final("val_error") - run.final("trained_error") for run in runs[label]] for label in (a, b)]
        self.compare(f"validation less training error, {a} less {b}", *gaps, " points", paper)

    def compare(self, what, values, others, unit="", paper=""):
        """values, others: numbers by seed. paper: what it says; all of its differences are positive."""
        differences = np.subtract(values, others)
        seeds = f" ({', '.join(f'{d:+.2f}' for d in differences)} by seed)" if len(differences) > 1 else ""
        said = f"{what}: {differences.mean():+.2f}{unit}{seeds}" + (f"; the paper: {paper}" if paper else "")
        self.text(f"- {said}. {verdict(differences, paper)}")

    def curves(self, runs, keys=("error", "val_error"), titles=("training error, %", "validation error, %")):
        """A figure with a plot for each key of an epoch's row: a line per setting (mean) and its seeds' range."""
        figure = Figure(figsize=(5 * len(keys), 3.8), layout="constrained")
        for axes, key, title in zip(np.atleast_1d(figure.subplots(1, len(keys))), keys, titles, strict=True):
            for (label, own), color in zip(runs.items(), COLORS * len(runs), strict=False):
                rows = [[row[key] for row in run.result["epochs"]] for run in own]
                length = min(map(len, rows))
                values = np.array([row[:length] for row in rows]) * (1 if key.endswith("loss") else 100)
                epochs = np.arange(1, length + 1)
                axes.plot(epochs, values.mean(0), color=color, lw=1.6, marker=".", label=label)
                axes.fill_between(epochs, values.min(0), values.max(0), color=color, alpha=0.15, lw=0)
            label_axes(axes, "epoch", title)
        axes.legend(frameon=False, fontsize=8)
        self.save(figure)

    def save(self, figure):
        title = textwrap.fill(f"{self.name}: {self.about}", round(15 * figure.get_figwidth()))
        figure.suptitle(title, fontsize=8, color=plot.INK, parse_math=False)
        self.folder.mkdir(parents=True, exist_ok=True)
        figure.savefig(self.folder / f"{self.name}.png", dpi=120)

    def finish(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing(self.folder / f"{self.name}.md") as unfinished:
            unfinished.write_text("\n".join([*self.lines, f"![]({self.name}.png)", ""]), encoding="utf-8")
        print(f"in {self.folder}: {self.name}.md, {self.name}.png", flush=True)


def one_plot(x, y):
    """(figure, its axes), labeled."""
    figure = Figure(figsize=(5, 3.6), layout="constrained")
    label_axes(axes := figure.subplots(), x, y)
    return figure, axes


def label_axes(axes, x, y):
    axes.set(xlabel=x, ylabel=y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)


# By the number of seeds: how many standard errors on either side of the mean hold 95 % (Student's t); fewer beyond 10
STUDENT = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26}


def verdict(differences, paper=""):
    """Does a difference show? It does if the 95 % interval of its mean over the seeds is on one side of 0."""
    n, mean = len(differences), np.mean(differences)
    if n < 2:
        return "One seed: its spread is not known."
    margin = STUDENT.get(n, 2.26) * np.std(differences, ddof=1) / np.sqrt(n)
    interval = f"95 % interval {mean - margin:+.2f} to {mean + margin:+.2f}"
    if abs(mean) <= margin:
        return f"Not more than the seeds differ: {interval}."
    return f"{'The opposite shows' if paper and mean < 0 else 'It shows'}: {interval}."


def times_as_long(slow, fast):
    """By seed: how many times as many epochs the first runs take as the second to the larger of their last losses."""
    ratios = []
    for pair in zip(slow, fast, strict=True):
        losses = [[row["loss"] for row in run.result["epochs"]] for run in pair]
        goal = max(own[-1] for own in losses)
        epochs = [next(i for i, loss in enumerate(own, 1) if loss <= goal) for own in losses]
        ratios.append(epochs[0] / epochs[1])
    return ratios


def epochs_to(run, goal):
    """After how many epochs the training error crosses `goal`, between two epochs in proportion; infinity if never.

    An epoch's error is its mean, so it counts for the middle of the epoch.
    """
    errors = [row["error"] for row in run.result["epochs"]]
    for i, error in enumerate(errors):
        if error <= goal:
            before = errors[i - 1] if i else 1.0
            return i + 0.5 - (goal - error) / (before - error) if before > error else i + 0.5
    return np.inf
