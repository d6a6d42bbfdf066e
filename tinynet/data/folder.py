"""Data sets: numbered images with labels.

Three classes share one interface, which is all that the loader needs:

    len(d), d.classes (list of str), d.labels (int64 (N,)), d.paths (list of Path),
    d.image(i, side, patch=None) -> uint8 (side, side, 3), d.digest() -> str

where patch = (top, left, size) asks for only this (size, size, 3) of the (side, side, 3).

ImageFolder reads ImageNet's layout from disk, ArrayImages holds images in memory, and Cached wraps either so that each
image is decoded once.
"""

import hashlib
import os
from pathlib import Path

import numpy as np
from PIL import Image

from tinynet.data.arguments import as_array, as_list, as_path, check_dataset, check_integer
from tinynet.data.errors import DataError, ImageError
from tinynet.data.images import LARGEST_SIDE, central_square, crop_to, decode

EXTENSIONS = (".jpeg", ".jpg", ".png", ".bmp", ".webp", ".gif", ".ppm", ".pgm", ".tif", ".tiff")
LAYOUT = "expected <folder>/<class>/<images>"
SPLITS = {"train", "val", "valid", "validation", "test"}


def find_images(root):
    """Relative paths ("class/name.jpg", always with /) of all images below root, sorted.

    Images are recognized by their extension, in either case. Hidden files and folders are ignored. Links to folders are
    followed, except those that lead back to where they are found: so what is below a folder does not depend on where
    the search began.
    """
    found = []
    for top, folders, files in os.walk(root, followlinks=True, onerror=_refuse):
        folders[:] = [f for f in folders if not f.startswith(".") and not _leads_back(str(root), top, f)]
        prefix = "" if top == str(root) else Path(top).relative_to(root).as_posix() + "/"
        found += [prefix + f for f in files if f.lower().endswith(EXTENSIONS) and not f.startswith(".")]
    return sorted(found)


def _refuse(error):
    raise DataError(f"cannot read the folder {error.filename}: {error.strerror}")


def _leads_back(root, top, name):
    """Is it a link to a folder that it is in, directly, or by way of another link between root and top?"""
    path = os.path.join(top, name)
    if not os.path.islink(path):
        return False
    target, folder = Path(os.path.realpath(path)), top
    while True:
        real = Path(os.path.realpath(folder))
        if target in (real, *real.parents):
            return True
        if folder == root:
            return False
        folder = os.path.dirname(folder)


class ImageFolder:
    """Images in ImageNet's layout: root/<class>/<files>, each class being a folder's name.

    Classes are sorted by name and numbered from 0. For a validation set, pass the training set's `classes`: the folder
    must then contain exactly these, so that labels mean the same in both.

    Raises DataError for a missing folder, one without class folders, a class without images, and classes other than
    those passed.
    """

    def __init__(self, root, classes=None):
        self.root = as_path("ImageFolder", "root", root)
        self.classes = self._find_classes()
        if classes is not None:
            self._check_classes(as_list("ImageFolder", "classes", classes, str))
        number = {name: i for i, name in enumerate(self.classes)}
        names = [n for n in find_images(self.root) if "/" in n]  # those directly below root have no class
        self.paths = [self.root / name for name in names]
        self._digest = _digest("\0".join(self.classes), "\0".join(names))
        self.labels = np.array([number[n.partition("/")[0]] for n in names], np.int64)  # (N,)
        counts = np.bincount(self.labels, minlength=len(self.classes))
        empty = [name for name, count in zip(self.classes, counts, strict=True) if count == 0]
        if empty:
            raise DataError(f"{self.root}: no images in class {_some(empty)}; {LAYOUT}")

    def __len__(self):
        return len(self.paths)

    def image(self, i, side, patch=None):
        """Image i: uint8 (side, side, 3). Raises ImageError if it cannot be read."""
        check_integer("ImageFolder.image", "i", i, 0, len(self) - 1)
        return decode(self.paths[i], side, patch)

    def digest(self):
        """16 hex digits of a hash of class names and relative paths, equal if these are equal."""
        return self._digest

    def _find_classes(self):
        if not self.root.is_dir():
            what = "is a file" if self.root.exists() else "does not exist"
            raise DataError(f"{self.root} {what}; {LAYOUT}")
        try:
            entries = sorted(e.name for e in os.scandir(self.root) if e.is_dir())
        except OSError as error:
            _refuse(error)
        classes = [name for name in entries if not name.startswith(".")]
        if not classes:
            raise DataError(f"{self.root} has no class folders; {LAYOUT}")
        if SPLITS.issuperset(classes):
            raise DataError(f"{self.root} contains the splits {_some(classes)}, not classes; "
                            f"choose one split, such as {self.root / classes[0]}")
        return classes

    def _check_classes(self, expected):
        missing = sorted(set(expected) - set(self.classes))
        unexpected = sorted(set(self.classes) - set(expected))
        if missing or unexpected:
            raise DataError(f"{self.root} has other classes than the training set: "
                            f"missing {_some(missing)}, unexpected {_some(unexpected)}")
        self.classes = expected  # in the training set's order


