"""Every op on arrays that are views: strided, reversed, transposed, broadcast, read-only. Memory beyond them is NaN."""

import numpy as np
import pytest

import tinynet
from compare import tolerance
from layouts import LAYOUTS, WithCotangent
from ops_cases import distinct
from tinynet import functional as F
from tinynet import windows
from tinynet.autograd import Tensor
from tinynet.backend import array_module, to_device, use_device

IMAGE, MATRIX, LABELS = (3, 4, 6, 5), (4, 5), np.array([[0, 3], [1, -100], [2, 2]])

# name: what to run on the tensors, and their shapes
OPS = {
    "abs": (F.abs, IMAGE),
    "adaptive_avg_pool2d": (lambda x: F.adaptive_avg_pool2d(x, (3, 2)), IMAGE),
    "adaptive_avg_pool2d of the same size": (lambda x: F.adaptive_avg_pool2d(x, (6, 5)), IMAGE),
    "add": (F.add, IMAGE, (4, 1, 5)),
    "sub": (F.sub, IMAGE, (4, 1, 5)),
    "mul": (F.mul, IMAGE, (4, 1, 5)),
    "div": (F.div, IMAGE, (4, 1, 5)),
    "neg": (F.neg, IMAGE),
    "pow": (lambda x: F.pow(x, 3), IMAGE),
    "pow of tensors": (lambda x, z: F.pow(F.abs(x), z), IMAGE, (4, 1, 5)),
    "compare": (lambda x, z: F.where(x > z, x, z), IMAGE, (4, 1, 5)),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, 3, 2, 1), IMAGE),
    "avg_pool2d of one pixel": (lambda x: F.avg_pool2d(x, 1, 2), IMAGE),
    "clip": (lambda x: F.clip(x, 0.5, 20.0), IMAGE),
    "concatenate": (lambda *xs: F.concatenate(xs, 1), IMAGE, (3, 2, 6, 5)),
    "conv2d": (lambda x, w, b: F.conv2d(x, w, b, 2, 1, groups=2), IMAGE, (6, 2, 3, 3), (6,)),
    "conv2d of one pixel": (lambda x, w, b: F.conv2d(x, w, b), IMAGE, (6, 4, 1, 1), (6,)),
    "conv2d, dilated": (lambda x, w: F.conv2d(x, w, dilation=2), IMAGE, (6, 4, 2, 2)),
    "cross_entropy": (lambda x: F.cross_entropy(x, LABELS, label_smoothing=0.1, reduction="none"), (3, 4, 2)),
    "cross_entropy of probabilities": (F.cross_entropy, (3, 4, 2), (3, 4, 2)),
    "dropout": (lambda x: (tinynet.manual_seed(1), F.dropout(x))[1], IMAGE),
    "exp": (lambda x: F.exp(x / 40.0), IMAGE),
    "flatten": (lambda x: F.flatten(x, 1, 2), IMAGE),
    "getitem": (lambda x: x[1:, ::-1, None, [0, 0, 2]], IMAGE),
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.1), IMAGE),
    "leaky_relu, slope below 0": (lambda x: F.leaky_relu(x, -0.1), IMAGE),
    "linear": (F.linear, (3, 2, 5), (4, 5), (4,)),
    "local_response_norm": (lambda x: F.local_response_norm(x, 3, 0.5, groups=2), IMAGE),
    "log": (lambda x: F.log(F.abs(x) + 1.0), IMAGE),
    "log_softmax": (lambda x: F.log_softmax(x, 1), IMAGE),
    "matmul": (F.matmul, (2, 3, 4), (4, 5)),
    "matmul in batches": (F.matmul, (2, 3, 4), (2, 4, 5)),
    "max": (lambda x: F.max(x, (1, 3)), IMAGE),
    "max_pool2d": (lambda x: F.max_pool2d(x, 3, 2, 1), IMAGE),
    "max_pool2d of one pixel": (lambda x: F.max_pool2d(x, 1, 2), IMAGE),
    "max_pool2d of one pixel, stride 1": (lambda x: F.max_pool2d(x, 1), IMAGE),
    "max_pool2d of a row": (lambda x: F.max_pool2d(x, (1, 3), 2), IMAGE),
    "max_pool2d of a column": (lambda x: F.max_pool2d(x, (3, 1), 2), IMAGE),
    "mean": (lambda x: F.mean(x, (0, 2)), IMAGE),
    "min": (lambda x: F.min(x, (1, 3)), IMAGE),
    "mse_loss": (F.mse_loss, IMAGE, IMAGE),
    "nll_loss": (lambda x: F.nll_loss(x, LABELS), (3, 4, 2)),
    "pad": (lambda x: F.pad(x, (1, 2, 0, 1), value=7.0), IMAGE),
    "permute": (lambda x: F.permute(x, (2, 0, 3, 1)), IMAGE),
    "relu": (F.relu, IMAGE),
    "reshape": (lambda x: F.reshape(x, (6, -1)), IMAGE),
    "sigmoid": (F.sigmoid, IMAGE),
    "softmax": (lambda x: F.softmax(x, 1), IMAGE),
    "split": (lambda x: F.split(x, 2, 3)[1], IMAGE),
    "sqrt": (lambda x: F.sqrt(F.abs(x)), IMAGE),
    "stack": (lambda *xs: F.stack(xs, 2), MATRIX, MATRIX),
    "sum": (lambda x: F.sum(x, (0, 2)), IMAGE),
    "tanh": (F.tanh, IMAGE),
    "to_device": (lambda x: F.to_device(x * 1.0, "emu:1") if x.device != "cpu" else x * 1.0, IMAGE),
    "transpose": (lambda x: F.transpose(x, 1, 3), IMAGE),
    "var": (lambda x: F.var(x, (0, 2)), IMAGE),
    "where": (lambda x, z: F.where(np_or(x), x, z), IMAGE, (4, 1, 5)),
}


