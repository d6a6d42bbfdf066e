"""An array that an operation saved and that was changed before backward: an error as in PyTorch, no wrong gradient."""

import numpy as np
import pytest

import tinynet
from tinynet import functional as F
from tinynet import nn, optim


def two_losses(op, w, x):
    """Two losses of one parameter, each from a forward pass of its own, and x the other factor."""
    return op(x, w).sum(), op(x, w).sum()


def ones(*shape, device="cpu", requires_grad=True):
    return tinynet.tensor(np.ones(shape), requires_grad, device=device)


def step(parameter):
    optim.SGD([parameter], lr=0.1).step()


CHANGES = {
    "SGD": lambda w: optim.SGD([w], 0.1).step(),
    "SGD with momentum": lambda w: optim.SGD([w], 0.1, 0.9).step(),
    "PaperSGD": lambda w: optim.PaperSGD([w], 0.1).step(),
    "Adam": lambda w: optim.Adam([w], 0.1).step(),
    "normal_": nn.init.normal_,
    "zeros_": nn.init.zeros_,
    "kaiming_uniform_": nn.init.kaiming_uniform_,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_weight_changed_between_forward_and_backward_is_an_error(device, change):
    w, x = ones(3, 4, device=device), ones(2, 4, device=device, requires_grad=True)
    first, second = two_losses(F.linear, w, x)
    first.backward()
    before = x.grad.copy()
    change(w)
    with pytest.raises(RuntimeError, match=r"^linear.backward: weight was changed in place .* forward pass again$"):
        second.backward()
    assert (tinynet.Tensor(x.grad).numpy() == tinynet.Tensor(before).numpy()).all(), "nothing was added"
    F.linear(x, w).sum().backward()  # a new forward pass saves what is there now


def test_load_state_dict_and_to_are_changes_too():
    for change, message in [
        (lambda layer: layer.load_state_dict(nn.Linear(4, 3).state_dict()), "linear.backward: weight was changed"),
        (lambda layer: layer.to("emu:0"), "linear.backward: weight was moved from cpu to emu:0 after the forward pass"),
    ]:
        layer = nn.Linear(4, 3)
        loss = layer(tinynet.tensor(np.ones((2, 4), np.float32), requires_grad=True)).sum()
        change(layer)
        with pytest.raises(RuntimeError, match=message):
            loss.backward()
    loss = (layer.bias * 1).sum()  # a parameter whose array nobody saves
    layer.to("cpu")
    with pytest.raises(RuntimeError, match=r"mul.backward: input was moved from emu:0 to cpu"):
        loss.backward()
    assert layer.to("cpu") is layer
    loss = layer(tinynet.tensor(np.ones((2, 4), np.float32))).sum()
    layer.to("cpu")  # it is there already
    loss.backward()


VIEWS = [
    (lambda x, w: x @ w.T, "matmul.backward: other was changed"),
    (lambda x, w: F.linear(x, w.reshape(2, 6).reshape(3, 4)), "linear.backward: weight was changed"),
    (lambda x, w: x[:1] * w[:1], "mul.backward: other was changed"),
    (lambda x, w: x * w.detach()[0], r"mul.backward: an array of shape \(4,\) that it saved was changed"),
    (lambda x, w: F.relu(F.linear(x, w)), "linear.backward: weight was changed"),
]


@pytest.mark.parametrize("op, message", VIEWS)
def test_a_view_of_what_was_changed_counts(op, message):
    w, x = ones(3, 4), ones(2, 4)
    loss = op(x, w).sum()
    w.grad = np.ones((3, 4))
    step(w)
    with pytest.raises(RuntimeError, match=message):
        loss.backward()


def test_a_result_that_was_saved_and_changed():
    x = ones(3)
    y = F.exp(x)
    nn.init.zeros_(y)
    with pytest.raises(RuntimeError, match=r"exp.backward: an array of shape \(3,\) that it saved was changed"):
        y.sum().backward()


def test_what_was_not_saved_may_change():
    """PyTorch's rule: only what backward reads must stay."""
    w, b, x, frozen = ones(3, 4), ones(3), ones(2, 4, requires_grad=False), ones(3)
    loss = ((x @ w.T + b) * 2).sum() + F.relu(w).sum() + (frozen * frozen).sum()
    b.grad = np.ones(3)
    step(b)
    nn.init.zeros_(w)  # matmul saved x only, since x needs no gradient, and relu its output
    loss.backward()
    assert w.grad.tolist() == [[5] * 4] * 3
    assert b.grad.tolist() == [5] * 3
    with tinynet.no_grad():
        F.linear(x, w)


def test_as_pytorch_raises(torch):
    for op, changed, raises in [
        (lambda x, w: x * w, "w", True),
        (lambda x, w: x + w, "w", False),
        (lambda x, w: (x * w).exp(), "x", True),
        (lambda x, w: x.detach() * w, "w", False),
        (lambda x, w: x.detach() * w, "x", True),  # the detached tensor is a view
        (lambda x, w: (x * x) + w, "w", False),
    ]:
        outcomes = []
        for make in (ones, lambda n: torch.ones(n, requires_grad=True)):
            leaves = {"x": make(3), "w": make(3)}
            loss = op(**leaves).sum()
            p = leaves[changed]
            if isinstance(p, tinynet.Tensor):
                nn.init.constant_(p, 5.0)
            else:
                torch.nn.init.constant_(p, 5.0)
            try:
                loss.backward()
                outcomes.append(False)
            except RuntimeError:
                outcomes.append(True)
        assert outcomes == [raises, raises]


def test_an_update_as_soon_as_a_gradient_is_complete_is_no_error():
    """No backward that is still to run needs that parameter."""
    layers = [nn.Linear(4, 4) for _ in range(3)]
    optimizers = {p: optim.SGD([p], 0.1) for layer in layers for p in layer.parameters()}
    y = tinynet.tensor(np.ones((2, 4), np.float32))
    for layer in layers:
        y = F.relu(layer(y))
    y.sum().backward(on_grad_ready=lambda p: optimizers[p].step())
    assert all(p.grad is not None for p in optimizers)


def test_two_models_in_turn():
    a, b, x = nn.Linear(3, 2), nn.Linear(3, 2), tinynet.tensor(np.ones((1, 3), np.float32))
    first, second = a(x).sum(), b(x).sum()
    first.backward()
    optim.SGD(a.parameters(), 0.1).step()
    second.backward()
    assert b.weight.grad is not None


def test_an_address_that_is_used_again_is_another_array():
    for _ in range(200):
        w = ones(3)
        nn.init.ones_(w)
        del w
        (ones(3) * ones(3)).sum().backward()
