"""Checks of arguments. A wrong one raises DataError: function, argument, what was expected, what came."""

import os
import reprlib
from pathlib import Path

import numpy as np

from tinynet.data.errors import DataError


def wrong(function, name, expected, value):
    """The DataError to raise."""
    got = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else " ".join(reprlib.repr(value).split())
    return DataError(f"{function}: {name} must be {expected}, got {got}")


def check_integer(function, name, value, least, most=None):
    is_integer = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not is_integer or value < least or (most is not None and value > most):
        raise wrong(function, name, f"an integer of {least} " + ("or more" if most is None else f"to {most}"), value)


def check_number(function, name, value, least, most=np.inf):
    is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not is_number or not least <= value <= most:
        raise wrong(function, name, f"a number of {least} " + ("or more" if most == np.inf else f"to {most}"), value)


def check_bools(function, **values):
    for name, value in values.items():
        if not isinstance(value, (bool, np.bool_)):
            raise wrong(function, name, "True or False", value)


def check_callable(function, name, value):
    if not callable(value):
        raise wrong(function, name, "callable", value)


def check_dataset(function, name, value):
    if not all(hasattr(value, part) for part in ("image", "labels", "paths", "classes", "__len__")):
        raise wrong(function, name, "a data set such as ImageFolder", value)


def check_image(function, image):
    if not isinstance(image, np.ndarray) or image.ndim < 3 or image.shape[-1] != 3:
        raise wrong(function, "image", "an array (H, W, 3)", image)


def check_generator(function, rng):
    if not isinstance(rng, np.random.Generator):
        raise wrong(function, "rng", "a NumPy Generator", rng)


def as_path(function, name, value):
    if not isinstance(value, (str, os.PathLike)) or not os.fspath(value) or "\0" in os.fsdecode(value):
        raise wrong(function, name, "a path", value)
    return Path(os.fsdecode(value))


def as_array(function, name, value, dtype=None):
    try:
        return np.asarray(value, dtype)
    except (TypeError, ValueError, OverflowError):
        raise wrong(function, name, "numbers", value) from None


def as_iterable(function, name, values):
    """An iterator; but text is not taken letter by letter."""
    try:
        return iter(3 if isinstance(values, (str, bytes)) else values)
    except TypeError:
        raise wrong(function, name, "iterable", values) from None


def as_list(function, name, values, kind):
    """A list of strings, or whatever `kind` is; callable: of functions."""
    items = list(as_iterable(function, name, values))
    for item in items:
        if not (callable(item) if kind is callable else isinstance(item, kind)):
            raise wrong(function, name, f"a list of {'callables' if kind is callable else kind.__name__}", values)
    return items
