"""Draw the pages' figures anew: python docs/figures/redraw.py [FOLDER [NAME ...]]. Without FOLDER, beside this file."""

import importlib
import sys
from pathlib import Path

import matplotlib.style

import drawing

HERE = Path(__file__).resolve().parent
FIGURES = {}  # name: a function that returns a Figure
for script in sorted(HERE.glob("draw_*.py")):
    FIGURES |= importlib.import_module(script.stem).FIGURES


def redraw(folder=HERE, names=FIGURES):
    for name in names:
        with matplotlib.style.context("default"):  # whatever the user's own settings are
            drawing.save(FIGURES[name](), Path(folder) / f"{name}.png")


if __name__ == "__main__":
    folder, *names = sys.argv[1:] or [HERE]
    redraw(folder, names or FIGURES)
