"""An array as lines of text: all of its numbers if there are few, else their mean, spread and range."""

import numpy as np

from tinynet.backend import to_device

WRITTEN_OUT = 6  # numbers; larger arrays are summarized


def numbers(array):
    a = to_device(array, "cpu")
    if a.size <= WRITTEN_OUT:
        return np.array2string(a, separator=", ", formatter={"all": number}, max_line_width=10_000).splitlines()
    if a.dtype.kind == "b":
        return [f"{int(a.sum())} of {a.size} true"]
    finite = np.isfinite(a)
    if not finite.all():
        return [f"{a.size - int(finite.sum())} of {a.size} not finite"]
    with np.errstate(over="ignore"):
        mean, std = a.mean(dtype=np.float64), a.std(dtype=np.float64)
    return [f"mean {number(mean, 3)}, std {number(std, 3)}", f"min {number(a.min(), 3)}, max {number(a.max(), 3)}"]


def in_line(array):
    """The same in one line, without the range."""
    lines = numbers(array)
    return " ".join(line.strip() for line in lines) if array.size <= WRITTEN_OUT else lines[0]


def number(x, digits=4):
    if x.dtype.kind in "iub":
        return str(x)
    whole = abs(x) < 1e6 and x == round(x)
    return f"{x + 0.0:.0f}" if whole else f"{x:.{digits}g}"
