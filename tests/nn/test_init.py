import math

import numpy as np
import pytest

import tinynet
from tinynet.nn import init


@pytest.fixture
def weight(dtype, device):  # fan_in 180, fan_out 540
    tinynet.manual_seed(3)
    return tinynet.tensor(np.full((60, 20, 3, 3), np.nan, dtype), device=device, requires_grad=True)


def check_uniform(weight, mean, std):
    """All values are within the bounds, some close to each, and the four quarters hold equally many."""
    values = weight.numpy().astype(float)
    low, high = mean - math.sqrt(3) * std, mean + math.sqrt(3) * std
    width = high - low
    assert low - 1e-6 * width <= values.min() < low + 1e-3 * width
    assert high - 1e-3 * width < values.max() <= high + 1e-6 * width
    counts, _ = np.histogram(values, 4, (low - 1e-6 * width, high + 1e-6 * width))
    assert counts.sum() == values.size
    assert np.abs(counts - values.size / 4).max() < 4 * math.sqrt(values.size * 3 / 16)


def check_normal(weight, mean, std):
    """Mean, standard deviation, and the fraction within one standard deviation."""
    values = weight.numpy().astype(float)
    n = values.size
    assert abs(values.mean() - mean) < 4 * std / math.sqrt(n)
    assert abs(values.std() - std) < 4 * std / math.sqrt(2 * n)
    assert abs((np.abs(values - mean) < std).mean() - 0.6827) < 4 * math.sqrt(0.6827 * 0.3173 / n)


def check_constant(weight, mean, std):
    assert (weight.numpy() == mean).all()


XAVIER_STD = math.sqrt(2 / (180 + 540))
FILLS = [  # how the weight is filled, and the mean and standard deviation to expect
    (check_uniform, lambda w: init.uniform_(w, -2, 5), 1.5, 7 / math.sqrt(12)),
    (check_uniform, init.uniform_, 0.5, 1 / math.sqrt(12)),
    (check_normal, lambda w: init.normal_(w, 3, 0.2), 3, 0.2),
    (check_normal, init.normal_, 0, 1),
    (check_constant, lambda w: init.constant_(w, 0.5), 0.5, 0),
    (check_constant, init.zeros_, 0, 0),
    (check_constant, init.ones_, 1, 0),
    (check_uniform, init.xavier_uniform_, 0, XAVIER_STD),
    (check_uniform, lambda w: init.xavier_uniform_(w, gain=2), 0, 2 * XAVIER_STD),
    (check_normal, lambda w: init.xavier_normal_(w, gain=2), 0, 2 * XAVIER_STD),
    (check_normal, init.kaiming_normal_, 0, math.sqrt(2 / 180)),
]


@pytest.mark.parametrize("check, fill, mean, std", FILLS)
def test_fills_in_place(weight, check, fill, mean, std):
    data, dtype = weight.data, weight.dtype
    assert fill(weight) is weight
    assert weight.data is data
    assert weight.dtype == dtype
    check(weight, mean, std)


@pytest.mark.parametrize("mode, fan", [("fan_in", 180), ("fan_out", 540)])
def test_kaiming(weight, mode, fan):
    for a in (0, math.sqrt(5)):
        std = math.sqrt(2 / (1 + a**2) / fan)
        check_uniform(init.kaiming_uniform_(weight, a, mode), 0, std)
        check_normal(init.kaiming_normal_(weight, a, mode), 0, std)
    check_normal(init.kaiming_normal_(weight, 0, mode, "tanh"), 0, 5 / 3 / math.sqrt(fan))


@pytest.mark.parametrize("name", ["xavier_uniform_", "xavier_normal_", "kaiming_uniform_", "kaiming_normal_"])
@pytest.mark.parametrize("shape", [(300, 200), (60, 20, 3, 5)])
def test_spread_is_pytorchs(torch, name, shape):
    torch.manual_seed(0)
    tinynet.manual_seed(0)
    theirs = getattr(torch.nn.init, name)(torch.empty(shape)).numpy()
    ours = getattr(init, name)(tinynet.tensor(np.empty(shape, np.float32))).numpy()
    assert abs(ours.std() / theirs.std() - 1) < 0.03
    assert abs(np.abs(ours).max() / np.abs(theirs).max() - 1) < (0.01 if "uniform" in name else 0.3)


def test_gains_are_pytorchs(torch):
    for args in ["linear"], ["conv2d"], ["sigmoid"], ["tanh"], ["relu"], ["leaky_relu"], ["leaky_relu", 0.3]:
        assert math.isclose(init.calculate_gain(*args), torch.nn.init.calculate_gain(*args))


def test_the_same_seed_gives_the_same_bits(weight):
    values = []
    for _ in range(2):
        tinynet.manual_seed(5)
        values.append([f(weight).numpy().copy() for f in (init.normal_, init.kaiming_uniform_)])
    np.testing.assert_array_equal(*values)
    assert (init.normal_(weight).numpy() != values[0][0]).any()


def test_a_number_without_axes():
    x = tinynet.tensor(np.array(np.nan))
    assert 0 <= init.uniform_(x).item() <= 1
    assert math.isfinite(init.normal_(x).item())


BAD = [
    (init.xavier_uniform_, (3,), {}, r"at least two axes, got shape .3,."),
    (init.kaiming_normal_, (3, 4), dict(mode="fan"), r"kaiming: mode must be 'fan_in' or 'fan_out', got 'fan'"),
    (init.kaiming_normal_, (3, 4), dict(nonlinearity="gelu"),
     r"calculate_gain: nonlinearity must be one of .* got 'gelu'"),
]


@pytest.mark.parametrize("fill, shape, how, message", BAD)
def test_bad_arguments_are_named(fill, shape, how, message):
    with pytest.raises(ValueError, match=message):
        fill(tinynet.tensor(np.zeros(shape)), **how)
