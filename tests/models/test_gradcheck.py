"""The gradient of the whole network, against slopes that are measured: what no test of a single op can show."""

import dataclasses

import numpy as np
import pytest

import tinynet
from tinynet import functional as F
from tinynet import models
from tinynet.models.recipes import RECIPES

ENTRIES = 12  # of every parameter
EPS = 1e-6


@pytest.fixture(scope="module")
def network():
    """A small AlexNet in float64, two images, their classes. LRN's alpha is large, or its share would not be seen."""
    tinynet.manual_seed(0)
    recipe = dataclasses.replace(RECIPES["he"], lrn=RECIPES["he"].lrn | dict(alpha=0.5))
    net = models.AlexNet(classes=5, width=0.05, image_size=63, recipe=recipe, dropout=0.0)
    for parameter in net.parameters():
        parameter.data = parameter.data.astype(np.float64)
    images = tinynet.tensor(np.random.default_rng(0).standard_normal((2, 3, 63, 63)), requires_grad=True)
    F.cross_entropy(net(images), np.array([1, 3])).backward()
    return net, images


def slopes(net, images, array, index):
    """The loss's slopes to the left and to the right, as array[index] changes."""
    kept, losses = array[index], []
    for step in (-EPS, 0, EPS):
        array[index] = kept + step
        with tinynet.no_grad():
            losses.append(F.cross_entropy(net(images), np.array([1, 3])).item())
    array[index] = kept
    return np.diff(losses) / EPS


def check(rng, net, images, x):
    """Random entries of x, but none at a kink: where a ReLU or the winner of a window changes within EPS."""
    checked = moved = 0
    for number in rng.permutation(x.size):
        index = np.unravel_index(number, x.shape)
        left, right = slopes(net, images, x.data, index)
        if abs(left - right) > 1e-4:
            continue
        assert x.grad[index] == pytest.approx((left + right) / 2, rel=1e-5, abs=1e-8), index
        checked, moved = checked + 1, moved + (abs(x.grad[index]) > 1e-5)
        if checked == ENTRIES:
            break
    assert checked == min(ENTRIES, x.size)
    assert moved > checked / 10


def test_every_parameter_and_the_images(rng, network):
    net, images = network
    for x in (*net.parameters(), images):
        check(rng, net, images, x)


def test_the_check_sees_a_wrong_term(rng, network, monkeypatch):
    """LRN's second path, left out, changes the gradient of what lies before it, and of nothing behind."""
    net, images = network
    before = {name: p.grad.copy() for name, p in net.named_parameters()}
    lrn = tinynet.ops.local_response_norm.LocalResponseNorm
    monkeypatch.setattr(lrn, "normalize_backward", lambda self, x, dy: dy * self.energy(x) ** -self.beta)
    net.zero_grad()
    F.cross_entropy(net(images), np.array([1, 3])).backward()
    with pytest.raises(AssertionError):
        check(rng, net, images, next(net.parameters()))
    for p, (name, grad) in zip(net.parameters(), before.items(), strict=True):
        assert np.allclose(p.grad, grad, rtol=1e-6) == (name[:5] not in ("conv1", "conv2")), name
        p.grad = grad
