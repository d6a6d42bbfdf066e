import math

import numpy as np
import pytest

import tinynet
from tinynet.nn import init

SHAPE = (60, 20, 3, 3)  # fan_in 180, fan_out 540


@pytest.fixture
def weight(dtype, device):
    tinynet.manual_seed(3)
    return tinynet.tensor(np.full(SHAPE, np.nan, dtype), device=device, requires_grad=True)


def check_uniform(weight, low, high):
    """All within the bounds, close to both, and spread evenly: the quarters are equally full."""
    values = weight.numpy().astype(float)
    width = high - low
    assert low - 1e-6 * width <= values.min() < low + 1e-3 * width
    assert high - 1e-3 * width < values.max() <= high + 1e-6 * width
    counts, _ = np.histogram(values, 4, (low - 1e-6 * width, high + 1e-6 * width))
    assert counts.sum() == values.size
    assert np.abs(counts - values.size / 4).max() < 4 * math.sqrt(values.size * 3 / 16)


def check_normal(weight, mean, std):
    """Mean, standard deviation, and how much lies within one standard deviation."""
    values = weight.numpy().astype(float)
    n = values.size
    assert abs(values.mean() - mean) < 4 * std / math.sqrt(n)
    assert abs(values.std() - std) < 4 * std / math.sqrt(2 * n)
    within = (np.abs(values - mean) < std).mean()
    assert abs(within - 0.6827) < 4 * math.sqrt(0.6827 * 0.3173 / n)


def test_uniform(weight):
    assert init.uniform_(weight, -2, 5) is weight
    check_uniform(weight, -2, 5)
    check_uniform(init.uniform_(weight), 0, 1)


def test_normal(weight):
    assert init.normal_(weight, 3, 0.2) is weight
    check_normal(weight, 3, 0.2)
    check_normal(init.normal_(weight), 0, 1)


def test_constants(weight):
    assert (init.constant_(weight, 0.5).numpy() == 0.5).all()
    assert (init.zeros_(weight).numpy() == 0).all()
    assert (init.ones_(weight).numpy() == 1).all()


def test_xavier(weight):
    std = math.sqrt(2 / (180 + 540))
    check_uniform(init.xavier_uniform_(weight), -math.sqrt(3) * std, math.sqrt(3) * std)
    check_uniform(init.xavier_uniform_(weight, gain=2), -math.sqrt(12) * std, math.sqrt(12) * std)
    check_normal(init.xavier_normal_(weight, gain=2), 0, 2 * std)


@pytest.mark.parametrize("mode, fan", [("fan_in", 180), ("fan_out", 540)])
def test_kaiming(weight, mode, fan):
    for a in (0, math.sqrt(5)):
        std = math.sqrt(2 / (1 + a**2) / fan)
        bound = math.sqrt(3) * std
        check_uniform(init.kaiming_uniform_(weight, a, mode), -bound, bound)
        check_normal(init.kaiming_normal_(weight, a, mode), 0, std)
    check_normal(init.kaiming_normal_(weight, 0, mode, "tanh"), 0, 5 / 3 / math.sqrt(fan))


@pytest.mark.parametrize("rule", ["xavier", "kaiming"])
@pytest.mark.parametrize("kind", ["uniform", "normal"])
@pytest.mark.parametrize("shape", [(300, 200), (60, 20, 3, 5)])
def test_spread_is_pytorchs(torch, rule, kind, shape):
    name = f"{rule}_{kind}_"
    torch.manual_seed(0)
    tinynet.manual_seed(0)
    theirs = getattr(torch.nn.init, name)(torch.empty(shape)).numpy()
    ours = getattr(init, name)(tinynet.tensor(np.empty(shape, np.float32))).numpy()
    assert abs(ours.std() / theirs.std() - 1) < 0.03
    assert abs(np.abs(ours).max() / np.abs(theirs).max() - 1) < (0.01 if kind == "uniform" else 0.3)


def test_gains_are_pytorchs(torch):
    for name in ("linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu"):
        assert math.isclose(init.calculate_gain(name), torch.nn.init.calculate_gain(name))
    theirs = torch.nn.init.calculate_gain("leaky_relu", 0.3)
    assert math.isclose(init.calculate_gain("leaky_relu", 0.3), theirs)


def test_the_same_seed_gives_the_same_bits(weight):
    values = []
    for _ in range(2):
        tinynet.manual_seed(5)
        values.append([f(weight).numpy().copy() for f in (init.normal_, init.kaiming_uniform_)])
    for first, second in zip(*values, strict=True):
        np.testing.assert_array_equal(first, second)
    assert (init.normal_(weight).numpy() != values[0][0]).any()


def test_dtype_and_memory_stay(weight):
    data, dtype = weight.data, weight.dtype
    for f in (init.normal_, init.uniform_, init.zeros_, init.kaiming_normal_):
        f(weight)
        assert weight.data is data
        assert weight.dtype == dtype


def test_a_number_without_axes():
    x = tinynet.tensor(np.array(np.nan))
    assert 0 <= init.uniform_(x).item() <= 1
    assert math.isfinite(init.normal_(x).item())


def test_bad_arguments_are_named():
    weight = tinynet.tensor(np.zeros((3, 4)))
    with pytest.raises(ValueError, match=r"at least two axes, got shape .3,."):
        init.xavier_uniform_(tinynet.tensor(np.zeros(3)))
    with pytest.raises(ValueError, match=r"kaiming: mode must be 'fan_in' or 'fan_out', got 'fan'"):
        init.kaiming_normal_(weight, mode="fan")
    message = r"calculate_gain: nonlinearity must be one of .* got 'gelu'"
    with pytest.raises(ValueError, match=message):
        init.kaiming_normal_(weight, nonlinearity="gelu")
