"""Dropout's coins: the same ones on every device, each computed from its number (dropout.cu says how).

Coin number i of a key is number i of np.random.Generator(np.random.Philox(key=key)).random(n, "float32").
Element (row, column) of an array takes coin number row * whole_row_length + first_column + column: so a
device that holds some columns of a wider activation throws the coins that one device would have thrown for
them. By default the array is one row, and an element's coin number is its flat index.
"""

import functools
import math

import numpy as np

from tinynet.backend import array_module, parallel_for
from tinynet.kernels.loader import ceil_div, check, kernel

THREADS = 256
COINS = 8  # from one counter of Philox: four words, two coins each


def dropout(x, p, key, row_length=None, whole_row_length=None, first_column=0):
    """x / (1 - p) where the coin is at least p, and 0 elsewhere; x: any shape, 0 <= p <= 1, 0 <= key < 2**64.

    Forward and backward: for the same key the same elements stay.
    """
    (x,) = check("dropout", x=x)
    y = array_module(x).empty(x.shape, x.dtype)
    if not x.size:
        return y
    rows, row_length, whole = cut(x.size, row_length, whole_row_length, first_column)
    counters = (row_length + 2 * COINS - 2) // COINS  # at most so many, wherever in a counter the row starts
    grid = ceil_div(rows * counters, THREADS)
    scale = x.dtype.type(1 / (1 - p) if p < 1 else 0)
    sizes = np.int32(rows), np.int32(row_length), np.int32(counters), np.uint64(whole), np.uint64(first_column)
    kernel(x, "dropout", "dropout")((grid,), (THREADS,), (x, y, *sizes, np.float32(p), scale, np.uint64(key)))
    return y


def coins(shape, key, row_length=None, whole_row_length=None, first_column=0):
    """The same coins on the CPU: float32, each from 0 to below 1. An element stays where its coin is at least p."""
    rows, row_length, whole = cut(math.prod(shape), row_length, whole_row_length, first_column)
    coins = np.empty((rows, row_length), np.float32)

    def run(row, start, stop):
        counter, skip = divmod(row * whole + first_column + start, COINS)
        generator = np.random.Generator(np.random.Philox(key=key, counter=counter))
        generator.random(skip, np.float32)  # of the counter that the run starts in
        generator.random(out=coins[row, start:stop], dtype=np.float32)

    for row in range(rows):
        parallel_for(row_length, functools.partial(run, row), coins[row])
    return coins.reshape(shape)


def cut(size, row_length, whole_row_length, first_column):
    """(rows, row_length, whole_row_length) of an array of `size` elements; without lengths it is one row."""
    row_length = size if row_length is None else row_length
    whole = row_length if whole_row_length is None else whole_row_length
    rows = size // row_length if row_length else 0
    if rows * row_length != size or not 0 <= first_column <= whole - row_length:
        raise ValueError(
            f"dropout: {row_length} columns from column {first_column} on, of rows of {whole}, do not make up "
            f"an array of {size} elements"
        )
    return rows, row_length, whole
