"""Decodes an image file to pixels (Krizhevsky et al., 2012, section 2).

"We first rescaled the image such that the shorter side was of length 256, and then cropped out the central 256 x 256
patch": decode(path, 256). Rescaling and cropping are one step here, since only the central square of the original is
ever resampled; and only a patch of that square, if a random crop would discard the rest:
decode(path, 256, (top, left, 224)).

Whatever the file contains, the result has three 8-bit channels. ImageNet itself has CMYK and gray JPEGs, and a PNG
named .JPEG; other data sets have palettes, transparency (blended over white, as on a page), 16-bit gray (the high byte
is kept) and EXIF rotation (applied).

A JPEG is stored as 8 x 8 blocks of cosine coefficients, and the low ones alone suffice to decode it at 1/2, 1/4 or 1/8
of its size. Pillow calls this draft mode: a 2000 x 1500 photograph that is to become 256 x 256 is decoded straight to
500 x 375, which saves most of the work.
"""

import errno
import io
import os
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image

from tinynet.data.arguments import check_integer, wrong
from tinynet.data.errors import ImageError
from tinynet.files import open_regular

# EXIF orientation -> what makes the stored pixels upright (1 or absent: they already are).
ORIENTATION_TAG = 0x0112
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
APP1 = b"\xff\xe1"  # starts the segment of a JPEG that may specify a rotation
WITH_ALPHA = ("RGBA", "RGBa", "LA", "La", "PA")

LARGEST_SIDE = 9459  # a larger square would be a decompression bomb to Pillow, whose limit is 2^30 / 12 pixels
LARGEST_FILE = 1 << 29  # bytes: 6 for each of those pixels

# Errors of the machine, not of the file: blaming the image would hide them.
MACHINE_ERRORS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


def decode(source, side=None, patch=None):
    """Read one image: uint8 (H, W, 3), RGB, upright.

    source: a path, or a seekable open binary file.
    side: None for the image's own size. With a number of pixels, the shorter side is scaled to `side` and the central
        (side, side, 3) is cropped.
    patch: (top, left, size), to get only this (size, size, 3) of the (side, side, 3), in less time.

    Raises ImageError, with a reason, for a file that is missing, forbidden, empty, not an image, truncated, a FIFO or a
    device (which is not opened), larger than any image, or a decompression bomb (more pixels than Pillow's
    Image.MAX_IMAGE_PIXELS). Safe to call from many threads, which run in parallel: Pillow releases the GIL for the
    heavy part.
    """
    _check_arguments(source, side, patch)
    path = getattr(source, "name", source) if hasattr(source, "read") else source
    try:
        with nullcontext(source) if hasattr(source, "read") else open_regular(source) as file:
            return _decode(file, side, patch)
    except MemoryError:
        raise
    except Exception as error:  # a damaged file can make Pillow's parsers raise almost anything
        if isinstance(error, OSError) and error.errno in MACHINE_ERRORS:
            raise
        raise ImageError(path, _reason(error)) from error


def save_jpeg(pixels, path, quality):
    """Write uint8 (H, W, 3) as a JPEG of `quality` 1 to 100. Raises OSError if that fails.

    Encoded in memory first: if the disk is almost full, Pillow's own file output does not notice that only a part was
    written, and leaves a truncated image without an error.
    """
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "JPEG", quality=quality)
    Path(path).write_bytes(encoded.getbuffer())


def central_square(image, side, patch=None):
    """A Pillow image's shorter side scaled to `side`, then its central square, or a patch of it, as an array.

    Bilinear, and antialiased when shrinking: each new pixel averages all the pixels that it covers, including those
    outside the patch. So a patch has the same pixels as in the whole square, up to rounding: Pillow may resize rows or
    columns first, and rounds to whole gray levels in between.
    """
    patch = patch or (0, 0, side)
    if image.size == (side, side):
        return crop_to(np.array(image), patch)
    top, left, size = patch
    short = min(image.size)
    x, y = (image.width - short) // 2, (image.height - short) // 2
    # The patch's edges, in the pixels of `image`: left, top, right, bottom.
    edges = ((x, left), (y, top), (x, left + size), (y, top + size))
    box = [start + short * new / side for start, new in edges]
    return np.array(image.resize((size, size), Image.Resampling.BILINEAR, box=box))


