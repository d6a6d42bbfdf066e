"""Dropout's uniforms: the same on every device, each computed from its index (dropout.cu says how).

Uniform i of a key is element i of np.random.Generator(np.random.Philox(key=key)).random(n, "float32"). Element
(row, column) of an array takes uniform (first_row + row) * whole_row_length + first_column + column. So a device that
holds some rows or columns of a larger activation draws the same uniforms for them as a device that holds all of it.
By default the array is a single row, and an element takes the uniform of its flat index.
"""

import functools
import math

import numpy as np

from tinynet.backend import array_module, parallel_for
from tinynet.kernels.loader import ceil_div, check, kernel

THREADS = 256
UNIFORMS = 8  # per counter of Philox: four words of two uniforms each


def dropout(x, p, key, row_length=None, whole_row_length=None, first_column=0, first_row=0):
    """x / (1 - p) where the uniform is at least p, and 0 elsewhere; x: any shape, 0 <= p <= 1, 0 <= key < 2**64.

    Serves forward and backward: the same key keeps the same elements.
    """
    (x,) = check("dropout", x=x)
    y = array_module(x).empty(x.shape, x.dtype)
    if not x.size:
        return y
    rows, row_length, whole, first = row_layout(x.size, row_length, whole_row_length, first_column, first_row)
    counters = (row_length + 2 * UNIFORMS - 2) // UNIFORMS  # at most this many, wherever in a counter the row starts
    grid = ceil_div(rows * counters, THREADS)
    scale = x.dtype.type(1 / (1 - p) if p < 1 else 0)
    sizes = np.int32(rows), np.int32(row_length), np.int32(counters), np.uint64(whole), np.uint64(first)
    kernel(x, "dropout", "dropout")((grid,), (THREADS,), (x, y, *sizes, np.float32(p), scale, np.uint64(key)))
    return y


def uniforms(shape, key, row_length=None, whole_row_length=None, first_column=0, first_row=0):
    """The same uniforms on the CPU: float32, in [0, 1). An element is kept if its uniform is at least p."""
    rows, row_length, whole, first = row_layout(math.prod(shape), row_length, whole_row_length, first_column, first_row)
    out = np.empty((rows, row_length), np.float32)

    def draw(row, start, stop):
        counter, skip = divmod(row * whole + first + start, UNIFORMS)
        generator = np.random.Generator(np.random.Philox(key=key, counter=counter))
        generator.random(skip, np.float32)  # the first counter's uniforms before `start`
        generator.random(out=out[row, start:stop], dtype=np.float32)

    for row in range(rows):
        parallel_for(row_length, functools.partial(draw, row), out[row])
    return out.reshape(shape)


def row_layout(size, row_length, whole_row_length, first_column, first_row):
    """(rows, row_length, whole_row_length, index of the first uniform). Without lengths: one row of `size`."""
    row_length = size if row_length is None else row_length
    whole = row_length if whole_row_length is None else whole_row_length
    rows = size // row_length if row_length else 0
    if rows * row_length != size or not 0 <= first_column <= whole - row_length or first_row < 0:
        raise ValueError(
            f"dropout: {row_length} columns from column {first_column} on, in rows of {whole} from row {first_row} on, "
            f"do not make up an array of {size} elements"
        )
    first = first_row * whole + first_column
    if row_length == whole:  # rows without gaps are one long row, which divides better among threads
        return 1, size, size, first
    return rows, row_length, whole, first
