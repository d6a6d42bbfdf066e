"""Dropout's uniforms: the same ones on every device, each computed from its number (dropout.cu says how).

Coin number i of a key is number i of np.random.Generator(np.random.Philox(key=key)).random(n, "float32").
Element (row, column) of an array takes uniform number (first_row + row) * whole_row_length + first_column + column:
so a device that holds some rows or columns of a larger activation throws the uniforms that one device would have
thrown for them. By default the array is one row, and an element's uniform number is its flat index.
"""

import functools
import math

import numpy as np

from tinynet.backend import array_module, parallel_for
from tinynet.kernels.loader import ceil_div, check, kernel

THREADS = 256
UNIFORMS = 8  # from one counter of Philox: four words, two uniforms each


def dropout(x, p, key, row_length=None, whole_row_length=None, first_column=0, first_row=0):
    """x / (1 - p) where the uniform is at least p, and 0 elsewhere; x: any shape, 0 <= p <= 1, 0 <= key < 2**64.

    Forward and backward: for the same key the same elements stay.
    """
    (x,) = check("dropout", x=x)
    y = array_module(x).empty(x.shape, x.dtype)
    if not x.size:
        return y
    rows, row_length, whole, first = cut(x.size, row_length, whole_row_length, first_column, first_row)
    counters = (row_length + 2 * UNIFORMS - 2) // UNIFORMS  # at most so many, wherever in a counter the row starts
    grid = ceil_div(rows * counters, THREADS)
    scale = x.dtype.type(1 / (1 - p) if p < 1 else 0)
    sizes = np.int32(rows), np.int32(row_length), np.int32(counters), np.uint64(whole), np.uint64(first)
    kernel(x, "dropout", "dropout")((grid,), (THREADS,), (x, y, *sizes, np.float32(p), scale, np.uint64(key)))
    return y


def uniforms(shape, key, row_length=None, whole_row_length=None, first_column=0, first_row=0):
    """The same uniforms on the CPU: float32, in [0, 1). An element is kept where its uniform is at least p."""
    rows, row_length, whole, first = cut(math.prod(shape), row_length, whole_row_length, first_column, first_row)
    uniforms = np.empty((rows, row_length), np.float32)

    def run(row, start, stop):
        counter, skip = divmod(row * whole + first + start, UNIFORMS)
        generator = np.random.Generator(np.random.Philox(key=key, counter=counter))
        generator.random(skip, np.float32)  # of the counter that the run starts in
        generator.random(out=uniforms[row, start:stop], dtype=np.float32)

    for row in range(rows):
        parallel_for(row_length, functools.partial(run, row), uniforms[row])
    return uniforms.reshape(shape)


def cut(size, row_length, whole_row_length, first_column, first_row):
    """(rows, row_length, whole_row_length, number of the first uniform); without lengths it is one row of `size`."""
    row_length = size if row_length is None else row_length
    whole = row_length if whole_row_length is None else whole_row_length
    rows = size // row_length if row_length else 0
    if rows * row_length != size or not 0 <= first_column <= whole - row_length or first_row < 0:
        raise ValueError(
            f"dropout: {row_length} columns from column {first_column} on, of rows of {whole} from row {first_row} on, "
            f"do not make up an array of {size} elements"
        )
    first = first_row * whole + first_column
    if row_length == whole:  # rows without a gap between them are one long row, which threads share better
        return 1, size, size, first
    return rows, row_length, whole, first
