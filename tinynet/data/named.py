"""A data set by its name, or by the folder that contains it."""

from tinynet.data.arguments import as_path, check_integer
from tinynet.data.cifar10 import cifar10
from tinynet.data.download import imagenette
from tinynet.data.errors import DataError
from tinynet.data.folder import Cached, ImageFolder
from tinynet.data.images import LARGEST_SIDE
from tinynet.data.shapes import SMALLEST_SIDE, shapes

SMALL = 1e9  # bytes: smaller data sets are decoded once and kept in memory
NAMES = ("shapes", "imagenette", "cifar10")


def check_name(name, side):
    """Raise DataError if open_images(name, side) would fail, as far as that can be known in no time.

    It draws and downloads nothing and lists no folder: for a program that has more to check before it does.
    """
    check_integer("open_images", "side", side, 1, LARGEST_SIDE)
    if not isinstance(name, str) or name not in ("", *NAMES):
        _check_folder(as_path("open_images", "name", name))
    elif name == "shapes" and side < SMALLEST_SIDE:
        raise DataError(f"open_images: shapes are drawn at a side of {SMALLEST_SIDE} pixels or more, got {side}")
    elif name == "":
        raise DataError(f"open_images: name must be a folder or one of {', '.join(NAMES)}, got ''")


def _check_folder(root):
    for split in ("train", "val"):
        if not (root / split).is_dir():
            what = "is a file" if (root / split).exists() else "does not exist"
            raise DataError(f"{root / split} {what}; expected a folder with train/<class>/<images> and "
                            f"val/<class>/<images>, or one of {', '.join(NAMES)}")


def open_images(name, side):
    """(training set, validation set) of `name`, to be read at side x side pixels.

    name: `shapes` (drawn if not there yet), `imagenette` or `cifar10` (downloaded), or a folder with train/<class>/ and
    val/<class>/. Raises DataError.
    """
    check_name(name, side)
    if name == "cifar10":
        datasets = cifar10()
    else:
        named = {"shapes": lambda: shapes(side=side), "imagenette": imagenette}
        root = named[name]() if name in named else as_path("open_images", "name", name)
        train = ImageFolder(root / "train")
        datasets = train, ImageFolder(root / "val", classes=train.classes)
    if sum(map(len, datasets)) * side * side * 3 < SMALL:
        datasets = tuple(Cached(dataset, side) for dataset in datasets)
    return datasets
