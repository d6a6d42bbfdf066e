"""record: what passed through the graph, as the engine computed it."""

import numpy as np

import tinynet
from tinynet import functional as F
from tinynet import nn, optim


def leaf(*values, device="cpu"):
    return tinynet.tensor(np.array(values), requires_grad=True, device=device)


def test_two_roads_that_meet_are_both_recorded(device):
    x = leaf(3.0, device=device)
    with tinynet.record() as recording:
        y = x * x
        loss = (y + x).sum()
        loss.backward()
    assert [node.function.name for node in recording.forward] == ["mul", "add", "sum"]
    assert [node.function.name for node in recording.backward] == ["sum", "add", "mul"]
    assert [node.number for node in recording.forward] == [node.backward_number for node in recording.backward]
    value = recording.value(x)
    assert [(node.function.name, number, dx.item()) for node, number, dx in value.received] == \
        [("add", 1, 1.0), ("mul", 0, 3.0), ("mul", 1, 3.0)]  # fmt: skip
    assert value.cotangent.item() == x.grad.item() == 7
    assert recording.value(y).cotangent.item() == 1
    assert recording.value(loss).cotangent.item() == 1
    assert recording.value(y).node is recording.forward[0] and recording.value(x).node is None
    assert [(node.function.name, number) for node, number in recording.value(x).users] == \
        [("mul", 0), ("mul", 1), ("add", 1)]  # fmt: skip


def test_what_an_optimizer_and_a_second_backward_change_later_is_recorded_as_it_was(device):
    w = leaf(1.0, 2.0, device=device)
    with tinynet.record() as recording:
        (w * w).sum().backward()
    (w * w).sum().backward()  # adds to w.grad in place
    optim.SGD([w], lr=1.0).step()
    value = recording.value(w)
    np.testing.assert_array_equal(tinynet.backend.to_device(value.data, "cpu"), [1, 2])
    np.testing.assert_array_equal(tinynet.backend.to_device(value.cotangent, "cpu"), [2, 4])


def test_the_line_of_the_call_is_kept_and_nothing_outside_the_block():
    x = leaf(1.0)
    before = F.exp(x)
    with tinynet.record() as recording:
        y = before * 2
        with tinynet.no_grad():
            F.exp(y)
        y.sum().backward()
    F.exp(x)
    assert [node.function.name for node in recording.forward] == ["mul", "exp", "sum"]
    assert recording.forward[0].called_at[0] == __file__
    assert recording.value(before).node is None and recording.value(before).cotangent.item() == 2
    assert [node.function.name for node in recording.backward] == ["sum", "mul"]


def test_a_recorded_step_computes_the_same():
    def gradients(context):
        tinynet.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(18, 3))
        x = np.random.default_rng(0).standard_normal((2, 1, 5, 5)).astype("float32")
        with context:
            F.cross_entropy(model(tinynet.tensor(x)), np.array([0, 2])).backward()
        return [p.grad for p in model.parameters()]

    for one, other in zip(gradients(tinynet.record()), gradients(tinynet.detect_anomaly()), strict=True):
        np.testing.assert_array_equal(one, other)
