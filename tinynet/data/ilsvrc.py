"""ImageNet as it is downloaded: where each image is in the archives of ILSVRC2012, without unpacking them.

    ILSVRC2012_img_train.tar        n01440764.tar and so on, one per class, with n01440764_10026.JPEG and so on in it
    ILSVRC2012_img_val.tar          ILSVRC2012_val_00000001.JPEG and so on, of all classes
    ILSVRC2012_devkit_t12.tar.gz    data/ILSVRC2012_validation_ground_truth.txt: line i is the class of validation
                                    image i, as a number; data/meta.mat: the WordNet ID (n01440764) of each number

The numbers are not in the order of the IDs, so meta.mat is needed. It is MATLAB's, and SciPy reads it.

A tar is a sequence of files, each after a header of 512 bytes with its name and size and padded to a multiple of 512;
zeros mark the end. Nothing in it is compressed. So an image is a slice of the archive, even if it is in a tar in
a tar, and to find all slices it is enough to go from header to header.
"""

import gzip
import io
import re
import tarfile
import zlib
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from tinynet.data.errors import DataError, ImageError
from tinynet.data.folder import find_images
from tinynet.data.images import LARGEST_FILE
from tinynet.files import open_regular

TRAIN, VAL, DEVKIT = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar", "ILSVRC2012_devkit_t12.tar.gz"
LABELS, META = "data/ILSVRC2012_validation_ground_truth.txt", "data/meta.mat"
HEADER = 512  # bytes
LARGEST_DEVKIT = 1 << 28  # bytes, unpacked; it has a few million


class Slice(NamedTuple):
    """The bytes of one image in an archive. archive: a path. start, size: in bytes."""

    archive: str
    start: int
    size: int

    def open(self):
        """The bytes as an open file. Raises ImageError if they cannot be read."""
        try:
            with open_regular(self.archive) as file:
                file.seek(self.start)
                return io.BytesIO(file.read(min(self.size, LARGEST_FILE + 1)))  # enough for decode to refuse it
        except OSError as error:
            raise ImageError(self.archive, error.strerror) from error


def find_archived(folder, progress=True):
    """{"train/n01440764/n01440764_10026.JPEG": Slice} of all images in the three archives in `folder`, train first.

    {} if it contains none of the three. Raises DataError if it contains only some, or images as well, and for an
    archive that is cut off, damaged or does not fit the others.
    """
    missing = [name for name in (TRAIN, VAL, DEVKIT) if not (folder / name).exists()]
    if len(missing) == 3:
        return {}
    if missing:
        raise DataError(f"{folder} lacks {' and '.join(missing)}: all three archives of ILSVRC2012 are needed")
    loose = find_images(folder)
    if loose:
        raise DataError(f"{folder} contains the archives of ILSVRC2012 and also images ({loose[0]}): "
                        "move one or the other to another folder")
    classes, labels = _read_devkit(folder / DEVKIT)
    val = _find_val(folder / VAL, labels)
    return _find_train(folder / TRAIN, classes, progress) | val  # train last: this takes minutes


def _find_train(path, classes, progress):
    images, found = {}, set()
    with _opened(path) as (file, size):
        bar = tqdm(_walk(path, file, 0, size), f"looking through {path.name}", unit=" classes",
                   disable=None if progress else True)
        for inner in bar:
            wnid = _expect(path, inner, r"(n\d{8})\.tar", "n01440764.tar", found)
            found.add(wnid)
            for member in _walk(path / inner.name, file, inner.offset_data, inner.offset_data + inner.size):
                _expect(path / inner.name, member, rf"({wnid}_\d+)\.JPEG", f"{wnid}_1.JPEG")
                name = f"train/{wnid}/{member.name}"
                if name in images:
                    raise DataError(f"{path / inner.name} contains {member.name} twice")
                images[name] = Slice(str(path), member.offset_data, member.size)
    if found != classes:
        raise DataError(f"{path} has {len(found)} classes and {path.with_name(DEVKIT)} {len(classes)}: only one of "
                        f"them has {min(found ^ classes)}")
    return images