def crop_to(pixels, patch):
    """The (size, size) pixels of an array at patch = (top, left, size)."""
    top, left, size = patch
    return pixels[top : top + size, left : left + size]


def _check_arguments(source, side, patch):
    if not isinstance(source, (str, os.PathLike)) and not hasattr(source, "read"):
        raise wrong("decode", "source", "a path or an open file", source)
    if side is not None:
        check_integer("decode", "side", side, 1, LARGEST_SIDE)
    if patch is not None:
        try:
            top, left, size = patch
            fits = side and top >= 0 and left >= 0 and 0 < size <= side - max(top, left)
        except (TypeError, ValueError):
            fits = False
        if not fits:
            raise wrong("decode", "patch", f"(top, left, size) within (side, side), which is {side}", patch)


def _decode(file, side, patch):
    start = file.tell()
    size = file.seek(0, os.SEEK_END) - start
    if size > LARGEST_FILE:
        raise ValueError(f"a file of {size / 1e6:.0f} MB, more than the largest image that Pillow reads")
    file.seek(start)
    data = file.read()
    if not data:
        raise ValueError("the file is empty (0 bytes)")
    pixels = _decode_prepared(data, side)
    if pixels is not None:
        return crop_to(pixels, patch or (0, 0, side))
    with Image.open(io.BytesIO(data)) as image:
        _refuse_dangerous(image)
        if side is not None:
            image.draft(None, (side, side))  # JPEG only; never below `side`, and a no-op if nothing is gained
        image.load()  # some versions of Pillow turn TIFFs here, and then remove the tag
        upright = UPRIGHT.get(_orientation(image))
        rgb = _to_rgb(image)
    if upright is not None:
        rgb = rgb.transpose(upright)
    return np.array(rgb) if side is None else central_square(rgb, side, patch)  # a copy, which the caller may modify


def _decode_prepared(data, side):
    """The pixels of a plain JPEG of (side, side), as tinynet.data.prepare makes them, else None.

    A shortcut that takes two thirds of Pillow's time. Both use libjpeg-turbo and get the same pixels, but Pillow stores
    four bytes per pixel, and three of them must then be copied to the array.
    """
    try:
        height, width, colors, _ = simplejpeg.decode_jpeg_header(data)
        if (height, width, colors) != (side, side, "YCbCr") or APP1 in data:
            return None
        return simplejpeg.decode_jpeg(data)
    except ValueError:  # not a JPEG, or damaged: Pillow may still read it, or say what is wrong
        return None


def _refuse_dangerous(image):
    """Pillow only warns between one and two times its limit; here the limit is strict."""
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        size = f"{image.width} x {image.height} pixels"
        raise Image.DecompressionBombError(f"{size}, more than {limit}: a decompression bomb?")
    if image.format == "EPS":
        raise ValueError("an EPS program, not an image (Pillow would run Ghostscript on it)")


def _orientation(image):
    try:
        return image.getexif().get(ORIENTATION_TAG)
    except Exception:  # damaged EXIF data does not affect the pixels: take them as stored
        return None


def _to_rgb(image):
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):  # I;16, I;16B or I: 16 bits of gray; keep the high byte
        gray = (np.asarray(image) >> 8).clip(0, 255).astype(np.uint8)
        return Image.fromarray(gray).convert("RGB")
    if image.mode == "F":
        raise ValueError("floating-point pixels, whose values for black and white are unknown")
    if image.mode in WITH_ALPHA or "transparency" in image.info:
        rgba = image.convert("RGBA")
        page = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(page, rgba).convert("RGB")
    return image.convert("RGB")


def _reason(error):
    if isinstance(error, Image.UnidentifiedImageError):
        return "not an image, or of a kind that Pillow does not know"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
