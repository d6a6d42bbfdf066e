import numpy as np
import pytest

import tinynet
from tinynet import functional as F
from tinynet import nn, parallel
from tinynet.parallel import (
    AllGatherChannels,
    GatherChannels,
    Sharded,
    all_gather,
    broadcast,
    gather,
    halo,
    reduce,
    scatter,
)


def tensors(rng, *shapes):
    return [tinynet.tensor(rng.standard_normal(shape), requires_grad=True) for shape in shapes]


def assert_transpose(forward, inputs, rng):
    """For a linear map A and random x, v: <v, A x> = <A^T v, x>. backward must be A^T."""
    outputs = forward(*inputs)
    outputs = outputs if isinstance(outputs, list) else [outputs]
    vs = [rng.standard_normal(y.shape) for y in outputs]
    left = sum(float((v * y.numpy()).sum()) for v, y in zip(vs, outputs, strict=True))
    sum((y * tinynet.tensor(v)).sum() for v, y in zip(vs, outputs, strict=True)).backward()
    right = sum(float((x.grad * x.numpy()).sum()) for x in inputs)
    assert np.isclose(left, right, rtol=1e-12)


def add(tensors):
    return sum(tensors[1:], tensors[0])


def test_backward_is_the_transpose(rng):
    assert_transpose(lambda x: broadcast(x, ["cpu", "cpu", "cpu"]), tensors(rng, (2, 3)), rng)
    assert_transpose(lambda *xs: all_gather(xs), tensors(rng, (2, 3, 4), (2, 1, 4)), rng)
    assert_transpose(lambda *xs: all_gather(xs, axis=2), tensors(rng, (2, 3, 4), (2, 3, 2)), rng)
    assert_transpose(lambda *xs: gather(xs, "cpu"), tensors(rng, (2, 3), (2, 2), (2, 1)), rng)
    assert_transpose(lambda x: scatter(x, ["cpu"] * 3), tensors(rng, (2, 6, 2)), rng)
    assert_transpose(lambda x: scatter(x, ["cpu"] * 2, axis=0), tensors(rng, (2, 3)), rng)
    assert_transpose(lambda *xs: reduce(xs, "cpu"), tensors(rng, (2, 3), (2, 3), (2, 3)), rng)
    for width in (0, 1, 2):
        pieces = tensors(rng, (2, 3, 2), (2, 2, 2), (2, 4, 2))
        assert_transpose(lambda *xs, width=width: halo(xs, width), pieces, rng)
    assert_transpose(lambda *xs: halo(xs, 1, axis=0), tensors(rng, (1, 3), (2, 3)), rng)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_on_emulated_devices(rng, n):
    """Each output lies where it should, and so does each gradient."""
    devices = [f"emu:{d}" for d in range(n)]
    x = tinynet.tensor(rng.standard_normal((2, 2 * n, 3)), requires_grad=True, device="emu:0")
    parts = scatter(x, devices)
    np.testing.assert_array_equal(np.concatenate([p.numpy() for p in parts], 1), x.numpy())
    wholes, wide = all_gather(parts), halo(parts, 1)
    total = reduce(broadcast(reduce([2.0 * w for w in wholes], devices[-1]), devices), devices[0])
    for d, device in enumerate(devices):
        assert parts[d].device == wholes[d].device == wide[d].device == device
        np.testing.assert_array_equal(wholes[d].numpy(), x.numpy())
        np.testing.assert_array_equal(wide[d].numpy(), x.numpy()[:, max(2 * d - 1, 0) : 2 * d + 3])
    np.testing.assert_allclose(total.numpy(), 2 * n * n * x.numpy())
    (total.sum() + gather(wide, devices[0]).sum()).backward()
    lent = np.zeros(2 * n)
    lent[1:-1] = 1  # the two outermost channels have no neighbor to lend them to
    assert tinynet.Tensor(x.grad).device == "emu:0"
    np.testing.assert_allclose(tinynet.Tensor(x.grad).numpy(), np.ones((2, 1, 3)) * (2 * n * n + 1 + lent)[:, None])