def _find_val(path, labels):
    """labels: the WordNet ID of each validation image."""
    slices = {}
    with _opened(path) as (file, size):
        for member in _walk(path, file, 0, size):
            number = _expect(path, member, r"ILSVRC2012_val_(\d{8})\.JPEG", "ILSVRC2012_val_00000001.JPEG", slices)
            slices[number] = Slice(str(path), member.offset_data, member.size)
    numbers = [f"{i:08}" for i in range(1, len(labels) + 1)]
    if sorted(slices) != numbers:
        raise DataError(f"{path} has {len(slices)} images, expected one for each of the {len(labels)} labels in "
                        f"{path.with_name(DEVKIT)}, numbered from 1")
    return {f"val/{labels[i]}/ILSVRC2012_val_{number}.JPEG": slices[number] for i, number in enumerate(numbers)}


def _expect(path, member, pattern, example, taken=()):
    """The part of a member's name in parentheses. Nothing else of the archive ever becomes part of a path."""
    match = re.fullmatch(pattern, member.name, re.ASCII)
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or not match:
        raise DataError(f"{path} contains {member.name[:100]!r}, expected only files like {example}")
    if match[1] in taken:
        raise DataError(f"{path} contains {member.name} twice")
    return match[1]


def _walk(path, file, start, end):
    """Yields a TarInfo for each member of the tar that is file[start:end]. path: what messages call it."""
    while True:
        file.seek(start)
        header = file.read(HEADER) if start + HEADER <= end else b""
        if header == bytes(HEADER):
            return
        try:
            member = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
        except tarfile.TarError as error:
            raise _damaged(path, start) from error
        member.offset_data = start + HEADER
        if not 0 <= member.size <= end - member.offset_data:
            raise _damaged(path, start)
        yield member
        start = member.offset_data + -(-member.size // HEADER) * HEADER


def _damaged(path, position):
    return DataError(f"{path} is cut off or damaged at byte {position}: download it again")


@contextmanager
def _opened(path):
    """Yields (the file, its size)."""
    try:
        with open_regular(path) as file:
            size = file.seek(0, io.SEEK_END)
            yield file, size
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def _read_devkit(path):
    """(the set of all classes, the class of each validation image), each class by its WordNet ID."""
    with _opened(path) as (file, _):
        file.seek(0)
        try:
            data = gzip.GzipFile(fileobj=file).read(LARGEST_DEVKIT)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise DataError(f"{path} is cut off or damaged ({error}): download it again") from error
    contents = {}
    for member in _walk(path, io.BytesIO(data), 0, len(data)):
        name = "/".join(member.name.split("/")[-2:])
        contents[name] = data[member.offset_data : member.offset_data + member.size]
    for name in (LABELS, META):
        if name not in contents:
            raise DataError(f"{path} does not contain {name}")
    wnids = _read_meta(path, contents[META])
    labels = []
    for i, number in enumerate(contents[LABELS].split(), 1):
        if number not in wnids:
            raise DataError(f"{path}: label {i} in {LABELS} is {number[:20].decode(errors='replace')!r}, expected one "
                            f"of the {len(wnids)} numbers in {META}")
        labels.append(wnids[number])
    return set(wnids.values()), labels


def _read_meta(path, data):
    """{number, as text: WordNet ID} of the classes. The file also lists what they are kinds of, which has children."""
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise DataError(f"reading {META} in {path} takes SciPy: pip install scipy") from error
    try:
        synsets = np.atleast_1d(loadmat(io.BytesIO(data), squeeze_me=True)["synsets"])
        leaves = synsets[synsets["num_children"] == 0]
        wnids = {b"%d" % leaf["ILSVRC2012_ID"]: str(leaf["WNID"]) for leaf in leaves}
    except Exception as error:  # a damaged file can make loadmat raise almost anything
        raise DataError(f"cannot read {META} in {path}: {type(error).__name__}: {error}") from error
    strange = [wnid for wnid in wnids.values() if not re.fullmatch(r"n\d{8}", wnid, re.ASCII)]
    if strange:
        raise DataError(f"{path}: {META} contains {strange[0][:20]!r}, expected WordNet IDs like n01440764")
    if len(set(wnids.values())) != len(leaves):
        raise DataError(f"{path}: in {META} a class has two numbers, or a number two classes")
    return wnids
