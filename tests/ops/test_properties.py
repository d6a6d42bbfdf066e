"""Every op on random shapes, arguments, dtypes and layouts, on the CPU and on an emulated GPU.

A run is short. A long one, with other examples each time: EXAMPLES=1000 python -m pytest tests/ops/test_properties.py
"""

import math
import os

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, mutually_broadcastable_shapes

import tinynet
from compare import tolerance
from layouts import LAYOUTS, WithCotangent
from ops_cases import torch_function
from tinynet import functional as F
from tinynet.autograd import Tensor
from tinynet.backend import to_device, use_device

examples = settings(
    max_examples=int(os.environ.get("EXAMPLES", 12)), derandomize="EXAMPLES" not in os.environ, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much, HealthCheck.too_slow],
)  # fmt: skip
SHAPES = array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)
WITH_AXES = array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=5)


def ints(least, most):
    return st.integers(least, most)


def pairs(least, most):
    return st.tuples(ints(least, most), ints(least, most))


# ---------------------------------------------------------------------------- the ops
#
# Each function below draws a case: (shapes of the inputs, ours(*tensors), theirs(torch, *tensors)).


def unary(name, **strategies):
    def case(draw):
        how = {key: draw(strategy) for key, strategy in strategies.items()}
        return [draw(SHAPES)], lambda x: getattr(F, name)(x, **how), \
            lambda t, x: torch_function(t, name)(x, **how)  # fmt: skip

    return case


def binary(name):
    def case(draw):
        shapes = draw(mutually_broadcastable_shapes(num_shapes=2, min_side=0, max_side=4, max_dims=4)).input_shapes
        return shapes, getattr(F, name), lambda t, x, z: getattr(t, name)(x, z)

    return case


def reduction(name, torch_name=None, least=0, **strategies):
    def case(draw):
        shape = draw(array_shapes(min_dims=1, max_dims=4, min_side=least, max_side=6))
        dim = draw(st.lists(ints(0, len(shape) - 1), min_size=1, unique=True).map(tuple))
        assume(name != "var" or math.prod(shape[d] for d in dim) > 1)
        how = dict(dim=dim, keepdim=draw(st.booleans()))
        return [shape], lambda x: getattr(F, name)(x, **how), lambda t, x: getattr(t, torch_name or name)(x, **how)

    return case


def along_an_axis(name):
    def case(draw):
        shape = draw(WITH_AXES)
        dim = draw(ints(-len(shape), len(shape) - 1))
        return [shape], lambda x: getattr(F, name)(x, dim), lambda t, x: getattr(t, name)(x, dim)

    return case


def images(draw, most=9):
    return draw(st.tuples(ints(0, 3), ints(1, 4), ints(1, most), ints(1, most)))


def conv2d(draw):
    groups, N, C, K = (draw(ints(*bounds)) for bounds in ((1, 3), (0, 3), (1, 3), (1, 3)))
    kernel = draw(pairs(1, 4))
    how = dict(stride=draw(pairs(1, 3)), padding=draw(pairs(0, 3)), dilation=draw(pairs(1, 2)), groups=groups)
    image = draw(pairs(1, 9))
    sides = zip(image, how["padding"], how["dilation"], kernel, strict=True)
    extent = [n + 2 * p - d * (k - 1) for n, p, d, k in sides]
    assume(min(extent) >= 1)
    shapes = [(N, C * groups, *image), (K * groups, C, *kernel), (K * groups,)][: 3 if draw(st.booleans()) else 2]
    return shapes, lambda *xs: F.conv2d(*xs, **how), lambda t, *xs: t.nn.functional.conv2d(*xs, **how)


