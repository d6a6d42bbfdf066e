"""The four versions of the convolution kernels against im2col and BLAS in float64."""

import importlib

import numpy as np
import pytest

from kernel_checks import ALEXNET, assert_same_bits_always, fetch, put, where_kernels_run
from tinynet import backend, emulator, kernels
from tinynet.ops import conv2d as op

module = importlib.import_module("tinynet.kernels.conv2d")
every_version = pytest.mark.parametrize("version", [1, 2, 3, 4])


def skip_without_tensor_cores(version, device):
    capability = module.compute_capability(backend.library(device), device)
    if version == 4 and capability < 80:
        pytest.skip(f"version 4 needs compute capability 8.0, {device} has {capability / 10}")


@pytest.fixture(autouse=True)
def tensor_cores(request):
    case = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    if case.keys() >= {"version", "device"}:
        skip_without_tensor_cores(case["version"], request.getfixturevalue("device"))


# N, C, H, W, K, R, S, stride, padding, dilation, groups
SHAPES = {
    "one number": (1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1),
    "1 x 1 filter": (3, 5, 7, 6, 9, 1, 1, 1, 0, 1, 1),
    "1 x 1 image": (5, 4, 1, 1, 3, 3, 3, 1, 1, 1, 1),
    "nothing square": (2, 6, 9, 20, 10, 3, 2, (2, 1), (0, 2), (1, 3), 2),
    "stride beyond the filter": (2, 3, 11, 13, 4, 2, 1, (4, 3), 0, 1, 1),
    "stride beyond the image": (2, 3, 3, 2, 4, 2, 2, 7, 1, 1, 1),
    "stride and dilation share a factor": (2, 2, 13, 12, 3, 3, 2, (4, 6), 3, (2, 3), 1),
    "padding beyond the image": (2, 2, 3, 2, 4, 2, 3, 2, (5, 4), 1, 1),
    "one channel a group": (2, 7, 6, 5, 14, 3, 3, 1, 1, 1, 7),
    "one filter a group": (2, 15, 6, 5, 5, 3, 3, 2, 1, 1, 5),
    "pixels that no window covers": (1, 2, 10, 9, 3, 2, 2, 3, 0, 1, 1),
    "long and thin": (1, 2, 1, 300, 3, 1, 9, 1, (0, 4), (1, 5), 1),
    "several tiles each way": (3, 30, 12, 11, 150, 3, 3, 1, 1, 1, 1),
    "no images": (0, 2, 5, 4, 4, 3, 3, 1, 0, 1, 1),
    "more images than a grid is high": (70_000, 1, 2, 1, 2, 1, 1, 1, 0, 1, 1),
}


