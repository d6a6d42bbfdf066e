"""How much a network sees of the image: a check of its initial weights."""

import numpy as np

from tinynet.explain.observe import observe


def signal_share(model, images):
    """How much each layer's output varies with the image, relative to its size: {layer: share}, before its ReLU.

    images: an array (N, 3, size, size), a dozen or more. The share is the standard deviation over the images (mean over
    the layer's units) divided by the mean absolute value: 125 % for Gaussian outputs without any bias. Where biases
    drown the image it is near 0, and training starts on a plateau.
    """
    shares = {}

    def hook(name, xs):
        if name.startswith(("conv", "fc")):
            x = np.concatenate([x.numpy() for x in xs], axis=1)  # (N, C, ...)
            level = np.abs(x).mean()
            shares[name] = float(x.std(axis=0).mean() / level) if level else 0.0

    observe(model, images, hook)
    return shares
