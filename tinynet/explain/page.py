"""The page of a run: one picture's way forward and backward through an AlexNet, as one HTML file.

`contents` runs the network once inside tinynet.record() and puts what was recorded into a dict that JSON can hold.
Nothing on the page is computed a second way: activations and cotangents are those of the engine.

    steps    one per layer or exchange, in order: [{name, kind, settings, inputs, outputs, parts}]
             inputs, outputs: numbers of values, one per device; parts: what a device has of its own, such as weights
    values   [{data, cotangent}]: numbers of arrays
    arrays   quantized (quantize.py), each stored once
"""

import base64
import gzip
import io
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

import tinynet
from tinynet import functional as F
from tinynet.errors import RunError
from tinynet.explain.quantize import as_text, packed, quantize
from tinynet.explain.source import sources
from tinynet.explain.terms import largest_terms

WEB = Path(__file__).with_name("web")
SCRIPTS = ["numbers", "draw", "state", "network", "maps", "texts", "unit", "conv", "col2im", "pool", "lrn", "linear",
           "simple", "loss", "below", "start"]  # fmt: skip
MASK_SEED = 2012


class Step(NamedTuple):
    """One layer or exchange. inputs, outputs: recorded Values, one per device. nodes: the Functions that ran.

    saved: what max-pooling keeps for backward, its winners; one per node.
    """

    name: str
    module: object
    inputs: list
    outputs: list
    nodes: list
    saved: list

    @property
    def kind(self):
        return "gather" if self.name == "gather_logits" else self.name.rstrip("0123456789")


# ------------------------------------------------------------------------------------- what is recorded


def record_picture(model, image, target):
    """One pass forward and backward in evaluation mode: [Step], from the images to the loss.

    image: float32 (3, size, size). target: the class whose cross-entropy is the loss.
    """
    model.eval()
    modules, steps = dict(model.layers), []
    with tinynet.record() as recording:
        images = tinynet.tensor(image[None], requires_grad=True)  # so that the gradient reaches the picture

        def hook(name, tensors):
            seen = sum(len(step.nodes) for step in steps)
            if not steps:  # the copies of the images came first
                copies = recording.forward[0]
                steps.append(Step("images", None, copies.inputs, copies.outputs, [copies], []))
                seen = 1
            nodes = recording.forward[seen:]
            saved = [node.function.saved for node in nodes] if name.startswith("pool") else []
            outputs = [recording.value(x) for x in tensors]
            steps.append(Step(name, modules[name], steps[-1].outputs, outputs, nodes, saved))

        logits = model(images, hook)
        loss = F.cross_entropy(logits, np.array([target]))
        steps.append(Step("loss", None, steps[-1].outputs, [recording.value(loss)], [recording.value(loss).node], []))
        loss.backward()
    for step in steps:
        if not all(np.isfinite(value.data).all() and np.isfinite(value.cotangent).all() for value in step.outputs):
            raise RunError(f"the output of {step.name} is not finite, or its gradient")
    return steps


def class_saliency(model, image, target):
    """How much the score of a class moves with each pixel: the largest |d score / d pixel| of its colors, (size, size).

    Of the score and not of the loss, whose gradient is next to 0 where the network is sure (Simonyan et al., 2013).
    """
    model.eval()
    images = tinynet.tensor(image[None], requires_grad=True)
    logits = model(images)
    logits.backward(np.eye(logits.shape[1], dtype=np.float32)[[target]])
    return np.abs(images.grad[0]).max(0)


def dropout_sample(step):
    """What training would make of the same x and dy, with one mask: [(m, y, dx)], one per device."""

    def run(arrays):
        tinynet.manual_seed(MASK_SEED)
        xs = [tinynet.tensor(x, requires_grad=True) for x in arrays]
        return xs, step.module(xs)

    step.module.train()
    _, masks = run([np.ones_like(value.data) for value in step.inputs])
    xs, ys = run([value.data for value in step.inputs])
    for y, value in zip(ys, step.outputs, strict=True):
        y.backward(value.cotangent)
    step.module.eval()
    return [(m.data, y.data, x.grad) for m, y, x in zip(masks, ys, xs, strict=True)]


# ------------------------------------------------------------------------------------- as a dict


class Arrays:
    """The arrays of a page, quantized to `size` bytes per number. Each is stored once, and then named by its number."""

    def __init__(self, size):
        self.size, self.known, self.packed = size, {}, []

    def add(self, array, size=None):
        """The number of an array; a leading axis of one image is dropped."""
        if id(array) not in self.known:
            one = array[0] if array.ndim in (2, 4) and len(array) == 1 else array
            self.known[id(array)] = len(self.packed), array  # kept, so that no id comes twice
            self.packed.append(quantize(one, size or self.size))
        return self.known[id(array)][0]

    def add_numbers(self, numbers, size):
        """The number of an array of whole numbers, which stand for themselves."""
        self.packed.append(packed(numbers, size))
        return len(self.packed) - 1


