"""Graphs with values and cotangents, for autograd.md and local_response_norm.md."""

import numpy as np

import tinynet
from drawing import BACKWARD, FORWARD, INK, arrow, box, canvas, number, write
from tinynet import functional as F


def watched(tensor):
    """The same tensor plus a 0 whose .grad will be the cotangent, which results do not keep."""
    zero = tinynet.tensor(np.zeros(tensor.shape, tensor.dtype), requires_grad=True)
    return tensor + zero, zero


def node(axes, x, y, name, value, cotangent, width=19):
    box(axes, x, y, width, 13)
    write(axes, x, y - 3, f"{name} = {number(value)}", FORWARD, weight="bold")
    write(axes, x, y + 3, f"d{name} = {number(cotangent)}", BACKWARD, weight="bold")


def operation(axes, x, y, name):
    axes.plot(x, y, "o", ms=21, mfc="#f3f3f3", mec=INK, mew=1.2, zorder=2)
    write(axes, x, y, name, size=11, zorder=3)


def there_and_back(axes, start, end, term="", at=(0, 0)):
    """An arrow from start to end, one beside it back, and what comes back along it, at a distance from their middle."""
    (x0, y0), (x1, y1) = start, end
    across = np.array([y0 - y1, x1 - x0]) / np.hypot(x1 - x0, y1 - y0) * 1.2
    arrow(axes, start - across, end - across, FORWARD)
    arrow(axes, end + across, start + across, BACKWARD)
    write(axes, (x0 + x1) / 2 + at[0], (y0 + y1) / 2 + at[1], term, BACKWARD)


def legend(axes, y):
    arrow(axes, (9, y), (16, y), FORWARD)
    write(axes, 18, y, "forward: values", FORWARD, ha="left")
    arrow(axes, (60, y), (53, y), BACKWARD)
    write(axes, 62, y, "backward: cotangents", BACKWARD, ha="left")


def graph():
    """y = x * w and L = y * y: each multiplication sends back what arrives, times the other factor."""
    x, w = (tinynet.tensor(v, requires_grad=True) for v in (2.0, 3.0))
    y, dy = watched(x * w)
    loss = y * y
    loss.backward()
    figure, axes = canvas(53)
    node(axes, 11, 9, "x", x.item(), x.grad)
    node(axes, 11, 37, "w", w.item(), w.grad)
    operation(axes, 32, 23, "×")
    node(axes, 52, 23, "y", y.item(), dy.grad)
    operation(axes, 72, 23, "×")
    node(axes, 90, 23, "L", loss.item(), 1)
    there_and_back(axes, (20.6, 14), (29.4, 20.6), times(dy.grad, w), (5.5, -5))
    there_and_back(axes, (20.6, 32), (29.4, 25.4), times(dy.grad, x), (5.5, 5))
    there_and_back(axes, (35.2, 23), (42.4, 23))
    there_and_back(axes, (61.6, 19.3), (69.2, 21), times(1, y), (0.5, -6))
    there_and_back(axes, (61.6, 26.7), (69.2, 25), times(1, y), (0.5, 6))
    there_and_back(axes, (75.2, 23), (80.4, 23))
    legend(axes, 50)
    return figure


def times(cotangent, factor):
    return f"{number(cotangent)} · {number(factor.item())}"


def two_roads():
    """L = a * b with b = a + 1: what comes back along two roads to a adds up."""
    x = tinynet.tensor(3.0, requires_grad=True)
    a, da = watched(2 * x)
    b, db = watched(a + 1)
    loss = a * b
    loss.backward()
    figure, axes = canvas(57)
    node(axes, 10.5, 37, "x", x.item(), x.grad, 18)
    operation(axes, 27.5, 37, "· 2")
    node(axes, 44.5, 37, "a", a.item(), da.grad, 18)
    operation(axes, 44.5, 18, "+ 1")
    node(axes, 72, 10, "b", b.item(), db.grad, 18)
    operation(axes, 72, 37, "×")
    node(axes, 90, 37, "L", loss.item(), 1, 18)
    there_and_back(axes, (19.6, 37), (24.4, 37))
    there_and_back(axes, (30.6, 37), (35.4, 37))
    there_and_back(axes, (44.5, 30.4), (44.5, 21.2), number(db.grad), (4, 0))
    there_and_back(axes, (47.6, 17.2), (62.8, 12.5))
    there_and_back(axes, (72, 16.6), (72, 33.8), times(1, a), (7, 0))
    there_and_back(axes, (53.6, 37), (68.8, 37), times(1, b), (0, 4.5))
    there_and_back(axes, (75.2, 37), (80.8, 37))
    write(axes, 44.5, 47, f"{number(b.item())} + {number(db.grad)} = {number(da.grad)}", BACKWARD)
    legend(axes, 54)
    return figure


def lrn_roads():
    """LRN's example by hand: the loss depends on y_1 only, and yet all three inputs get a cotangent."""
    x = tinynet.tensor(np.array([1.0, 2, -1]).reshape(1, 3, 1, 1), requires_grad=True)
    y, dy = watched(F.local_response_norm(x, size=3, alpha=3.0, beta=1.0, k=4.0)[0, 1, 0, 0])
    y.backward()
    values, slopes = x.numpy().ravel(), x.grad.ravel()
    roads = [tinynet.tensor(v, requires_grad=True) for v in (values[1], *values)]  # the direct one, those through s_1
    s, ds = watched(4 + sum(v * v for v in roads[1:]))
    (roads[0] / s).backward()
    figure, axes = canvas(67)
    for i, row in {1: 9, 0: 29, 2: 49}.items():
        node(axes, 14, row, f"x{'₀₁₂'[i]}", values[i], slopes[i], 24)
        start, end = (26.4, row + (4 if i == 1 else 0)), (45.2, 39 + {0: 0, 1: -4, 2: 4}[i])
        there_and_back(axes, start, end, number(roads[2].grad) if i == 1 else "", (6.5, -3.5))
    node(axes, 58, 39, "s₁", s.item(), ds.grad, 25)
    node(axes, 88, 9, "y₁", y.item(), dy.grad, 21)
    there_and_back(axes, (26.4, 6), (77, 6), number(roads[0].grad), (0, 4.5))
    there_and_back(axes, (66, 32), (80, 16))
    legend(axes, 64)
    return figure


FIGURES = {"graph": graph, "two-roads": two_roads, "lrn-roads": lrn_roads}