def np_or(x):
    return x.detach() > 1.0


def run(f, arrays, device, x_layout, dy_layout=lambda a: a):
    """[y, the gradients] of f, as NumPy arrays. x_layout is applied on the device."""
    with use_device(device):
        xs = [Tensor(x_layout(to_device(a, device)), requires_grad=True) for a in arrays]
    y = WithCotangent(dy_layout)(f(*xs))
    dy = np.random.default_rng(1).standard_normal(y.shape).astype(y.dtype)
    y.backward(to_device(dy, y.device))
    for x, a in zip(xs, arrays, strict=True):
        np.testing.assert_array_equal(x.numpy(), a, err_msg="an input was written to")
    return [y.numpy(), *(to_device(x.grad, "cpu") for x in xs)]


@pytest.mark.parametrize("op", OPS)
def test_views_give_what_contiguous_arrays_give(rng, device, op):
    f, *shapes = OPS[op]
    arrays = [distinct(rng, shape).astype("float32") for shape in shapes]
    expected = run(f, arrays, device, lambda a: a)
    for name, layout in LAYOUTS.items():
        for layouts in ((layout,), (lambda a: a, layout)):
            for a, b in zip(run(f, arrays, device, *layouts), expected, strict=True):
                np.testing.assert_allclose(a, b, **tolerance(a.dtype), err_msg=f"{name}, {len(layouts)}")


@pytest.mark.parametrize("op", OPS)
def test_broadcast_views(rng, device, op):
    """The first and the last axis repeat one element, with stride 0, of each input in turn."""
    f, *shapes = OPS[op]
    for repeated in range(len(shapes)):
        arrays = [distinct(rng, shape).astype("float32") for shape in shapes]
        few = arrays[repeated][:1, ..., :1] if len(shapes[repeated]) > 1 else arrays[repeated][:1]
        arrays[repeated] = np.broadcast_to(few, shapes[repeated]).copy()
        expected = run(f, arrays, device, lambda a: a)
        first = iter(range(len(shapes)))

        def layout(a):
            if next(first) != repeated:  # noqa: B023
                return a
            few = a[:1, ..., :1] if a.ndim > 1 else a[:1]
            return array_module(a).broadcast_to(few.copy(), a.shape)

        for a, b in zip(run(f, arrays, device, layout), expected, strict=True):
            np.testing.assert_allclose(a, b, **tolerance(a.dtype))


def test_every_op_is_here():
    assert {name.split()[0].strip(",") for name in OPS} >= set(F.__all__)


@pytest.mark.parametrize(
    "a, shape, steps",
    [
        (np.zeros(12), (3, 5), (4, 1)),  # the last element would be number 12
        (np.zeros(12), (3, 2), (4, -1)),  # and here one lies before the first
        (np.zeros((3, 4)), (3, 4), (4, 1)),  # not one axis
    ],
)
def test_a_view_beyond_the_array_is_refused(a, shape, steps):
    with pytest.raises(ValueError, match=r"^strided_view: "):
        windows.strided_view(a, shape, steps)


def test_a_strided_view_counts_elements_whatever_the_arrays_own_stride():
    a = np.arange(24.0)[::-2]
    np.testing.assert_array_equal(windows.strided_view(a, (2, 3), (6, 2)), [a[0:6:2], a[6:12:2]])
    np.testing.assert_array_equal(windows.strided_view(a, (2, 3), (0, 2)), [a[0:6:2]] * 2)
    assert windows.strided_view(a[:0], (0, 3), (6, 2)).shape == (0, 3)
