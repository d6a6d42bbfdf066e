"""detect_anomaly: which operation's backward first made a number that is not finite, and which line called it."""

import inspect
import re
import threading
from pathlib import Path

import numpy as np
import pytest

import tinynet
from tinynet import functional as F
from tinynet import models, nn
from tinynet.autograd import Function

quiet = pytest.mark.filterwarnings("ignore::RuntimeWarning")


class Bad(Function):
    """y = x; its backward puts `value` into its cotangent."""

    arguments = ("input",)

    def __init__(self, value=np.nan):
        self.value = value

    def forward(self, x):
        return x.copy()

    def backward(self, dy):
        dx = dy.copy()
        dx.reshape(-1)[-1] = self.value
        return dx


def leaf(*values, device="cpu"):
    return tinynet.tensor(np.array(values), requires_grad=True, device=device)


def where(line):
    """This file and the line of the caller, `line` below it."""
    return re.escape(f"{Path(__file__)}:{inspect.currentframe().f_back.f_lineno + line}: ")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_first_operation_and_its_line_are_named(device, value):
    x = leaf(1.0, 2.0, device=device)
    with tinynet.detect_anomaly():
        expected = where(2)
        y = F.exp(x)
        y = Bad(value)(y * 2)
        loss = F.exp(F.sigmoid(y)).sum()
        with pytest.raises(RuntimeError) as raised:
            loss.backward()
    message = str(raised.value)
    line = rf"{expected}y = Bad\(value\)\(y \* 2\)"
    assert re.search(rf"^bad.backward: .* of input, .* not finite \(1 of 2\); called at {line}$", message)
    assert "\n" not in message


@quiet
def test_the_infinite_slope_of_a_root():
    """0 / 0 comes later in the walk; the root is where it began."""
    x = leaf(0.0, 4.0)
    with tinynet.detect_anomaly():
        loss = (x * F.sqrt(x * x)).sum()
        with pytest.raises(RuntimeError, match=r"^sqrt.backward: .* loss = \(x \* F.sqrt\(x \* x\)\)"):
            loss.backward()
    assert x.grad is None or np.isfinite(x.grad).all()


def test_the_line_is_that_of_the_users_module_or_of_the_model():
    class Net(nn.Module):
        def __init__(self):
            self.inner = nn.Sequential(nn.Linear(2, 2), nn.ReLU())

        def forward(self, x):
            return self.inner(x) * 1.0

    def run(model, x):
        with tinynet.detect_anomaly(), pytest.raises(RuntimeError) as raised:
            model(x).sum().backward()
        return str(raised.value)

    net = Net()
    net.inner[0].weight.data[0, 0] = np.inf  # its backward gives x a gradient that is not finite
    net.inner[0].bias.data[...] = 1
    x = tinynet.tensor(np.zeros((1, 2), np.float32) + 1, requires_grad=True)
    assert re.search(r"^linear.backward: the gradient of input, .* return self.inner\(x\) \* 1.0$", run(net, x))
    net = models.LeNet()  # which is in tinynet: so the line is the one that calls it
    net[0].weight.data[...] = np.inf
    with np.errstate(invalid="ignore"):
        message = run(net, tinynet.tensor(np.ones((1, 1, 28, 28), np.float32), requires_grad=True))
    assert re.search(rf"called at {re.escape(str(Path(__file__)))}:\d+: model\(x\).sum\(\).backward\(\)$", message)


def test_it_is_a_decorator_and_ends_with_its_block():
    @tinynet.detect_anomaly()
    def train(x):
        """Doc."""
        Bad()(x).backward([1.0])

    with pytest.raises(RuntimeError, match=r"^bad.backward.*Bad\(\)\(x\).backward"):
        train(leaf(1.0))
    assert train.__doc__ == "Doc."
    x = leaf(1.0)
    with tinynet.detect_anomaly():
        with tinynet.no_grad():
            y = Bad()(x)
            assert not y.requires_grad
        with tinynet.detect_anomaly():
            pass
        y = Bad()(x)
    y.backward()  # outside
    assert np.isnan(x.grad).all()


def test_forward_outside_backward_inside():
    y = Bad()(leaf(1.0))
    with tinynet.detect_anomaly(), pytest.raises(RuntimeError, match=r"run the forward pass in detect_anomaly too"):
        y.backward()


def test_what_came_in_is_not_blamed_on_the_operation():
    x = leaf(1.0, 2.0)
    with tinynet.detect_anomaly():
        with pytest.raises(RuntimeError, match=r"^backward: what reaches mul .* gradient= .* overflows"):
            (x * 2).backward([np.inf, 0.0])
        y = x * 1.0
        with np.errstate(over="ignore"), pytest.raises(RuntimeError, match=r"^backward: what reaches mul"):
            (y * 1e308 * 1.0 + y * 1e308 * 1.0).backward([1.0, 1.0])


def test_a_forward_pass_that_is_not_finite_is_not_its_business():
    """As in PyTorch. inf - inf is nan, with slopes 1 and -1."""
    x = leaf(np.inf)
    with tinynet.detect_anomaly(), np.errstate(invalid="ignore"):
        y = x - x * 1.0
        assert np.isnan(y.data).all()
        y.backward()
    assert x.grad.tolist() == [0]


def test_as_pytorch_names_it(torch):
    for op in ("sqrt", "log"):
        x, z = leaf(0.0), torch.zeros(1, requires_grad=True)
        with tinynet.detect_anomaly(), np.errstate(all="ignore"), pytest.raises(RuntimeError, match=f"^{op}.backward"):
            (getattr(F, op)(x * 0.0) * 0.0).backward()
        with pytest.warns(UserWarning), torch.autograd.detect_anomaly(), pytest.raises(RuntimeError, match=op.title()):
            (getattr(torch, op)(z * 0.0) * 0.0).backward()


def test_it_holds_for_its_own_thread_only():
    results = []

    def other():
        x = leaf(1.0)
        y = Bad()(x)
        y.backward()
        results.append((x.grad, y.function.called_at))

    with tinynet.detect_anomaly():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert np.isnan(results[0][0]).all()
    assert results[0][1] is None


def test_off_it_looks_at_nothing(monkeypatch):
    from tinynet import anomaly

    for name in ("line_of_call", "check"):
        monkeypatch.setattr(anomaly, name, lambda *args: pytest.fail("it is off"))
    x = leaf(1.0)
    Bad()(x).backward()
    assert np.isnan(x.grad).all()
