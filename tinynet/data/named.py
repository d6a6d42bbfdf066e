"""A data set by its name, or by the folder that holds it."""

from pathlib import Path

from tinynet.data.cifar10 import cifar10
from tinynet.data.download import imagenette
from tinynet.data.folder import Cached, ImageFolder
from tinynet.data.shapes import shapes

SMALL = 1e9  # bytes: sets that take less than this are decoded once and kept in memory


def open_images(name, side):
    """(training set, validation set) of `name`, to be read at side x side pixels.

    name: `shapes` (drawn now, if they are not yet), `imagenette` or `cifar10` (downloaded), or a
    folder with train/<class>/ and val/<class>/. Raises DataError.
    """
    if name == "cifar10":
        sets = cifar10()
    else:
        named = {"shapes": lambda: shapes(side=side), "imagenette": imagenette}
        root = named[name]() if name in named else Path(name)
        train = ImageFolder(root / "train")
        sets = train, ImageFolder(root / "val", classes=train.classes)
    if sum(map(len, sets)) * side * side * 3 < SMALL:
        sets = tuple(Cached(images, side) for images in sets)
    return sets