def pool(name, **strategies):
    def case(draw):
        shape, kernel = images(draw), draw(pairs(1, 4))
        how = dict(kernel_size=kernel, stride=draw(pairs(1, 4)), ceil_mode=draw(st.booleans()))
        how["padding"] = tuple(draw(ints(0, k // 2)) for k in kernel)
        how |= {key: draw(strategy) for key, strategy in strategies.items()}
        dilation = how.get("dilation", (1, 1))
        for size, k, p, d in zip(shape[2:], kernel, how["padding"], dilation, strict=True):
            assume(size >= d * (k - 1) + 1 - p)  # so that every window contains a pixel
        return [shape], lambda x: getattr(F, name)(x, **how), lambda t, x: getattr(t.nn.functional, name)(x, **how)

    return case


def adaptive_avg_pool2d(draw):
    size = draw(pairs(1, 9))
    return [images(draw)], lambda x: F.adaptive_avg_pool2d(x, size), \
        lambda t, x: t.nn.functional.adaptive_avg_pool2d(x, size)  # fmt: skip


def local_response_norm(draw):
    how = dict(size=draw(st.sampled_from([1, 3, 5])), alpha=draw(st.floats(0, 2)), beta=draw(st.floats(0, 2)), k=2.0)
    return [images(draw)], lambda x: F.local_response_norm(x, **how), \
        lambda t, x: t.nn.functional.local_response_norm(x, **how)  # fmt: skip


def linear(draw):
    K, shape = draw(ints(1, 4)), draw(array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=5))
    shapes = [shape, (K, shape[-1]), (K,)][: 3 if draw(st.booleans()) else 2]
    return shapes, F.linear, lambda t, *xs: t.nn.functional.linear(*xs)


def matmul(draw):
    N, K, M = (draw(ints(1, 5)) for _ in range(3))
    batch = draw(mutually_broadcastable_shapes(num_shapes=2, min_side=1, max_side=3, max_dims=2)).input_shapes
    shapes = (*batch[0], N, K), (*batch[1], K, M)
    vectors = draw(st.sampled_from([shapes, ((K,), shapes[1]), (shapes[0], (K,)), ((K,), (K,))]))
    return vectors, F.matmul, lambda t, x, z: t.matmul(x, z)


def loss(name):
    def case(draw):
        shape = draw(st.tuples(ints(1, 4), ints(1, 5)) | st.tuples(ints(1, 3), ints(1, 4), ints(1, 3), ints(1, 2)))
        target = np.random.default_rng(draw(ints(0, 99))).integers(-1, shape[1], (shape[0], *shape[2:]))
        how = dict(ignore_index=-1, reduction=draw(st.sampled_from(["none", "sum", "mean"])))
        assume(how["reduction"] != "mean" or (target >= 0).any())
        if name == "cross_entropy":
            how["label_smoothing"] = draw(st.floats(0, 1))
        return [shape], lambda x: getattr(F, name)(x, to_device(target, x.device), **how), \
            lambda t, x: getattr(t.nn.functional, name)(x, t.tensor(target), **how)  # fmt: skip

    return case


def cross_entropy_of_probabilities(draw):
    shape = draw(array_shapes(min_dims=2, max_dims=4, max_side=4))
    how = dict(reduction=draw(st.sampled_from(["none", "sum", "mean"])), label_smoothing=draw(st.floats(0, 1)))
    return [shape, shape], lambda *xs: F.cross_entropy(*xs, **how), \
        lambda t, *xs: t.nn.functional.cross_entropy(*xs, **how)  # fmt: skip


def mse_loss(draw):
    shape, how = draw(WITH_AXES), dict(reduction=draw(st.sampled_from(["none", "sum", "mean"])))
    return [shape, shape], lambda *xs: F.mse_loss(*xs, **how), lambda t, *xs: t.nn.functional.mse_loss(*xs, **how)


def dropout(draw):  # the same mask for every dtype and on every device; PyTorch's is another
    p, seed = draw(st.floats(0, 1)), draw(ints(0, 99))
    return [draw(WITH_AXES)], lambda x: (tinynet.manual_seed(seed), F.dropout(x, p))[1], None


def reshaped(name):
    def case(draw):
        shape = draw(WITH_AXES)
        axes, axis = draw(st.permutations(range(len(shape)))), draw(ints(0, len(shape) - 1))
        ends = sorted((axis, axes[0]))
        sizes = draw(st.integers(1, 3) | st.just([1, shape[axis] - 1]))
        calls = {
            "flatten": (lambda x: F.flatten(x, *ends), lambda t, x: t.flatten(x, *ends)),
            "permute": (lambda x: F.permute(x, axes), lambda t, x: t.permute(x, axes)),
            "reshape": (lambda x: x.reshape(-1, shape[axis]), lambda t, x: x.reshape(-1, shape[axis])),
            "split": (lambda x: F.split(x, sizes, axis)[-1], lambda t, x: t.split(x, sizes, axis)[-1]),
            "transpose": (lambda x: F.transpose(x, axis, axes[0]), lambda t, x: t.transpose(x, axis, axes[0])),
            "getitem": (lambda x: x[..., ::2, None, :1], lambda t, x: x[..., ::2, None, :1]),
        }
        assume(name != "getitem" or len(shape) > 1)
        return [shape], *calls[name]

    return case


def joined(name, theirs):
    def case(draw):
        shape = draw(WITH_AXES)
        axis, more = draw(ints(0, len(shape) - 1)), draw(ints(0, 3))
        second = (*shape[:axis], more, *shape[axis + 1 :]) if name == "concatenate" else shape
        return [shape, second, shape], lambda *xs: getattr(F, name)(xs, axis), \
            lambda t, *xs: getattr(t, theirs)(xs, axis)  # fmt: skip

    return case


def pad(draw):
    shape = draw(WITH_AXES)
    widths = draw(st.lists(pairs(0, 3), max_size=len(shape)).map(lambda widths: sum(widths, ())))
    return [shape], lambda x: F.pad(x, widths, value=0.5), \
        lambda t, x: t.nn.functional.pad(x, widths, value=0.5) if widths else x * 1  # fmt: skip


def where(draw):
    shapes = draw(mutually_broadcastable_shapes(num_shapes=2, min_side=0, max_side=4, max_dims=4)).input_shapes
    return shapes, lambda x, z: F.where(x.detach() > 0, x, z), lambda t, x, z: t.where(x.detach() > 0, x, z)


def positive(f):
    """The case f with |x| + 0.5 in place of each input x."""

    def case(draw):
        shapes, ours, theirs = f(draw)
        return shapes, lambda *xs: ours(*(F.abs(x) + 0.5 for x in xs)), \
            lambda t, *xs: theirs(t, *(x.abs() + 0.5 for x in xs))  # fmt: skip

    return case


CASES = {
    "abs": unary("abs"),
    "adaptive_avg_pool2d": adaptive_avg_pool2d,
    "add": binary("add"),
    "avg_pool2d": pool("avg_pool2d", count_include_pad=st.booleans()),
    "clip": unary("clip", min=st.none() | st.floats(-1, 0, width=32), max=st.floats(0, 1, width=32)),
    "concatenate": joined("concatenate", "cat"),
    "conv2d": conv2d,
    "cross_entropy": loss("cross_entropy"),
    "cross_entropy_of_probabilities": cross_entropy_of_probabilities,
    "div": positive(binary("div")),
    "dropout": dropout,
    "exp": unary("exp"),
    "flatten": reshaped("flatten"),
    "getitem": reshaped("getitem"),
    "leaky_relu": unary("leaky_relu", negative_slope=st.floats(-2, 2)),
    "linear": linear,
    "local_response_norm": local_response_norm,
    "log": positive(unary("log")),
    "log_softmax": along_an_axis("log_softmax"),
    "matmul": matmul,
    "max": reduction("max", "amax", least=1),
    "max_pool2d": pool("max_pool2d", dilation=pairs(1, 2)),
    "mean": reduction("mean", least=1),
    "min": reduction("min", "amin", least=1),
    "mse_loss": mse_loss,
    "mul": binary("mul"),
    "neg": unary("neg"),
    "nll_loss": loss("nll_loss"),
    "pad": pad,
    "permute": reshaped("permute"),
    "pow": positive(binary("pow")),
    "pow_scalar": positive(unary("pow", exponent=st.sampled_from([-1, 0, 0.5, 1, 2, 3]))),
    "relu": unary("relu"),
    "reshape": reshaped("reshape"),
    "sigmoid": unary("sigmoid"),
    "softmax": along_an_axis("softmax"),
    "split": reshaped("split"),
    "sqrt": positive(unary("sqrt")),
    "stack": joined("stack", "stack"),
    "sub": binary("sub"),
    "sum": reduction("sum"),
    "tanh": unary("tanh"),
    "to_device": lambda draw: ([draw(SHAPES)], lambda x: F.to_device(x, "cpu"), lambda t, x: x * 1),
    "transpose": reshaped("transpose"),
    "var": reduction("var", least=1),
    "where": where,
}


def test_every_op_is_here():
    assert set(F.__all__) <= set(CASES)


# ---------------------------------------------------------------------------- the comparison


def draw_case(name, data):
    """(arrays in float64, the layout of the inputs and of dy, ours, theirs)"""
    shapes, ours, theirs = CASES[name](data.draw)
    rng = np.random.default_rng(data.draw(ints(0, 99)))
    sizes = [math.prod(shape) for shape in shapes]  # no two elements are alike: no ties, no kinks nearby
    numbers = np.split((rng.permutation(sum(sizes)) + 0.25) / max(sum(sizes), 1) * 4 - 2, np.cumsum(sizes)[:-1])
    arrays = [np.asarray(x).reshape(shape).astype("f4").astype("f8") for x, shape in zip(numbers, shapes, strict=True)]
    layouts = st.sampled_from([lambda a: a, *LAYOUTS.values()])
    return arrays, data.draw(layouts), data.draw(layouts), ours, theirs


def results(f, arrays, dtype, device, x_layout, dy_layout):
    """[y, the gradients] as NumPy arrays, for a random dy."""

    def placed(a, layout):
        a = to_device(a.astype(dtype), device)
        return layout(a) if a.ndim else a

    with use_device(device):
        xs = [Tensor(placed(a, x_layout), requires_grad=True) for a in arrays]
    y = WithCotangent(dy_layout)(f(*xs))
    y.backward(to_device(cotangent(y.shape).astype(dtype), y.device))
    assert y.dtype == dtype
    return [y.numpy(), *(to_device(np.zeros(0) if x.grad is None else x.grad, "cpu") for x in xs)]


def cotangent(shape):
    return np.random.default_rng(1).standard_normal(shape).astype("f4").astype("f8")


@pytest.mark.parametrize("name", [name for name in CASES if name != "dropout"])
@given(data=st.data())
@examples
def test_same_as_torch(torch, device, name, data):
    arrays, x_layout, dy_layout, ours, theirs = draw_case(name, data)
    ts = [torch.tensor(a, requires_grad=True) for a in arrays]
    y = theirs(torch, *ts)
    y.backward(torch.tensor(cotangent(tuple(y.shape))))
    expected = [y.detach().numpy(), *(t.grad.numpy() for t in ts)]
    for dtype in (np.dtype("float32"), np.dtype("float64")):
        got = results(ours, arrays, dtype, device, x_layout, dy_layout)
        for a, b in zip(got, expected, strict=True):
            assert a.shape == b.shape
            np.testing.assert_allclose(a, b, **tolerance(dtype), err_msg=str(dtype))


@pytest.mark.parametrize("name", CASES)
@given(data=st.data())
@examples
def test_same_as_float64_on_contiguous_arrays(device, name, data):
    arrays, x_layout, dy_layout, ours, _ = draw_case(name, data)
    got = results(ours, arrays, np.dtype("float32"), device, x_layout, dy_layout)
    expected = results(ours, arrays, np.dtype("float64"), "cpu", lambda a: a, lambda a: a)
    for a, b in zip(got, expected, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, **tolerance(np.float32))
