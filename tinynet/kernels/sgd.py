"""One step of gradient descent on a GPU: the maths is in optim/sgd.py, the kernel in sgd.cu."""

import numpy as np

from tinynet.kernels.loader import ceil_div, check, kernel

THREADS = 256
BLOCKS = 4096  # enough to fill the largest GPU; for larger arrays each thread loops
STEP = ["momentum", "weight_decay", "fresh", "by_velocity", "by_gradient"]  # struct Step of sgd.cu


def sgd(w, g, v, lr, momentum, weight_decay, dampening=0.0, nesterov=False):
    """One step of SGD, in place: w and v change. v is None if momentum is 0. Pass dampening=0 for the first step."""
    if v is None:
        by = dict(by_gradient=-lr)
    elif nesterov:
        by = dict(by_velocity=-lr * momentum, by_gradient=-lr)
    else:
        by = dict(by_velocity=-lr)
    update(w, g, v, momentum=momentum, weight_decay=weight_decay, fresh=1 - dampening, **by)


def paper_sgd(w, g, v, lr, momentum, weight_decay):
    """One step of PaperSGD, in place: w and v change."""
    update(w, g, v, momentum=momentum, weight_decay=weight_decay, fresh=-lr, by_velocity=1)


def update(w, g, v, **step):
    """Launches sgd.cu. step: the fields of its struct Step; those left out are 0."""
    flat = check("sgd", w=w, g=g, v=v)
    shapes = [a.shape for a in (w, g, v) if a is not None]
    if any(shape != w.shape for shape in shapes):
        raise ValueError(f"sgd: weights, gradient and velocity must have the same shape, got {shapes}")
    if w.size:
        numbers = np.array(tuple(step.get(name, 0) for name in STEP), [(name, w.dtype) for name in STEP])
        aligned = all(a.data.ptr % 16 == 0 for a in flat if a is not None)
        grid = min(ceil_div(w.size, THREADS * (16 // w.itemsize)), BLOCKS)
        args = *flat, np.uint32(w.size), np.int32(aligned), numbers
        kernel(w, "sgd", "sgd")((grid,), (THREADS,), args)
    for array, changed in ((w, flat[0]), (v, flat[2])):
        if array is not None and changed.data.ptr != array.data.ptr:  # it was not contiguous: a copy was updated
            array[...] = changed
