import runpy

import conv2d_loops
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import tinynet
from compare import assert_same_as_torch
from tinynet import functional as F

# N, C, H, W, K, R, S, stride, padding, dilation, groups
GRID = [
    (2, 3, 8, 8, 4, 3, 3, 1, 1, 1, 1),
    (3, 3, 23, 20, 6, 11, 11, 4, 2, 1, 1),  # like AlexNet's conv1: the last columns unused
    (2, 4, 9, 7, 6, 5, 5, 1, 2, 1, 2),  # like conv2
    (1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1),
    (2, 4, 6, 6, 4, 1, 1, 3, 0, 1, 1),  # the stride skips pixels
    (2, 6, 7, 9, 6, 3, 2, (2, 1), (0, 2), (1, 3), 6),  # one channel per group, nothing square
    (2, 8, 7, 9, 4, 3, 2, 1, (2, 1), (2, 1), 2),  # few filters, like conv5: dx by rotated filters
    (2, 4, 5, 6, 2, 1, 1, 1, 1, 1, 1),  # more padding than dilation*(R-1): no rotated filter gives dx
    (0, 2, 5, 5, 4, 3, 3, 1, 0, 1, 1),
]
LARGE = [  # 600 columns per image, so several chunks
    (5, 6, 25, 24, 4, 3, 3, 1, 1, 1, 2),  # several threads; dx by rotated filters
    (3, 2, 49, 47, 4, 3, 3, 2, 1, 1, 1),  # dx by col2im
]