def settings(step):
    """The layer's hyperparameters, under the names in the formulas."""
    function = step.nodes[0].function if step.nodes else None
    match step.kind:
        case "conv":
            geometry = function.geometry
            kernel = step.nodes[0].inputs[1].data.shape[2:]
            return {"kernel": kernel, "stride": geometry.stride, "padding": geometry.padding}
        case "pool":
            windows = function.windows
            return {"kernel": windows.kernel, "stride": windows.stride, "padding": windows.padding}
        case "lrn":
            return {name: getattr(function, name) for name in ("size", "alpha", "beta", "k")}
        case "dropout":
            return {"p": step.module.parts[0].p, "factor": 1 - step.module.parts[0].p if step.nodes else 1}
    return {}


def parts(step, arrays):
    """What each device has of its own in this step."""
    if step.kind == "dropout":
        names = "mask", "y", "dx"
        return [{name: arrays.add(a) for name, a in zip(names, sample, strict=True)} for sample in dropout_sample(step)]
    if step.kind == "pool":
        return [{"winner": arrays.add_numbers(winner[0], 1)} for (winner,) in step.saved]
    if step.kind == "conv":
        return [weights(arrays, *node.inputs[1:]) for node in step.nodes]
    return [linear_terms(arrays, node) for node in step.nodes] if step.kind == "fc" else []


def weights(arrays, weight, bias):
    """A convolution's filters and biases with their gradients; those of the filters always in one byte."""
    return {"weight": arrays.add(weight.data), "dweight": arrays.add(weight.cotangent, size=1),
            "bias": arrays.add(bias.data), "dbias": arrays.add(bias.cotangent)}


def linear_terms(arrays, node):
    """The largest terms of each output y = w @ x + b, and of each dx = w.T @ dy."""
    x, weight, bias = (value.data for value in node.inputs)
    found = {"bias": arrays.add(bias)}
    directions = {"forward": (weight, x[0]), "backward": (weight.T, node.dys[0][0])}
    for name, (matrix, vector) in directions.items():
        numbers, taken, rest = largest_terms(matrix, vector)
        found[name] = {"numbers": arrays.add_numbers(numbers, 2), "weights": arrays.add(taken),
                       "rest": arrays.add(rest)}
    return found


def contents(model, image, pixels, classes, target=None, nearest=None, note="", size=2, about=None):
    """Everything that the page shows, as a dict for JSON.

    model: an AlexNet on two devices, one column on each, so that no layer on a device has groups. image: float32
    (3, size, size), as the network takes it. pixels: the same as uint8 (size, size, 3), for the eye. classes: the names
    of the outputs. target: a class number (default: the class that the network says). nearest: [(pixels, class name)]
    of training images, or None; note: a line about them. size: bytes per number, 1 or 2. about: {label: text} for the
    head of the page.
    """
    with tinynet.no_grad():
        model.eval()
        logits = model(tinynet.tensor(image[None]))
    target = int(logits.data[0].argmax()) if target is None else target
    steps, arrays, numbers, values = record_picture(model, image, target), Arrays(size), {}, []

    def number(value):
        if id(value) not in numbers:
            numbers[id(value)] = len(values)
            values.append({"data": arrays.add(value.data), "cotangent": arrays.add(value.cotangent)})
        return numbers[id(value)]

    described = [
        {"name": step.name, "kind": step.kind, "settings": settings(step), "parts": parts(step, arrays),
         "inputs": [number(value) for value in step.inputs], "outputs": [number(value) for value in step.outputs]}
        for step in steps
    ]
    return {
        "about": about or {}, "bytes": size, "classes": classes, "target": target, "columns": model.columns,
        "logits": logits.data[0].tolist(), "probabilities": F.softmax(logits, dim=1).data[0].tolist(),
        "loss": steps[-1].outputs[0].data.item(), "steps": described, "values": values,
        "pixels": arrays.add_numbers(pixels, 1), "saliency": arrays.add(class_saliency(model, image, target)),
        "nearest": nearest and [{"src": jpeg(picture), "name": name} for picture, name in nearest],
        "note": note, "sources": sources(), "arrays": arrays.packed,
    }  # fmt: skip


def jpeg(pixels):
    """uint8 (H, W, 3) as a data URL."""
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(encoded.getvalue()).decode()


# ------------------------------------------------------------------------------------- as HTML


def html(page):
    """The one file: template, style, scripts and data."""
    text = (WEB / "page.html").read_text(encoding="utf-8")
    scripts = "\n".join((WEB / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS)
    data = as_text(np.frombuffer(gzip.compress(json.dumps(page).encode(), mtime=0), np.uint8))
    for mark, content in {"/*style*/": (WEB / "page.css").read_text(encoding="utf-8"), "/*scripts*/": scripts,
                          "/*data*/": data}.items():
        before, mark, after = text.partition(mark)
        text = before + content + after
    return text
