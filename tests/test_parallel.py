import numpy as np
import pytest

import tinynet
from tinynet import nn
from tinynet.parallel import AllGather, Gather, Sharded, all_gather, broadcast, gather


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


class TwoColumns(nn.Module):
    def __init__(self):
        self.first = Sharded([nn.Linear(3, 2), nn.Linear(3, 2)])
        self.join = AllGather()
        self.second = Sharded([nn.Linear(4, 1), nn.Linear(4, 1)])
        self.end = Gather("cpu")

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