def case(N, C, H, W, K, R, S, stride, padding, dilation, groups):
    """Shapes of x and w, and the geometry."""
    pair = [v if isinstance(v, tuple) else (v, v) for v in (stride, padding, dilation)]
    return (N, C, H, W), (K, C // groups, R, S), op.Geometry(*pair, groups)


def draw(rng, shape, dtype, bias=True):
    """x, w, b, dy and the geometry."""
    x_shape, w_shape, how = case(*shape)
    P, Q = how.places(x_shape[2:], w_shape[2:])
    shapes = x_shape, w_shape, w_shape[:1], (x_shape[0], w_shape[0], P, Q)
    x, w, b, dy = (rng.standard_normal(s).astype(dtype) for s in shapes)
    return x, w, b if bias else None, dy, how


def three_passes(x, w, b, dy, how, version):
    """y, dx, dw of arrays on a device."""
    return (
        kernels.conv2d(x, w, b, *how, version=version),
        kernels.conv2d_input_gradient(dy, w, x.shape, *how, version=version),
        kernels.conv2d_filter_gradient(dy, x, w.shape, *how, version=version),
    )


def reference(x, w, b, dy, how):
    return op.correlate(x, w, b, how), op.input_gradient(dy, w, x.shape, how), op.filter_gradient(dy, x, w.shape, how)


def check(device, x, w, b, dy, how, version):
    """Each result is off by no more than rounding explains.

    A sum of n products a_i * b_i of varying sign is a random walk with steps of size s = sqrt(sum (a_i * b_i)^2 / n).
    After i steps it is at about sqrt(i) * s. Adding the next product rounds that, an error of either sign and at most
    u times as large. All n errors together are about u * n * s = u * sqrt(n) * sqrt(sum (a_i * b_i)^2). TF32 also
    rounds each operand by up to 2^-11 of itself, which adds about 2^-11 * sqrt(sum (a_i * b_i)^2). Among many results
    a few times that occurs; a product too many or too few is farther off.
    """
    got = fetch(three_passes(*put(device, x, w, b, dy), how, version))
    exact = [None if a is None else a.astype("float64") for a in (x, w, b, dy)]
    squares = [None if a is None else a * a for a in exact]
    terms = w[0].size + 1, w[:, 0].size // how.groups, dy[:, 0].size
    u = np.finfo(x.dtype).eps / 2
    for name, ours, theirs, square, n in zip(
        ("y", "dx", "dw"), got, reference(*exact, how), reference(*squares, how), terms, strict=True
    ):
        assert ours.dtype == x.dtype
        assert ours.shape == theirs.shape
        allowed = (8 * u * np.sqrt(n) + (6 * 2**-11 if version == 4 else 0)) * np.sqrt(square)
        worst = np.max(np.abs(ours - theirs) - allowed, initial=0)
        assert worst <= 0, f"{name} is off by {worst:.2g} more than rounding explains"


# ------------------------------------------------------------------------------------ right results


@where_kernels_run
@pytest.mark.parametrize("layer", ALEXNET)
@every_version
def test_alexnet(rng, device, version, layer):
    N, (C, H, W, K, *rest) = 2, ALEXNET[layer]
    if version <= 2:  # slow: fewer channels
        N, C, K = 1, C if C == 3 else C // 8, K // 16
    check(device, *draw(rng, (N, C, H, W, K, *rest), "float32"), version)


@where_kernels_run
@every_version
@pytest.mark.parametrize("name", SHAPES)
def test_shapes(rng, device, dtype, version, name):
    if version == 4 and dtype == "float64":
        pytest.skip("TF32 has no doubles")
    check(device, *draw(rng, SHAPES[name], dtype), version)


def random_shape(rng):
    sizes = lambda most, n=2: [int(v) for v in rng.integers(1, most, n, endpoint=True)]  # noqa: E731
    while True:
        groups, N, c, k = sizes(3, 4)
        stride, dilation, (R, S), (H, W) = tuple(sizes(4)), tuple(sizes(3)), sizes(5), sizes(16)
        padding = tuple(int(v) for v in rng.integers(0, 4, 2))
        c, k = c * sizes(8, 1)[0], k * sizes(20, 1)[0]
        shape = (N, groups * c, H, W, groups * k, R, S, stride, padding, dilation, groups)
        if min(case(*shape)[2].places((H, W), (R, S))) >= 1:
            return shape


@where_kernels_run
@every_version
@pytest.mark.parametrize("count, mode", [(60, {}), (8, dict(sanitize=True))])
def test_random_shapes(rng, device, version, count, mode):
    for _ in range(count):
        shape = random_shape(rng)
        try:
            with emulator.mode(**mode):
                check(device, *draw(rng, shape, "float32", bias=rng.random() < 0.5), version)
        except AssertionError as error:
            raise AssertionError(f"{shape}: {error}") from error


@where_kernels_run
@pytest.mark.parametrize("version, tile", [(v, tile) for v in (3, 4) for tile in module.TILES[v]])
def test_every_shape_of_tile(rng, device, version, tile, monkeypatch):
    """With rows and columns that end within a tile, at its end, and one beyond it; with several splits of the sums."""
    for splits, K in (1, tile.M - 1), (2, tile.M), (5, 2 * tile.M + 1):
        monkeypatch.setattr(module, "choose_tile", lambda *_, splits=splits: (tile, splits))
        check(device, *draw(rng, (3, 2 * K, 8, 8, 2 * K, 1, 1, 1, 0, 1, 2), "float32"), version)
        check(device, *draw(rng, (7, 11, 9, 8, 40, 2, 3, 2, 1, 1, 1), "float32"), version)


def to_tf32(x):
    return ((x.view(np.uint32) + 0x1000) & 0xFFFFE000).view(np.float32)


@where_kernels_run
@every_version
def test_sums_of_3200_positive_terms(rng, device, version):
    """As many terms as conv2's input gradient has. Their errors cannot cancel, so a bias of the sums would show.

    Rounding a sum of n positive terms to nearest, n times, errs by about u * sqrt(n). Real tensor cores do not round
    but truncate: they cut each addend off at the last bit of the largest, so the sum is low by up to 2u per addend.
    """
    n, u = 128 * 5 * 5, 2.0**-24
    x, w = (rng.random(shape, dtype="float32") for shape in ((2, 128, 7, 9), (8, 128, 5, 5)))
    how = op.Geometry((1, 1), (0, 0), (1, 1), 1)
    (y,) = fetch(kernels.conv2d(*put(device, x, w), None, *how, version=version))
    factors = (to_tf32(x), to_tf32(w)) if version == 4 else (x, w)
    exact = op.correlate(*(a.astype("float64") for a in factors), None, how)
    error = (y - exact) / exact
    truncated = 2 * u * n * 5 / 4 if version == 4 and device.startswith("cuda") else 0  # 4 products and a sum at once
    assert error.max() <= 4 * u * np.sqrt(n)
    assert error.min() >= -4 * u * np.sqrt(n) - truncated


@every_version
@pytest.mark.parametrize("N, C, K, groups", [(70_000, 1, 2, 1), (1, 70_000, 70_000, 70_000), (1, 1, 5_000_000, 1)])
def test_grids_are_long_and_not_high(rng, version, N, C, K, groups, monkeypatch):
    """CUDA limits a grid's y and z to 65,535, and x to 2^31 - 1."""
    grids = []
    monkeypatch.setattr(module, "kernel", lambda *_, **__: lambda grid, block, args: grids.append(grid))
    x, w, b, dy, how = draw(rng, (N, C, 1, 1, K, 1, 1, 1, 0, 1, groups), "float32")
    three_passes(*put("emu:0", x, w, b, dy), how, version)
    assert len(grids) >= 3
    assert max(blocks for grid in grids for blocks in (1, *grid[1:])) < 2**16


@where_kernels_run
@every_version
def test_fused_bias_and_relu(rng, device, version):
    x, w, b, _, how = draw(rng, SHAPES["nothing square"], "float32")
    x[0, 0, 4, 7] = np.nan
    x, w, b = put(device, x, w, b)
    (plain,) = fetch(kernels.conv2d(x, w, None, *how, version=version))
    (biased,) = fetch(kernels.conv2d(x, w, b, *how, version=version))
    (clamped,) = fetch(kernels.conv2d(x, w, b, *how, relu=True, version=version))
    np.testing.assert_array_equal(biased, plain + fetch(b)[0][:, None, None])
    np.testing.assert_array_equal(clamped, np.maximum(biased, 0))
    assert np.isnan(clamped).any()
    assert (biased < 0).any()


@where_kernels_run
@every_version
@pytest.mark.parametrize("where", ["x", "dy"])
def test_infinity_reaches_only_what_depends_on_it(rng, device, version, where):
    """The zeros with which a tile is padded must not be multiplied by it, since 0 * inf is a NaN."""
    x, w, b, dy, how = draw(rng, (2, 3, 6, 5, 4, 3, 2, 1, 1, 1, 1), "float32")
    (x if where == "x" else dy)[1, 0, 3, 2] = np.inf  # in channel 0, which the tap with offset 0 reads
    y, dx, dw = fetch(three_passes(*put(device, x, w, b, dy), how, version))
    for ours, theirs in zip((y, dx, dw), reference(x, w, b, dy, how), strict=True):
        np.testing.assert_array_equal(np.isfinite(ours), np.isfinite(theirs))
        np.testing.assert_array_equal(ours == np.inf, theirs == np.inf)
        np.testing.assert_array_equal(ours == -np.inf, theirs == -np.inf)


@where_kernels_run
@every_version
@pytest.mark.parametrize("name, dtype", [
    ("nothing square", "float32"), ("several tiles each way", "float32"),
    ("stride and dilation share a factor", "float64"),
])
def test_same_bits_always(rng, device, version, name, dtype):
    if version == 4 and dtype == "float64":
        pytest.skip("TF32 has no doubles")
    *arrays, how = draw(rng, SHAPES[name], dtype)
    assert_same_bits_always(device, lambda *arrays: three_passes(*arrays, how, version), *arrays)


# ------------------------------------------------------------------------------------- which version


def product(x, w, dtype="float32", **how):
    """x * w, computed as a convolution of one pixel."""
    x, w = (np.full((1, 1, 1, 1), number, dtype) for number in (x, w))
    (y,) = fetch(kernels.conv2d(*put("emu:0", x, w), **how))
    return y.item()


@pytest.fixture
def tf32():
    backend.allow_tf32(True)
    yield
    backend.allow_tf32(False)


FINE = 1 + 3 * 2**-12  # between the TF32 numbers 1 and 1 + 2^-10, nearer to the second
COARSE = 1 + 2**-10


def test_float32_by_default():
    assert product(FINE, 1) == product(FINE, 1, version=3) == FINE


def test_tf32_if_allowed(tf32):
    assert product(FINE, 1) == product(1, FINE) == product(1, FINE, version=4) == COARSE
    assert product(FINE, 1, version=3) == FINE
    assert product(FINE, 1, dtype="float64") == FINE
    backend.allow_tf32(False)
    assert product(FINE, 1) == FINE


def test_older_gpus_have_no_tf32(tf32, monkeypatch):
    monkeypatch.setattr(module, "compute_capability", lambda xp, device: 75)
    assert product(FINE, 1) == FINE
    with pytest.raises(RuntimeError, match=r"conv2d: version 4 needs .* capability 8.0, emu:0 is older"):
        product(FINE, 1, version=4)


def test_older_gpus_skip_the_tests_of_version_4(monkeypatch):
    monkeypatch.setattr(module, "compute_capability", lambda xp, device: 75)
    skip_without_tensor_cores(3, "emu:0")
    with pytest.raises(pytest.skip.Exception, match=r"version 4 needs compute capability 8.0, emu:0 has 7.5"):
        skip_without_tensor_cores(4, "emu:0")


def test_versions_that_cannot_run():
    with pytest.raises(TypeError, match=r"conv2d: version 4 computes in TF32, .* the arrays are float64"):
        product(1, 1, dtype="float64", version=4)
    for version in (0, 5, "3", 1.5):
        with pytest.raises(ValueError, match="conv2d: version must be 1, 2, 3 or 4, or None"):
            product(1, 1, version=version)


def test_tiles_for_alexnet_on_132_multiprocessors():
    """For a batch of 128: rows of tiles that M fills, and several splits of a sum if there are few tiles."""

    def rows(M, columns, terms):
        return module.fastest(3, 4, M, columns, terms, 0, 132)[0].M

    assert rows(96, 3025, 363) == 96  # conv1
    assert rows(128, 2 * 729, 1200) == 128  # conv2, and its input gradient:
    assert rows(48, 2 * 729, 3200) == 48
    assert rows(384, 169, 2304) in (96, 128)  # conv3
    tile, splits = module.fastest(3, 4, 128, 2 * 10, 128 * 27 * 27, 256 * 48 * 25, 132)  # conv2's filters
    assert tile.M == 128
    assert splits * 20 > 132


# --------------------------------------------------------------------------------------- bad input


def zeros(*shape):
    return put("emu:0", np.zeros(shape, "float32"))[0]


INPUT_GRADIENT, FILTER_GRADIENT = kernels.conv2d_input_gradient, kernels.conv2d_filter_gradient


@pytest.mark.parametrize("call, message", [
    (lambda: kernels.conv2d(zeros(1, 3, 4, 4), zeros(2, 2, 1, 1)),
     r"conv2d: filters \(2, 2, 1, 1\) in 1 groups do not fit images \(1, 3, "),
    (lambda: kernels.conv2d(zeros(1, 4, 4, 4), zeros(3, 2, 1, 1), groups=2),
     r"conv2d: filters \(3, 2, 1, 1\) in 2 groups do not fit"),
    (lambda: kernels.conv2d(zeros(1, 1, 4, 4), zeros(1, 1, 5, 1)),
     r"conv2d: filters \(1, 1, 5, 1\) are larger than images \(1, 1, 4, 4\)"),
    (lambda: kernels.conv2d(zeros(1, 1, 1, 1), zeros(1, 1, 1, 1), padding=(30_000, 30_000)),
     r"conv2d: y \(1, 1, 60001, 60001\) has 3,"),
    (lambda: kernels.conv2d(zeros(1, 1, 4, 4), zeros(2, 1, 1, 1), zeros(1)),
     r"conv2d: bias must be \(2,\), got \(1,\)"),
    (lambda: INPUT_GRADIENT(zeros(1, 2, 3, 4), zeros(2, 1, 1, 1), (1, 1, 4, 4)),
     r"conv2d_input_gradient: dy must be \(1, 2, 4, 4\), got \(1, 2, 3, 4\)"),
    (lambda: INPUT_GRADIENT(zeros(1, 1, 1, 1), zeros(1, 1, 1, 1), (1, 1, 60_000, 60_000), (60_000, 60_000)),
     r"conv2d_input_gradient: x \(1, 1, 60000, 60000\) has 3,600,000,000 elements"),
    (lambda: FILTER_GRADIENT(zeros(2, 2, 4, 4), zeros(1, 1, 4, 4), (2, 1, 1, 1)),
     r"conv2d_filter_gradient: dy must be \(1, 2, 4, 4\), got \(2, 2, 4, 4\)"),
])
def test_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()
