"""What a network is, and what is wrong with it: the layer table, what crosses, the signal check, the autopsy."""

from dataclasses import dataclass

import numpy as np

from tinynet.autograd import no_grad, tensor
from tinynet.parallel import Sharded


def layer_table(model):
    """A text table of AlexNet's layers: output and parameters per device, totals, and MMACs.

    A multiply-accumulate (MAC) is one product added to a sum; MMAC counts millions of them for one
    image's forward pass. A weight of a convolution is used once at each of its P x Q places.
    """
    outputs = {}
    size = model.image_size
    run(model, np.zeros((1, 3, size, size), np.float32), lambda name, xs: outputs.update({name: xs}))
    weights = {name: parts for name, parts in model.named_arrays()}
    lines = [f"{'layer':6} {'output on each device':24} {'parameters':>12} {'a device':>12} {'MMAC':>8}"]
    total_parameters = total_macs = 0
    for name, xs in outputs.items():
        if f"{name}.weight" not in weights:
            continue
        parts = [w.size + b.size for w, b in zip(weights[f"{name}.weight"], weights[f"{name}.bias"], strict=True)]
        macs = sum(w.size * int(np.prod(x.shape[2:])) for w, x in zip(weights[f"{name}.weight"], xs, strict=True))
        shape = " x ".join(map(str, xs[0].shape[1:]))
        on = f"{len(xs)} device" + "s" * (len(xs) > 1)
        lines.append(f"{name:6} {shape + ' on ' + on:24} {sum(parts):12,} {parts[0]:12,} {macs / 1e6:8.2f}")
        total_parameters, total_macs = total_parameters + sum(parts), total_macs + macs
    lines.append(f"{'total':6} {'':24} {total_parameters:12,} {'':12} {total_macs / 1e6:8.2f}")
    return "\n".join(lines)


@dataclass
class Step:
    """One step of AlexNet: what it puts out, and what it sends from device to device for that.

    shapes: of the outputs for one image, one a device. computes: False for a step that only moves.
    learns: whether it has weights. sends: {(i, j): bytes} that the i-th device sends to the j-th in the
    forward pass of a batch. Backward, j sends as many to i: a collective's transpose runs its ways in reverse.
    """

    name: str
    shapes: list
    computes: bool
    learns: bool
    sends: dict


def steps(model, batch_size):
    """AlexNet's own account of itself: a list of Step, in order, in float32.

    The first is `images`: each device sees all of them, and as nobody asks for their gradient, nothing
    comes back there.
    """
    n, size, outputs = len(model.devices), model.image_size, {}
    run(model, np.zeros((1, 3, size, size), np.float32), lambda name, xs: outputs.update({name: xs}))
    to_others = {(0, i): batch_size * 3 * size * size * 4 for i in range(1, n)}
    found, before = [Step("images", [(3, size, size)] * n, True, False, to_others)], []
    for name, layer in model.steps:
        sends = {way: batch_size * numbers * 4 for way, numbers in layer.sends(before).items()}
        before = outputs[name]
        shapes = [x.shape[1:] for x in before]
        found.append(Step(name, shapes, isinstance(layer, Sharded), any(True for _ in layer.parameters()), sends))
    return found


def signal_share(model, images):
    """How much of each layer's output comes from the image: {layer: share}, before its ReLU.

    images: an array (N, 3, size, size), a dozen or more. The share is the standard deviation
    over images (mean over the layer's units) divided by the mean absolute value. Where biases drown
    the image it is near 0, and training starts on a plateau.
    """
    shares = {}

    def watch(name, xs):
        if name.startswith(("conv", "fc")):
            x = np.concatenate([x.numpy() for x in xs], axis=1)  # (N, C, ...)
            level = np.abs(x).mean()
            shares[name] = float(x.std(axis=0).mean() / level) if level else 0.0

    run(model, images, watch)
    return shares


def first_not_finite(model, images):
    """After a loss that is not finite: which layer went wrong first, as a clause for a message.

    images: the array of the batch that gave the loss. A weight that is not finite was made so by
    its gradient one update earlier, and gradients go from the last layer to the first.
    """
    if not np.isfinite(images).all():
        return "the images themselves are not finite"
    for name, parts in reversed(list(model.named_arrays())):
        if not all(np.isfinite(part.numpy()).all() for part in parts):
            return f"the gradient of {name} was not finite in an update before"
    broken = []

    def watch(name, xs):
        if not all(np.isfinite(x.numpy()).all() for x in xs):
            broken.append(name)

    with np.errstate(all="ignore"):
        run(model, images, watch)
    return f"the output of {broken[0]} is not finite" if broken else "only the loss is not finite"


@no_grad()
def run(model, images, watch):
    """One forward pass in evaluation mode, watched; the mode is put back."""
    training = model.training
    model.eval()
    try:
        return model(tensor(images, device=model.devices[0]), watch)
    finally:
        model.train(training)
