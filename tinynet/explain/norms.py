"""How large the numbers in a network are, layer by layer: outputs, gradients, steps; and which units are dead."""

from typing import NamedTuple

import numpy as np

from tinynet import functional as F
from tinynet.autograd import tensor
from tinynet.explain.features import batches
from tinynet.explain.observe import evaluating, observe
from tinynet.models.variants import ACTIVATIONS


class Norms(NamedTuple):
    """Of a layer with weights.

    output: root mean square of its outputs, after the activation. gradient: the Euclidean norm of the loss's gradient
    by its weights. weight: that of the weights.
    """

    output: float
    gradient: float
    weight: float


def owners(model):
    """{layer: the layer with weights that it belongs to}, for those with weights and their activations."""
    weighted = {path.removesuffix(".weight") for path, _ in model.named_arrays() if path.endswith(".weight")}
    found, owner = {}, None
    for name, _ in model.layers:
        owner = name if name in weighted else owner
        if name in weighted or name.startswith(tuple(ACTIVATIONS)):
            found[name] = owner
    return found


def layer_norms(model, images, labels):
    """{layer: Norms} for the mean cross-entropy of one batch, without dropout. Forgets the model's gradients.

    images: an array (N, 3, size, size) on the CPU. labels: (N,).
    """
    owner, outputs = owners(model), {}

    def hook(name, xs):
        if name in owner:  # an activation's outputs replace those of its layer
            squares = [np.square(x.numpy(), dtype=np.float64) for x in xs]
            outputs[owner[name]] = np.sqrt(sum(s.sum() for s in squares) / sum(s.size for s in squares))

    model.zero_grad()
    with evaluating(model):
        F.cross_entropy(model(tensor(images, device=model.devices[0]), hook), labels).backward()
    weights, gradients = model.state_dict(), model.state_dict(of=lambda parameter: parameter.grad)
    model.zero_grad()
    return {
        layer: Norms(float(rms), norm(gradients[f"{layer}.weight"]), norm(weights[f"{layer}.weight"]))
        for layer, rms in outputs.items()
    }


def norm(array):
    return float(np.linalg.norm(array.ravel()))


def dead_share(model, images, transform, side, most=500):
    """({layer: share of its ReLUs that are 0 for each of up to `most` images}, how many images that were).

    Nothing flows back through a dead ReLU, so on these images the weights before it get no gradient. In a convolution
    each position of each channel counts as one. Layers without ReLUs are left out.
    """
    owner, fired, count = owners(model), {}, 0

    def hook(name, xs):
        if name.startswith("relu"):
            on = np.concatenate([(x.numpy() > 0).any(0) for x in xs])  # (C, ...)
            fired[owner[name]] = on | fired.get(owner[name], False)

    for _, batch in batches(images, transform, side, most):
        observe(model, batch, hook)
        count += len(batch)
    return {layer: 1 - float(on.mean()) for layer, on in fired.items()}, count