@pytest.mark.parametrize("together", [1, 2, 3])
def test_norm_with_channels_of_the_neighbors(rng, together):
    """alpha so large that a window which is cut off where it should not be shows."""
    xs = tensors(rng, *[(2, 4, 3, 3)] * 6)
    whole = tinynet.tensor(np.concatenate([x.numpy() for x in xs], 1), requires_grad=True)
    expected = F.local_response_norm(whole, 5, 0.5, 0.75, 1.0, groups=6 // together)
    layer = parallel.ShardedNorm([nn.LocalResponseNorm(5, 0.5, 0.75, 1.0) for _ in xs], together)
    y = gather(layer(xs), "cpu")
    np.testing.assert_allclose(y.numpy(), expected.numpy(), rtol=1e-12)
    v = rng.standard_normal(y.shape)
    y.backward(v)
    expected.backward(v)
    np.testing.assert_allclose(np.concatenate([x.grad for x in xs], 1), whole.grad, rtol=1e-10)


def test_dropout_throws_the_coins_of_one_device(rng):
    x = tinynet.tensor(1 + rng.random((5, 12, 2)), requires_grad=True)
    ys, grads = [], []
    for n in (1, 2, 4):
        tinynet.manual_seed(1)
        layer, x.grad = parallel.ShardedDropout([nn.Dropout(0.4)] * n), None
        y = gather(layer(scatter(x, ["cpu"] * n)), "cpu")
        y.sum().backward()
        ys.append(y.numpy())
        grads.append(x.grad)
        np.testing.assert_array_equal(layer.eval()([x] * n)[-1].numpy(), x.numpy())
    tinynet.manual_seed(1)
    for y, grad in zip(ys, grads, strict=True):
        np.testing.assert_array_equal(y, ys[0])
        np.testing.assert_array_equal(grad, grads[0])
    np.testing.assert_array_equal(ys[0], F.dropout(x, 0.4).numpy())


def test_gradcheck(rng):
    def mix(a, b):
        left, right = all_gather([a, b])
        return gather([left * left, right * a], "cpu") * 2.0

    assert tinynet.gradcheck(mix, tensors(rng, (2, 2), (2, 0))[:1] + tensors(rng, (2, 0)))
    assert tinynet.gradcheck(lambda a, b: all_gather([a, b])[1] * all_gather([b, a])[0], tensors(rng, (2, 2), (2, 3)))


def test_values(rng):
    a, b = tensors(rng, (2, 3), (2, 1))
    whole = np.concatenate([a.numpy(), b.numpy()], 1)
    for y in [*all_gather([a, b]), gather([a, b], "cpu")]:
        np.testing.assert_array_equal(y.numpy(), whole)
    for y in broadcast(a, ["cpu", "cpu"]):
        np.testing.assert_array_equal(y.numpy(), a.numpy())


def test_bad_shapes_are_named(rng):
    with pytest.raises(ValueError, match=r"all_gather: pieces may differ along axis 1 only, got shapes"):
        all_gather(tensors(rng, (2, 3), (3, 3)))
    with pytest.raises(ValueError, match=r"gather: pieces may differ along axis 3 only"):
        gather(tensors(rng, (2, 3), (2, 3)), "cpu", axis=3)
    with pytest.raises(ValueError, match=r"scatter: 2 devices cannot share axis 1 of shape \(2, 3\) evenly"):
        scatter(*tensors(rng, (2, 3)), ["cpu", "cpu"])
    with pytest.raises(ValueError, match=r"reduce: all must have one shape, got shapes"):
        reduce(tensors(rng, (2, 3), (2, 1)), "cpu")
    with pytest.raises(ValueError, match=r"halo: width 2 is more than a piece has along axis 1, \[3, 1\]"):
        halo(tensors(rng, (2, 3), (2, 1)), 2)
    for axis in (-1, 2):
        with pytest.raises(ValueError, match=f"scatter: 2 devices cannot share axis {axis} of shape"):
            scatter(*tensors(rng, (2, 4)), ["cpu", "cpu"], axis)
        with pytest.raises(ValueError, match=f"gather: pieces may differ along axis {axis} only"):
            gather(tensors(rng, (2, 4), (2, 4)), "cpu", axis)


def test_mixed_kinds_of_devices_are_refused(rng):
    (x,), y = tensors(rng, (2, 4)), tinynet.tensor(np.ones((2, 4)), device="emu:1")
    calls = {
        "broadcast": lambda: broadcast(x, ["cpu", "emu:1"]),
        "scatter": lambda: scatter(x, ["cpu", "emu:1"]),
        "reduce": lambda: reduce([x, y], "cpu"),
        "gather": lambda: gather([x, y], "cpu"),
        "all_gather": lambda: all_gather([x, y]),
        "halo": lambda: halo([x, y], 1),
    }
    for name, call in calls.items():
        with pytest.raises(ValueError, match=f"^{name}: devices must be of one kind, got cpu and emu:1$"):
            call()
    with pytest.raises(ValueError, match=r"broadcast: devices must be of one kind, got emu:1 and cuda:0"):
        broadcast(y, ["emu:1", "cuda:0"])
    with pytest.raises(ValueError, match=r"device must be 'cpu'"):
        broadcast(x, ["gpu"])


class TwoColumns(nn.Module):
    def __init__(self):
        self.first = Sharded([nn.Linear(3, 2), nn.Linear(3, 2)])
        self.join = AllGatherChannels()
        self.second = Sharded([nn.Linear(4, 1), nn.Linear(4, 1)])
        self.end = GatherChannels("cpu")

    def forward(self, x):
        return self.end(self.second(self.join(self.first(broadcast(x, ["cpu", "cpu"])))))[0]


def test_a_sharded_layer_is_saved_as_a_whole(rng):
    two, one = TwoColumns(), nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    arrays = two.state_dict()
    assert {name: a.shape for name, a in arrays.items()} == {
        "first.weight": (4, 3), "first.bias": (4,), "second.weight": (2, 4), "second.bias": (2,),
    }
    renamed = dict(zip(one.state_dict(), arrays.values(), strict=True))
    one.load_state_dict(renamed)
    x = tinynet.tensor(rng.standard_normal((5, 3)).astype("float32"))
    np.testing.assert_allclose(two(x).numpy(), one(x).numpy(), rtol=1e-6)
    two.load_state_dict({name: 2 * a for name, a in arrays.items()})
    np.testing.assert_array_equal(two.first.parts[1].weight.numpy(), 2 * arrays["first.weight"][2:])
