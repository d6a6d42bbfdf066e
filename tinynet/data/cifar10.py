"""CIFAR-10 (Krizhevsky, 2009): 60,000 images of 32 x 32 pixels in 10 classes.

Read from the "binary version", six files of 10,000 records. A record is 3,073 bytes: the label, then the red channel's
32 * 32 values row by row, then green, then blue. (The "python version" is pickled, and unpickling runs whatever code a
file contains; raw bytes are harmless.)
"""

import os

import numpy as np

from tinynet.data.download import download_and_extract
from tinynet.data.errors import DataError
from tinynet.data.folder import ArrayImages
from tinynet.files import open_regular

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
SIDE = 32
RECORD = 1 + 3 * SIDE * SIDE  # bytes
RECORDS = 10_000  # per file


def cifar10(root=None, progress=True):
    """(train, val): ArrayImages of 50,000 and 10,000 images, uint8 (32, 32, 3).

    The archive (170 MB) is downloaded and unpacked into root (default cache_folder()) unless it is already there.
    progress: show a bar. Raises DataError if it cannot be downloaded, or if one of its files is damaged.
    """
    archive, folder = "cifar-10-binary.tar.gz", "cifar-10-batches-bin"
    folder = download_and_extract("cifar10", URL, SHA256, root, archive, folder, progress)
    train = [folder / f"data_batch_{i}.bin" for i in range(1, 6)]
    return _images(train, "cifar10/train"), _images([folder / "test_batch.bin"], "cifar10/val")


def _images(paths, name):
    records = np.concatenate([read_records(path) for path in paths])  # (N, 3073)
    pixels = records[:, 1:].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)  # (N, 32, 32, 3)
    return ArrayImages(np.ascontiguousarray(pixels), records[:, 0], CLASSES, name)


def read_records(path):
    """One file's records: uint8 (RECORDS, 3073). Raises DataError if the size or a label is wrong."""
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size != RECORDS * RECORD:
                raise DataError(f"{path} has {size} bytes, expected {RECORDS * RECORD}: remove {path.parent} to have "
                                "it unpacked again")
            records = np.fromfile(file, np.uint8).reshape(RECORDS, RECORD)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    if records[:, 0].max() >= len(CLASSES):
        raise DataError(f"{path} has the label {records[:, 0].max()}, expected 0..9")
    return records
