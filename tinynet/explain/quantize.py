"""Arrays as whole numbers of one or two bytes, so that a network's activations and gradients fit into a web page.

    number = round(value / scale) + zero          value = scale * (number - zero)

Each map of an array has a scale and a zero point of its own: the 256 or 65,536 numbers span from its smallest value to
its largest. 0 is always one of them, so that what a ReLU has cut off reads 0. A value is off by at most half a scale.
"""

import base64

import numpy as np

TYPES = {1: np.dtype("<u1"), 2: np.dtype("<u2")}


def quantize(array, size):
    """A finite array as {"shape", "bytes", "scale", "zero", "data"}, for JSON. size: 1 or 2, the bytes per number.

    One scale per entry of the first axis of an array of three axes or four (maps, filters), else one in all.
    """
    maps = len(array) if array.ndim > 2 else 1
    flat = array.astype(np.float64).reshape(maps, -1)
    low, high = np.minimum(flat.min(1), 0), np.maximum(flat.max(1), 0)  # 0 is inside
    levels = 256**size - 1
    scale = ((high - low) / levels).astype(np.float32)
    scale[scale == 0] = np.finfo(np.float32).tiny  # all values are 0, or too small for a scale
    zero = np.minimum(np.rint(-low / scale), levels)
    numbers = (np.rint(flat / scale[:, None]) + zero[:, None]).clip(0, levels)
    return packed(numbers.reshape(array.shape), size, scale, zero)


def packed(numbers, size, scale=(1,), zero=(0,)):
    """Whole numbers in the same form; without scale and zero they stand for themselves."""
    return {
        "shape": list(numbers.shape), "bytes": size, "data": as_text(numbers.astype(TYPES[size])),
        "scale": as_text(np.float32(scale)), "zero": np.int32(zero).tolist(),
    }  # fmt: skip


def as_text(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
