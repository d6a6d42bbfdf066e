"""When memory runs out: which batch would have fit."""

import numpy as np

from tinynet.errors import RunError


def or_what_fits(action, attempt, options, model):
    """action(). If memory runs out, RunError with the batch that fits, found by trying half, a quarter, ...

    attempt(batch): one step of training on (images, labels); None: nothing is tried.
    """
    try:
        return action()
    except MemoryError:
        pass  # only noted: as long as the exception lives, so do the arrays in its frames
    model.zero_grad()
    hint, batch = "try a smaller one", options.batch_size
    while attempt and (batch := batch // 2):
        try:
            attempt((np.zeros((batch, 3, options.image_size, options.image_size), np.float32), np.zeros(batch, int)))
            break
        except MemoryError:
            continue
    if attempt:
        hint = f"--batch-size {batch} fits" if batch else "not even one image fits"
    raise RunError(f"{options.devices}: out of memory with batches of {options.batch_size}; {hint}", 1)
