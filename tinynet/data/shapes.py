"""A small data set that needs no download: ten kinds of shapes on cluttered backgrounds.

Each image shows one shape of random color, size (0.35 to 0.8 of the image), position and rotation, over a darker color
gradient with clutter and noise. Color says nothing about the class, so a network has to learn outlines. Shapes are
polygons, drawn SUPERSAMPLE times too large and averaged down, which antialiases their edges. They are written as JPEGs
in ImageNet's layout.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image, ImageDraw

from tinynet.backend import usable_cores
from tinynet.data.arguments import as_path, check_integer
from tinynet.data.cache import creating
from tinynet.data.errors import DataError
from tinynet.data.images import LARGEST_SIDE, save_jpeg
from tinynet.files import cache_folder

VERSION = 1  # part of the folder's name; raise it when the images change
SUPERSAMPLE = 4
SMALLEST_SIDE = 16
SMALLEST, LARGEST = 0.35, 0.8  # diameter of the shape / side of the image
LUMA = np.float32([0.299, 0.587, 0.114])  # perceived brightness of red, green and blue (ITU-R BT.601)
CONTRAST = 60  # a shape is brighter than its background by at least this many gray levels


def shapes(root=None, train=2000, val=500, side=72, seed=2012):
    """The folder of the data set, drawn if it does not exist yet: train/<class>/, val/<class>/.

    root: the parent of the data set's own folder, default cache_folder(). train, val: the number of images, divided
    evenly among the classes. side: pixels. seed: the same seed gives the same images. Raises DataError if a class would
    get no image, or if the folder cannot be written.
    """
    for name, value, *limits in (("train", train, len(CLASSES)), ("val", val, len(CLASSES)),
                                 ("side", side, SMALLEST_SIDE, LARGEST_SIDE), ("seed", seed, 0)):
        check_integer("shapes", name, value, *limits)
    root = cache_folder() if root is None else as_path("shapes", "root", root)
    folder = root / f"shapes-v{VERSION}-{train}+{val}-side{side}-seed{seed}"
    if folder.is_dir():
        return folder
    try:
        with creating(folder) as unfinished:
            _write(unfinished, {"train": train, "val": val}, side, seed)
    except OSError as error:
        raise DataError(f"cannot write the shapes to {folder}: {error.strerror}") from error
    return folder


def _write(folder, counts, side, seed):
    names = sorted(CLASSES)

    def draw_and_save(job):
        number, split, i = job
        name = names[i % len(names)]
        rng = np.random.default_rng((seed, number, i + 1))
        path = folder / split / name / f"{name}_{i:05d}.JPEG"
        save_jpeg(draw(name, side, rng), path, quality=92)

    for split in counts:
        for name in names:
            (folder / split / name).mkdir(parents=True)
    jobs = [(number, split, i) for number, (split, n) in enumerate(counts.items()) for i in range(n)]
    with ThreadPoolExecutor(usable_cores()) as pool:
        list(pool.map(draw_and_save, jobs))  # list: an exception in a thread is raised here


def draw(name, side, rng):
    """One image of the class `name`: uint8 (side, side, 3)."""
    first, second, color = _colors(rng)
    background = _background(side, first, second, rng)  # (side, side, 3) float32
    coverage = _coverage(name, side, rng)[:, :, None]  # (side, side, 1), 0..1
    image = background + coverage * (color - background)
    image += rng.normal(0, rng.uniform(3, 10), image.shape).astype(np.float32)
    return image.clip(0, 255).astype(np.uint8)


def _colors(rng):
    """Two colors for the background's gradient, and a brighter one for the shape: (3, 3)."""
    while True:
        colors = rng.uniform(0, 255, (3, 3)).astype(np.float32)
        first, second, shape = colors @ LUMA
        if shape > max(first, second) + CONTRAST:
            return colors


def _background(side, first, second, rng):
    angle = rng.uniform(0, 2 * np.pi)
    across = np.linspace(-0.5, 0.5, side, dtype=np.float32)
    slope = np.cos(angle) * across[:, None] + np.sin(angle) * across[None, :]
    slope = (slope - slope.min()) / (slope.max() - slope.min())
    gradient = first + slope[:, :, None] * (second - first)
    image = Image.fromarray(gradient.astype(np.uint8))
    pen = ImageDraw.Draw(image)
    for _ in range(rng.integers(2, 7)):  # clutter: strokes in slightly different colors
        ends = rng.uniform(-0.2 * side, 1.2 * side, 4)
        shade = (first + second) / 2 + rng.uniform(-45, 45, 3)
        fill = tuple(int(c) for c in shade.clip(0, 255))
        pen.line(list(ends), fill=fill, width=int(rng.integers(1, max(2, side // 16) + 1)))
    return np.asarray(image, np.float32)


def _coverage(name, side, rng):
    """How much of each pixel the shape covers: float32 (side, side), 0..1."""
    radius = rng.uniform(SMALLEST, LARGEST) / 2 * side
    center = rng.uniform(radius, side - radius, 2)
    angle = rng.uniform(0, 2 * np.pi)
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    mask = Image.new("L", (side * SUPERSAMPLE, side * SUPERSAMPLE))
    pen = ImageDraw.Draw(mask)
    for outline, ink in CLASSES[name]():  # later outlines paint over earlier ones
        points = (outline @ rotation * radius + center) * SUPERSAMPLE
        pen.polygon(points.ravel().tolist(), fill=ink)
    return np.asarray(mask.reduce(SUPERSAMPLE), np.float32) / 255


# The shapes: each a list of (outline (P, 2) within the unit disk, ink), where ink 255 draws and 0 erases.


def _regular(corners, radius=1.0, x=0.0):
    t = np.arange(corners) * 2 * np.pi / corners
    return radius * np.stack([np.cos(t), np.sin(t)], axis=1) + (x, 0)


def _one(*points):
    return [(np.array(points), 255)]


def _star():
    points = _regular(10)
    points[1::2] *= 0.4
    return [(points, 255)]


def _cross():
    a, b = 0.95, 0.3
    return _one((a, b), (b, b), (b, a), (-b, a), (-b, b), (-a, b),
                (-a, -b), (-b, -b), (-b, -a), (b, -a), (b, -b), (a, -b))


def _heart():
    t = np.arange(64) * 2 * np.pi / 64
    x = 16 * np.sin(t) ** 3
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return [(np.stack([x, y + 2], axis=1) / 17, 255)]


def _arrow():
    return _one((1, 0), (0.2, 0.75), (0.2, 0.25), (-0.95, 0.25), (-0.95, -0.25), (0.2, -0.25), (0.2, -0.75))


CLASSES = {
    "arrow": _arrow,
    "circle": lambda: [(_regular(64), 255)],
    "crescent": lambda: [(_regular(64), 255), (_regular(64, 0.85, 0.45), 0)],
    "cross": _cross,
    "heart": _heart,
    "hexagon": lambda: [(_regular(6), 255)],
    "ring": lambda: [(_regular(64), 255), (_regular(64, 0.6), 0)],
    "square": lambda: [(_regular(4), 255)],
    "star": _star,
    "triangle": lambda: [(_regular(3), 255)],
}
