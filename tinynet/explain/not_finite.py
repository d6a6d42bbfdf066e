"""Which layer went wrong first, after a loss that is not finite."""

import numpy as np

from tinynet.explain.observe import observe


def first_not_finite(model, images):
    """The cause as a clause for a message. images: the array of the batch that gave the loss.

    A weight that is not finite was made so by its gradient one update earlier, and gradients go from the last
    layer to the first.
    """
    if not np.isfinite(images).all():
        return "the images themselves are not finite"
    for name, parts in reversed(list(model.named_arrays())):
        if not all(np.isfinite(part.numpy()).all() for part in parts):
            return f"the gradient of {name} was not finite in an earlier update"
    broken = []

    def hook(name, xs):
        if not all(np.isfinite(x.numpy()).all() for x in xs):
            broken.append(name)

    with np.errstate(all="ignore"):
        observe(model, images, hook)
    return f"the output of {broken[0]} is not finite" if broken else "only the loss is not finite"
