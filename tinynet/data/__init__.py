"""From image files to batches. Read in this order:

arguments   checks of arguments, for all of the others
images      an image file of any kind to RGB pixels, the shorter side to 256, the central square
folder      data sets: ImageFolder, ArrayImages, Cached
transforms  random crop, flip, mean subtraction, PCA color noise, ten-crop
augmentation  which of these vary the training images
statistics  the mean image and the color noise, fitted on a training set
loader      batches made by threads, the same whatever the timing
prefetcher  copies to a GPU while it computes
shapes      a generated data set that needs no download
download    Imagenette; CIFAR-10 is in cifar10
named       any of these by name, or a folder
ilsvrc      ImageNet's archives, read without unpacking
prepare     python -m tinynet.data.prepare: converts ImageNet, or any tree, to 256 x 256 JPEGs, once
"""

# ruff: noqa: I001 (one name per line would be longer than the rest)
from tinynet.data.augmentation import AUGMENTATIONS, RandomContrast, RandomRotation, augmentation
from tinynet.data.cifar10 import cifar10
from tinynet.data.download import download, imagenette
from tinynet.data.errors import DataError, ImageError
from tinynet.data.folder import ArrayImages, Cached, ImageFolder
from tinynet.data.images import decode
from tinynet.data.loader import DataLoader
from tinynet.data.named import check_name, open_images
from tinynet.data.prefetcher import Prefetcher
from tinynet.data.shapes import shapes
from tinynet.data.statistics import Statistics, fit_statistics, mean_image
from tinynet.data.transforms import (
    CenterCrop, Compose, Normalize, PCAColor, RandomCrop, RandomHorizontalFlip, TenCrop, ten_crop, to_chw
)
from tinynet.files import cache_folder

__all__ = [
    "AUGMENTATIONS", "ArrayImages", "Cached", "CenterCrop", "Compose", "DataError", "DataLoader", "ImageError",
    "ImageFolder",
    "Normalize", "PCAColor", "Prefetcher", "RandomContrast", "RandomCrop", "RandomHorizontalFlip", "RandomRotation",
    "Statistics", "TenCrop", "augmentation",
    "cache_folder", "check_name", "cifar10", "decode", "download", "fit_statistics", "imagenette", "mean_image",
    "open_images", "shapes", "ten_crop", "to_chw",
]
