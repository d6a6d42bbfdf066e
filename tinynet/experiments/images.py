"""The images of a run: parts of a data set that each process decodes once, and loaders for them."""

import functools
from typing import NamedTuple

import numpy as np

from tinynet import data
from tinynet.data import DataError
from tinynet.experiments.networks import recipe_of

MOST = 1000  # training images on which a trained network is tested


class Source(NamedTuple):
    """Where images come from and where they go. name: as for data.open_images. tiny: 80 and 40 drawn shapes instead."""

    name: str
    tiny: bool = False
    device: str = "cpu"


@functools.cache
def open_images(source, side):
    """(training set, validation set)"""
    if not source.tiny:
        return data.open_images(source.name, side)
    root = data.shapes(train=80, val=40, side=side)
    return tuple(data.ImageFolder(root / split) for split in ("train", "val"))


class Part:
    """Some images of a data set: of the classes numbered first to last - 1, and at most `per_class` of each (0: all).

    Classes are numbered from 0 again. Raises DataError if nothing is left.
    """

    def __init__(self, images, classes=(), per_class=0):
        first, last = classes or (0, len(images.classes))
        chosen = [np.flatnonzero(images.labels == label)[: per_class or None] for label in range(first, last)]
        self.indices = np.sort(np.concatenate(chosen))
        if not len(self.indices):
            raise DataError(f"{images.root}: no images in its classes {first} to {last - 1}")
        self.images, self.root, self.classes = images, images.root, images.classes[first:last]
        self.labels = images.labels[self.indices] - first
        self.paths = [images.paths[i] for i in self.indices]

    def __len__(self):
        return len(self.indices)

    def image(self, i, side, patch=None):
        return self.images.image(int(self.indices[i]), side, patch)


class Images:
    """train, val: Parts, as a Setting wants them. side: at which they are read. statistics: those of a run, or None."""

    def __init__(self, setting, source, statistics=None):
        self.setting, self.side = setting, round(setting.image_size * 256 / 224)
        train, val = open_images(source, self.side)
        self.digest = train.digest()
        self.train, self.val = Part(train, setting.classes, setting.per_class), Part(val, setting.classes)
        self.statistics = statistics or data.fit_statistics(self.train, self.side, setting.seed)

    def loader(self, images, *transforms, crops=1, **more):
        batch_size = max(self.setting.batch_size // crops, 1)
        normalize = [data.Normalize(self.statistics.mean, recipe_of(self.setting).pixel_std), data.to_chw]
        return data.DataLoader(images, batch_size, data.Compose([*transforms, *normalize]), side=self.side,
                               seed=self.setting.seed, workers=1, **more)

    def to_train(self):
        crop, augment = data.augmentation(self.setting.augment, self.setting.image_size, self.statistics.colors)
        return self.loader(self.train, *augment, crop=crop, shuffle=True)

    def to_validate(self, crops=1):
        if crops == 10:
            return self.loader(self.val, data.TenCrop(self.setting.image_size), crops=10)
        return self.loader(self.val, crop=data.CenterCrop(self.setting.image_size))

    def trained(self):
        """A loader of up to MOST training images, as if they were to be validated."""
        some = Part(self.train, per_class=max(MOST // len(self.train.classes), 1))
        return self.loader(some, crop=data.CenterCrop(self.setting.image_size))
