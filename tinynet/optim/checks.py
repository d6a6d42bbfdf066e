"""Checks of hyper-parameters. All return the value as a Python number, or raise in one line that names it.

A float64 scalar of NumPy would turn float32 products into float64, and a float32 one cannot be written as JSON.
"""

import math
import sys

import numpy as np


def number(owner, name, value, least=0.0, below=math.inf):
    """A finite number, at least `least` and less than `below`."""
    if not isinstance(value, int | float | np.integer | np.floating) or isinstance(value, bool):
        raise TypeError(f"{owner}: {name} must be a number, got {value!r}")
    plain = value.item() if isinstance(value, np.generic) else value
    if not abs(plain) <= sys.float_info.max:  # math.isfinite fails for integers beyond it
        raise ValueError(f"{owner}: {name} must be finite, got {value!r}")
    if not least <= value < below:
        what = f"{least:g} or more" if below == math.inf else f"at least {least:g} and below {below:g}"
        raise ValueError(f"{owner}: {name} must be {what}, got {value!r}")
    return plain


def integer(owner, name, value, least=0):
    if not isinstance(value, int | np.integer) or isinstance(value, bool):
        raise TypeError(f"{owner}: {name} must be an integer, got {value!r}")
    return int(number(owner, name, value, least))


def boolean(owner, name, value):
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{owner}: {name} must be True or False, got {value!r}")
    return bool(value)


def choice(owner, name, value, allowed):
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{owner}: {name} must be {' or '.join(map(repr, allowed))}, got {value!r}")
    return value
