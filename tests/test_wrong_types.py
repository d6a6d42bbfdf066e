"""Every argument of every function and layer, given what it cannot be: one line that names both."""

import inspect
import re

import numpy as np
import pytest

import tinynet
from ops_cases import torch_function
from tinynet import functional as F
from tinynet import nn

IMAGES = tinynet.tensor(np.ones((2, 4, 6, 6), "f4"))
MATRIX = tinynet.tensor(np.ones((2, 4), "f4"))
CLASSES = np.array([0, 1])

THEIR_NAMES = {"max": "amax", "min": "amin"}

# What the arguments without a default are given where another one is wrong.
GOOD = {
    "adaptive_avg_pool2d": dict(input=IMAGES, output_size=2),
    "avg_pool2d": dict(input=IMAGES, kernel_size=2),
    "clip": dict(input=MATRIX, min=0.0),
    "concatenate": dict(tensors=[MATRIX, MATRIX]),
    "conv2d": dict(input=IMAGES, weight=IMAGES),
    "cross_entropy": dict(input=MATRIX, target=CLASSES),
    "linear": dict(input=MATRIX, weight=MATRIX),
    "local_response_norm": dict(input=IMAGES, size=3),
    "matmul": dict(input=MATRIX, other=tinynet.tensor(np.ones((4, 2), "f4"))),
    "max_pool2d": dict(input=IMAGES, kernel_size=2),
    "mse_loss": dict(input=MATRIX, target=MATRIX),
    "nll_loss": dict(input=MATRIX, target=CLASSES),
    "pad": dict(input=MATRIX, pad=(1, 1)),
    "permute": dict(input=MATRIX, dims=(1, 0)),
    "pow": dict(input=MATRIX, exponent=2),
    "reshape": dict(input=MATRIX, shape=(8,)),
    "split": dict(tensor=MATRIX, split_size=1),
    "stack": dict(tensors=[MATRIX, MATRIX]),
    "to_device": dict(input=MATRIX, device="cpu"),
    "transpose": dict(input=MATRIX, dim0=0, dim1=1),
    "where": dict(condition=MATRIX > 0, input=MATRIX, other=MATRIX),
    "AdaptiveAvgPool2d": dict(output_size=2),
    "AvgPool2d": dict(kernel_size=2),
    "Conv2d": dict(in_channels=4, out_channels=4, kernel_size=3),
    "Linear": dict(in_features=3, out_features=2),
    "LocalResponseNorm": dict(size=3),
    "LogSoftmax": dict(dim=1),
    "MaxPool2d": dict(kernel_size=2),
    "Softmax": dict(dim=1),
    **{name: dict(input=MATRIX, other=MATRIX) for name in ("add", "sub", "mul", "div")},
    **{name: dict(input=MATRIX, dim=1) for name in ("softmax", "log_softmax")},
}

VALUES = {
    "None": None,
    "a string": "text",
    "an empty string": "",
    "a list": ["a", [1.5]],
    "a float": 1.5,
    "nan": float("nan"),
    "a bool": True,
    "an array": np.ones((2, 2), "f4"),
    "a large array": np.ones((300, 4), "f4"),
    "integers": np.array([[1, 1], [1, 1]]),
    "a tensor": tinynet.tensor([[1, 2], [3, 4]]),
    "a floating tensor": tinynet.tensor(np.ones((7, 7), "f4")),
    "an object": object(),
    "a type": int,
    "a dict": {},
    "-7": -7,
    "0": 0,
}

# Which of VALUES are right, by argument, or by function and argument where that differs; elsewhere none is.
FLAG, NONE, ZERO = {"a bool"}, {"None"}, {"0"}
AXIS = {"-7", "0"}  # a layer does not know yet how many axes there will be
NUMBER = {"a float", "nan", "-7", "0"}
TENSOR = {"a tensor", "a floating tensor"}  # for an input: right, or refused for its dtype or shape
OPERAND = NUMBER | FLAG
RIGHT = {
    "ceil_mode": FLAG, "count_include_pad": FLAG, "keepdim": FLAG, "return_indices": FLAG, "training": FLAG,
    "linear.bias": NONE, "conv2d.bias": NONE, "Linear.bias": FLAG, "Conv2d.bias": FLAG,
    "weight": NONE, "conv2d.weight": set(), "linear.weight": set(),
    "CrossEntropyLoss.weight": NONE | {"an array", "a large array", "integers", *TENSOR},
    "NLLLoss.weight": NONE | {"an array", "a large array", "integers", *TENSOR},
    "alpha": NUMBER, "beta": NUMBER, "k": NUMBER, "negative_slope": NUMBER, "correction": NUMBER,
    "exponent": OPERAND, "value": OPERAND, "min": OPERAND, "max": OPERAND | NONE,
    "other": OPERAND, "matmul.other": set(),
    **{f"{name}.input": OPERAND for name in ("add", "sub", "mul", "div", "where")},
    **dict.fromkeys(("padding", "p", "label_smoothing", "dim0", "dim1", "start_dim", "end_dim"), ZERO),
    "ignore_index": {"-7", "0"}, "dim": NONE | ZERO, "mask": NONE, "stride": NONE,
    "conv2d.stride": set(), "Conv2d.stride": set(),
    **{f"{name}.dim": ZERO for name in ("concatenate", "log_softmax", "softmax", "split", "stack")},
    "LogSoftmax.dim": AXIS, "Softmax.dim": AXIS, "Flatten.start_dim": AXIS, "Flatten.end_dim": AXIS,
}  # fmt: skip
MAY_BE_TENSORS = {"input", "other", "tensor", "condition", "target", "weight", "bias", "exponent"}


