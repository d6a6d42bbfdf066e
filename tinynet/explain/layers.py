"""What an AlexNet consists of: its layers on each device, and what crosses between the devices."""

import math
from dataclasses import dataclass

import numpy as np

from tinynet.explain.observe import observe
from tinynet.parallel import Sharded


@dataclass
class Step:
    """One layer or exchange of AlexNet: its output, and what it sends from device to device for that.

    shapes: of the outputs for one image, one per device. computes: False if it is an exchange. parameters: how many
    numbers its weights have on each device. sends: {(i, j): bytes} from device i to device j in the forward pass of a
    batch. Backward, j sends as many to i: the transpose of an exchange runs the other way.
    """

    name: str
    shapes: list
    computes: bool
    parameters: list
    sends: dict


def steps(model, batch_size):
    """A list of Step, in order, for float32, from each layer's `sends()`.

    The first is `images`: each device gets a copy of all of them. They need no gradient, so nothing comes back.
    """
    n, size, outputs = len(model.devices), model.image_size, {}
    observe(model, np.zeros((1, 3, size, size), np.float32), lambda name, xs: outputs.update({name: xs}))
    to_others = {(0, i): batch_size * 3 * size * size * 4 for i in range(1, n)}
    found, before = [Step("images", [(3, size, size)] * n, True, [], to_others)], []
    for name, layer in model.layers:
        sends = {way: batch_size * numbers * 4 for way, numbers in layer.sends(before).items()}
        before = outputs[name]
        computes = isinstance(layer, Sharded)
        counts = [sum(p.size for p in part.parameters()) for part in layer.parts] if computes else []
        found.append(Step(name, [x.shape[1:] for x in before], computes, counts, sends))
    return found


def layer_table(model, batch_size=128):
    """A text table: each layer's output on each device, its parameters, and its multiply-accumulates.

    A multiply-accumulate (MAC) is one product added to a sum; MMAC counts millions of them for one image's forward
    pass. A weight of a convolution is used once at each of its P x Q output positions. Between the layers stands what
    the devices exchange in the forward pass of a batch.
    """
    heads = "".join(f"{name:22}" for name in (model.columns if len(model.devices) > 1 else ["output"]))
    lines = [f"{'layer':6} {heads} {'parameters':>10} {'per device':>10} {'MMAC':>7}"]
    total_parameters = total_macs = 0
    for step in steps(model, batch_size)[1:]:
        if step.sends:
            lines.append(f"{'':6} {crossing(step)}, batch of {batch_size}")
        if not sum(step.parameters):
            continue
        weights = [w.size for w in dict(model.named_arrays())[f"{step.name}.weight"]]
        macs = sum(w * math.prod(shape[1:]) for w, shape in zip(weights, step.shapes, strict=True)) / 1e6
        shapes = "".join(f"{' x '.join(map(str, shape)):22}" for shape in step.shapes)
        parameters = sum(step.parameters)
        lines.append(f"{step.name:6} {shapes:{len(heads)}} {parameters:10,} {step.parameters[0]:10,} {macs:7.2f}")
        total_parameters, total_macs = total_parameters + parameters, total_macs + macs
    lines.append(f"{'total':6} {'':{len(heads)}} {total_parameters:10,} {'':10} {total_macs:7.2f}")
    return "\n".join(lines)


def crossing(step):
    """ "all_gather: 11.08 MB each way": what one device sends to another."""
    unit, name = (1e6, "MB") if max(step.sends.values()) >= 1e5 else (1e3, "kB")
    amounts = " or ".join(f"{size / unit:.2f}" for size in sorted(set(step.sends.values())))
    both = all((j, i) in step.sends for i, j in step.sends)
    return f"{step.name.rstrip('_0123456789')}: {amounts} {name} {'each way' if both else 'one way'}"
