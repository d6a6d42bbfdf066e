"""A data set by its name, or by the folder that contains it."""

from pathlib import Path

from tinynet.data.cifar10 import cifar10
from tinynet.data.download import imagenette
from tinynet.data.folder import Cached, ImageFolder
from tinynet.data.shapes import shapes

SMALL = 1e9  # bytes: smaller data sets are decoded once and kept in memory


def open_images(name, side):
    """(training set, validation set) of `name`, to be read at side x side pixels.

    name: `shapes` (drawn if not there yet), `imagenette` or `cifar10` (downloaded), or a folder with train/<class>/ and
    val/<class>/. Raises DataError.
    """
    if name == "cifar10":
        datasets = cifar10()
    else:
        named = {"shapes": lambda: shapes(side=side), "imagenette": imagenette}
        root = named[name]() if name in named else Path(name)
        train = ImageFolder(root / "train")
        datasets = train, ImageFolder(root / "val", classes=train.classes)
    if sum(map(len, datasets)) * side * side * 3 < SMALL:
        datasets = tuple(Cached(dataset, side) for dataset in datasets)
    return datasets