class ArrayImages:
    """Images that are already in memory.

    images: uint8 (N, H, W, 3). labels: integers (N,), indices into `classes`. name: what messages call this data set;
    image 7 has the path name/7.
    """

    def __init__(self, images, labels, classes, name="array"):
        images, labels = as_array("ArrayImages", "images", images), as_array("ArrayImages", "labels", labels)
        classes, name = as_list("ArrayImages", "classes", classes, str), as_path("ArrayImages", "name", name)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
            raise DataError(f"ArrayImages: images must be uint8 (N, H, W, 3), got {images.dtype} {images.shape}")
        if labels.shape != (len(images),) or labels.dtype.kind not in "iu":
            raise DataError(f"ArrayImages: labels must be {len(images)} integers, got {labels.dtype} {labels.shape}")
        if len(labels) and not 0 <= labels.min() <= labels.max() < len(classes):
            raise DataError(f"ArrayImages: labels must be in 0..{len(classes) - 1}, got {labels.min()}..{labels.max()}")
        self.root, self.classes, self._images = name, classes, images
        self.labels = labels.astype(np.int64)  # (N,)
        self.paths = [self.root / str(i) for i in range(len(images))]

    def __len__(self):
        return len(self._images)

    def image(self, i, side, patch=None):
        """Image i, scaled and cropped as a file's would be: uint8 (side, side, 3)."""
        check_integer("ArrayImages.image", "i", i, 0, len(self) - 1)
        check_integer("ArrayImages.image", "side", side, 1, LARGEST_SIDE)
        pixels = self._images[i]
        if pixels.shape[:2] != (side, side):
            return central_square(Image.fromarray(pixels), side, patch)
        pixels = crop_to(pixels, patch or (0, 0, side))
        pixels.flags.writeable = False
        return pixels

    def digest(self):
        """16 hex digits of a hash of class names, labels and pixels."""
        head = f"{self.classes} {self._images.shape}"
        return _digest(head, self.labels.tobytes(), np.ascontiguousarray(self._images))


class Cached:
    """Decodes each image of `dataset` once, at one side, and keeps it: N * side * side * 3 bytes.

    Memory is committed page by page as images arrive. A failure is remembered and raised again. Threads may share the
    cache without a lock: if two decode the same image at the same time, both write the same bytes, and `_ready` is set
    only afterwards.
    """

    def __init__(self, dataset, side):
        check_dataset("Cached", "dataset", dataset)
        check_integer("Cached", "side", side, 1, LARGEST_SIDE)
        self.dataset, self.side = dataset, side
        self.root, self.classes = dataset.root, dataset.classes
        self.labels, self.paths = dataset.labels, dataset.paths
        shape = (len(dataset), side, side, 3)
        try:
            self._pixels = np.empty(shape, np.uint8)
        except (MemoryError, ValueError):  # ValueError: more than an array can ever hold
            raise DataError(f"caching needs {np.prod(shape, dtype=float) / 1e9:.1f} GB of memory") from None
        self._read_only = self._pixels.view()  # what callers get: they must not write to the cache
        self._read_only.flags.writeable = False
        self._ready = np.zeros(len(dataset), bool)
        self._failed = {}  # i -> reason

    def __len__(self):
        return len(self.dataset)

    def image(self, i, side, patch=None):
        """Image i, read-only: uint8 (side, side, 3). `side` must be the cache's."""
        check_integer("Cached.image", "i", i, 0, len(self) - 1)
        if side != self.side:
            raise DataError(f"the cache holds images of side {self.side}, but side {side} was requested")
        if i in self._failed:
            raise ImageError(self.paths[i], self._failed[i])
        if not self._ready[i]:
            try:
                self._pixels[i] = self.dataset.image(i, side)
            except ImageError as error:
                self._failed[i] = error.reason
                raise
            self._ready[i] = True
        return crop_to(self._read_only[i], patch or (0, 0, side))

    def digest(self):
        return self.dataset.digest()


def _digest(*parts):
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            part = part.encode("utf-8", "surrogateescape")  # file names need not be text
        digest.update(hashlib.sha256(part).digest())  # hashed separately, so that no byte can move between parts
    return digest.hexdigest()[:16]


def _some(names, most=5):
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "none") + rest
