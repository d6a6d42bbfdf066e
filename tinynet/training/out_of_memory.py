"""When memory runs out: which batch would have fit."""

from types import SimpleNamespace

import numpy as np

from tinynet import optim, parallel
from tinynet.errors import RunError


def with_batch_size_hint(action, train_epoch, options, ranks, model, loaders):
    """action(). If memory runs out, RunError with the batch that fits, found by trying half, a quarter, ...

    train_epoch: the example's, with which a step is tried. Several ranks do not try: they would have to do it together.
    """
    try:
        return action()
    except MemoryError:
        pass  # only noted: as long as the exception lives, so do the arrays in its frames
    if ranks.world_size > 1:
        hint = "try a smaller one"
    else:
        batch = largest_batch(train_epoch, options, model, loaders)
        hint = f"--batch-size {batch} fits" if batch else "not even one image fits"
    raise RunError(f"{options.devices}: out of memory with batches of {options.batch_size}; {hint}", 1)


def largest_batch(train_epoch, options, model, loaders):
    batch, size, silent = options.batch_size, options.image_size, SimpleNamespace(record=lambda *step: None)
    while batch := batch // 2:
        model.zero_grad()
        images, labels = np.zeros((batch, 3, size, size), np.float32), np.zeros(batch, int)
        try:
            optimizer = optim.SGD(model.parameters(), lr=0, momentum=0.9)
            train_epoch([(images, labels)], model, optimizer, parallel.DataParallel(model), loaders.prefetcher, silent,
                        lambda: None)
            return batch
        except MemoryError:
            continue
    return 0
