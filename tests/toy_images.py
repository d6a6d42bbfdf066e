"""Small data sets for tests: in memory, with images that are slow or cannot be read, and as files."""

import os
import time

import numpy as np
from PIL import Image

from tinynet.data import ArrayImages, ImageError


class Toy(ArrayImages):
    """n random images of 8 x 8; each takes a short, varying time; those in `broken` cannot be read."""

    def __init__(self, n, broken=(), delay=0.0):
        self.pixels = np.random.default_rng(1).integers(0, 256, (n, 8, 8, 3), np.uint8)
        super().__init__(self.pixels, np.arange(n) % 3, ["a", "b", "c"], "toy")
        self.broken, self.delay, self.reads = frozenset(broken), delay, np.zeros(n, int)

    def image(self, i, side, patch=None):
        self.reads[i] += 1
        if self.delay:
            time.sleep(self.delay * (i % 4))
        if i in self.broken:
            raise ImageError(self.paths[i], "broken")
        return super().image(i, side, patch)


def write_images(root, *names, size=(6, 4), format="PNG"):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.linear_gradient("L").resize(size).convert("RGB").save(root / name, format)


STRANGE_NAMES = [
    "$_^$", "a\nb", "\x1b[31m\t", os.fsdecode(b"\xff\xfe"), "日本", "\u202eb", "x" * 255, "é" * 127, "%s{}\\n",
]


def write_strange(root):
    """Classes with strange names, each with an image of that name and one of the longest name there can be."""
    for name in STRANGE_NAMES:
        write_images(root / name, f"{name[:9]}.png", "é" * 125 + "a.png")