def subjects():
    for name in F.__all__:
        yield name, getattr(F, name)
    for name in nn.__all__:
        kind = getattr(nn, name)
        if inspect.isclass(kind) and kind.__module__ != "tinynet.nn.module":
            yield name, kind


CASES = [(name, argument) for name, f in subjects() for argument in inspect.signature(f).parameters]


@pytest.mark.parametrize("name, argument", CASES)
@pytest.mark.filterwarnings("ignore:(invalid value|divide by zero)")  # nan to a power, ...
def test_every_wrong_argument_is_named(name, argument):
    f, arguments = dict(subjects())[name], GOOD.get(name, {} if name[0].isupper() else dict(input=MATRIX))
    right = RIGHT.get(f"{name}.{argument}", RIGHT.get(argument, set()))
    for kind, value in VALUES.items():
        either = kind in TENSOR and argument in MAY_BE_TENSORS
        try:
            f(**(arguments | {argument: value}))
        except Exception as error:
            line, what = str(error), f"{argument} = {kind}: {type(error).__name__}: {error}"
            assert isinstance(error, TypeError | ValueError), what
            assert line.startswith(f"{name}: "), what
            assert re.search(rf"\b{argument}\b", line), what
            assert "\n" not in line, what
            assert len(line) < 250, what
            assert either or kind not in right, what
        else:
            assert either or kind in right, f"{argument} = {kind} is accepted"


def test_the_right_arguments_are_right():
    for name, f in subjects():
        f(**GOOD.get(name, {} if name[0].isupper() else dict(input=MATRIX)))
    assert set(GOOD) <= {name for name, _ in subjects()}


def with_tensors(value, make):
    """The value with make(array) in place of each tensor and array."""
    if isinstance(value, list):
        return [with_tensors(v, make) for v in value]
    array = value.numpy() if isinstance(value, tinynet.Tensor) else value
    return make(array) if isinstance(array, np.ndarray) else array


@pytest.mark.parametrize("name", [name for name in F.__all__ if name not in ("dropout", "to_device")])
def test_what_is_left_out_means_what_it_means_to_pytorch(torch, rng, name):
    def draw(array):
        return array if array.dtype.kind != "f" else rng.permutation(array.size).reshape(array.shape) / 9 + 0.1

    arguments = with_tensors(list(GOOD.get(name, dict(input=MATRIX)).values()), draw)
    if name == "where":
        arguments[0] = arguments[0] > 0.5
    if name == "leaky_relu":
        arguments[0] = -arguments[0]
    y = getattr(F, name)(*with_tensors(arguments, tinynet.tensor))
    t = torch_function(torch, THEIR_NAMES.get(name, name))(*with_tensors(arguments, torch.tensor))
    for ours, theirs in zip(*((y, t) if isinstance(t, tuple) else ([y], [t])), strict=True):
        assert ours.shape == tuple(theirs.shape)
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-12)


MASKS, BYTES = tinynet.tensor([True, False]), tinynet.tensor(np.array([1, 2], np.uint8))
BAD = [
    (lambda: -MASKS, "neg: input is bool"),
    (lambda: MASKS - MASKS, "sub: input and other are bool"),
    (lambda: F.relu(MASKS), "relu: input is bool"),
    (lambda: F.clip(MASKS, 0, 1), "clip: input is bool"),
    (lambda: BYTES + 300, "add: other is 300, which uint8 cannot hold"),
    (lambda: -1 - BYTES, "sub: input is -1, which uint8 cannot hold"),
    (lambda: F.clip(BYTES, min=-1), "clip: min is -1, which uint8 cannot hold"),
    (lambda: F.clip(BYTES, max=256), "clip: max is 256, which uint8 cannot hold"),
    (lambda: F.pad(BYTES, (1, 1), value=-1), "pad: value is -1, which uint8 cannot hold"),
    (lambda: F.dropout(BYTES), "dropout: input must be float32 or float64, got uint8"),
    (lambda: F.dropout(MATRIX, 1.5), "dropout: p must be from 0 to 1, got 1.5"),
    (lambda: F.stack([MATRIX, None]), r"stack: tensors\[1\] must be a tinynet.Tensor, got NoneType"),
    (lambda: F.concatenate([]), "concatenate: tensors is empty"),
    (lambda: F.reshape(MATRIX, (True, 8)), "reshape: shape must hold lengths"),
    (lambda: F.conv2d(IMAGES, tinynet.tensor(np.ones((2, 4, 1, 1), int))), "conv2d: weight must be float32 or float64"),
]


@pytest.mark.parametrize("bad, message", BAD)
def test_what_has_no_meaning_is_named(bad, message):
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        bad()


def test_relu_of_integers(device):
    assert F.relu(tinynet.tensor([-1, 2], device=device)).numpy().tolist() == [0, 2]