def case(rng, N, C, H, W, K, R, S, stride, padding, dilation, groups):
    x = rng.standard_normal((N, C, H, W))
    w = rng.standard_normal((K, C // groups, R, S))
    b = rng.standard_normal(K)
    how = dict(stride=stride, padding=padding, dilation=dilation, groups=groups)
    return [x, w, b], how


@pytest.mark.parametrize("shape", GRID)
@pytest.mark.parametrize("bias", [True, False])
def test_same_as_torch(torch, rng, dtype, device, shape, bias):
    arrays, how = case(rng, *shape)
    arrays = arrays if bias else arrays[:2]
    theirs = torch.nn.functional.conv2d
    assert_same_as_torch(
        torch, lambda *a: F.conv2d(*a, **how), lambda *a: theirs(*a, **how), arrays, dtype, device
    )


@pytest.mark.parametrize("shape", LARGE)
def test_large_images_same_as_torch(torch, rng, device, shape):
    """In float64: gradients of the weights are sums of 3,000 terms, many of which cancel."""
    arrays, how = case(rng, *shape)
    theirs = torch.nn.functional.conv2d
    ours = lambda *a: F.conv2d(*a, **how)  # noqa: E731
    assert_same_as_torch(torch, ours, lambda *a: theirs(*a, **how), arrays, np.dtype("float64"), device)


sizes = st.integers(1, 4)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_random_shapes_same_as_torch(torch, data):
    draw = data.draw
    groups = draw(st.integers(1, 3))
    N, C, K = draw(st.integers(1, 5)), groups * draw(sizes), groups * draw(sizes)
    (H, W), (R, S) = (draw(st.tuples(st.integers(1, 12), st.integers(1, 12))) for _ in range(2))
    stride, dilation = (draw(st.tuples(sizes, sizes)) for _ in range(2))
    padding = draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
    for size, kernel, pad, step in zip((H, W), (R, S), padding, dilation, strict=True):
        assume(size + 2 * pad >= step * (kernel - 1) + 1)
    shape = (N, C, H, W, K, R, S, stride, padding, dilation, groups)
    arrays, how = case(np.random.default_rng(0), *shape)
    assert_same_as_torch(
        torch,
        lambda *a: F.conv2d(*a, **how),
        lambda *a: torch.nn.functional.conv2d(*a, **how),
        arrays,
        np.dtype("float64"),
    )


def by_loops(x, w, b, dy, stride, padding, dilation, groups):
    """y, dx, dw, db. To the loops, groups are separate convolutions and a dilated filter is one with zeros in it."""
    stride, padding, dilation = (v if isinstance(v, tuple) else (v, v) for v in (stride, padding, dilation))
    taps = ..., slice(None, None, dilation[0]), slice(None, None, dilation[1])
    (K, _, R, S), C = w.shape, x.shape[1]
    dilated = np.zeros((*w.shape[:2], dilation[0] * (R - 1) + 1, dilation[1] * (S - 1) + 1))
    dilated[taps] = w
    y, dx, dw, db = (np.empty_like(a) for a in (dy, x, dilated, b))
    for c, k in zip(np.split(np.arange(C), groups), np.split(np.arange(K), groups), strict=True):
        y[:, k] = conv2d_loops.forward(x[:, c], dilated[k], b[k], stride, padding)
        dx[:, c], dw[k], db[k] = conv2d_loops.backward(dy[:, k], x[:, c], dilated[k], stride, padding)
    return y, dx, dw[taps], db


@pytest.mark.parametrize("shape", [*GRID[:-1], *LARGE])
def test_loops(rng, shape):
    arrays, how = case(rng, *shape)
    tensors = [tinynet.tensor(a, requires_grad=True) for a in arrays]
    y = F.conv2d(*tensors, **how)
    dy = rng.standard_normal(y.shape)
    y.backward(dy)
    for got, expected in zip((y.data, *(t.grad for t in tensors)), by_loops(*arrays, dy, **how), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-10)


def test_the_loops_check_themselves(capsys):
    runpy.run_path(conv2d_loops.__file__, run_name="__main__")
    assert capsys.readouterr().out == "y, dx, dw and db are those of tinynet.functional.conv2d, to rounding\n"


@pytest.mark.parametrize("shape", GRID[:-1])
def test_gradcheck(rng, shape):
    if shape[2] > 10:
        shape = (1, 2, 11, 9, 2, 5, 5, 3, 1, 1, 1)
    arrays, how = case(rng, *shape)
    tensors = [tinynet.tensor(a, requires_grad=True) for a in arrays]
    assert tinynet.gradcheck(lambda *a: F.conv2d(*a, **how), tensors)


def test_no_image_gradient_is_computed_for_an_image_that_needs_none(rng, monkeypatch):
    (x, w, b), how = case(rng, *GRID[0])
    monkeypatch.setattr("tinynet.ops.conv2d.input_gradient", lambda *a: pytest.fail("computed"))
    w = tinynet.tensor(w, requires_grad=True)
    y = F.conv2d(tinynet.tensor(x), w, tinynet.tensor(b), **how)
    y.backward(np.ones(y.shape))
    assert w.grad is not None


def test_many_threads_same_bits(rng):
    (x, w, _), how = case(rng, 9, 4, 40, 40, 8, 3, 3, 1, 1, 1, 2)
    grads = []
    for _ in range(3):
        w_ = tinynet.tensor(w.astype("float32"), requires_grad=True)
        y = F.conv2d(tinynet.tensor(x.astype("float32")), w_, **how)
        y.backward(np.ones(y.shape))
        grads.append((y.numpy().tobytes(), w_.grad.tobytes()))
    assert grads[0] == grads[1] == grads[2]


def tensor(*shape):
    return tinynet.tensor(np.zeros(shape, "float32"))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((tensor(3, 8, 8), tensor(4, 3, 3, 3)), r"input must be \(N, C, H, W\), got shape \(3, 8, 8\)"),
        ((tensor(1, 3, 8, 8), tensor(4, 2, 3, 3)), "input has 3 channels but weight .* expects 2"),
        ((tensor(1, 3, 8, 8), tensor(4, 3, 3)), r"weight must be \(K, C/groups, R, S\)"),
        ((tensor(1, 3, 8, 8), tensor(4, 3, 3, 3), tensor(3)), r"bias must have shape \(4,\), got \(3,\)"),
        ((tensor(1, 3, 2, 8), tensor(4, 3, 3, 3)), "does not fit into an image of"),
        ((tensor(1, 3, 8, 8), tensor(4, 3, 3, 3), None, 0), "stride must be an integer of at least 1"),
        ((tensor(1, 3, 8, 8), tensor(4, 3, 3, 3), None, 1, -1), "padding must be .* at least 0.* got -1"),
        ((tensor(1, 3, 8, 8), tensor(4, 3, 3, 3), None, 1, 0, 1, 2), "groups must divide both C and K"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=r"conv2d: .*" + message):
        F.conv2d(*arguments)


def test_bad_types_are_named():
    with pytest.raises(TypeError, match=r"conv2d: input must be a tinynet.Tensor, got ndarray"):
        F.conv2d(np.zeros((1, 3, 8, 8)), tensor(4, 3, 3, 3))
    with pytest.raises(TypeError, match="conv2d: input must be float32 or float64, got int64"):
        F.conv2d(tinynet.tensor(np.zeros((1, 3, 8, 8), int)), tensor(4, 3, 3, 3))
    with pytest.raises(TypeError, match="conv2d: weight is float64 but input is float32"):
        F.conv2d(tensor(1, 3, 8, 8), tinynet.tensor(np.zeros((4, 3, 3, 3))))
