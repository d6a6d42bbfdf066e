"""Stochastic gradient descent with momentum, in the two forms in use.

With g the gradient, w the weight, v its velocity, m the momentum, wd the weight decay:

    PyTorch's (SGD)                          Krizhevsky et al., 2012, section 5 (PaperSGD)

    v <- m * v + g + wd * w                  v <- m * v - lr * wd * w - lr * g
    w <- w - lr * v                          w <- w + v

As long as lr stays the same, both make the same steps: the right v is -lr times the left one. They
differ once lr changes. On the right each gradient entered v with the lr of its time, so a velocity
built up at the old lr keeps its size and decays by a factor of m per step; on the left all of v is
scaled by the new lr at once. After lr is divided by 10, with m = 0.9, the right side's next step is
nearly ten times the left's, and over some 20 steps (0.9^20 = 0.12) the difference dies away.
"""

import math

from tinynet import kernels
from tinynet.backend import on_gpu, update_elementwise
from tinynet.optim.checks import boolean, number
from tinynet.optim.optimizer import Optimizer, zeros_like


class SGD(Optimizer):
    """v <- m * v + (1 - dampening) * (g + wd * w);   w <- w - lr * v.

    params: a model's parameters(), of any shapes, or dicts {"params": ..., "lr": ...} with rates of their own.
    lr: the learning rate, what v is multiplied by.
    momentum: m, what is kept of the velocity v per step (Polyak, 1964); with 0 there is no v.
    dampening: how much less of the gradient enters v; the very first v is g + wd * w, not dampened.
    weight_decay: wd; times the weight w, it is added to the gradient g.
    nesterov: step by g + wd * w + m * v instead of v, which looks ahead to where v is about to lead (Sutskever et
        al., 2013). Needs momentum, and no dampening.

    Raises ValueError or TypeError for a number out of range, a wrong type, or no parameters. Arguments are PyTorch's.
    """

    def __init__(self, params, lr=1e-3, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False):
        defaults = dict(
            lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay, nesterov=nesterov
        )
        super().__init__(params, defaults)

    def check(self, group):
        super().check(group)
        group["momentum"] = number("SGD", "momentum", group["momentum"])
        group["dampening"] = number("SGD", "dampening", group["dampening"], least=-math.inf)
        group["nesterov"] = boolean("SGD", "nesterov", group["nesterov"])
        if group["nesterov"] and (group["momentum"] == 0 or group["dampening"] != 0):
            raise ValueError("SGD: nesterov needs momentum above 0 and dampening 0")

    def update(self, parameter, group, state):
        lr, m, wd, nesterov = (group[k] for k in ("lr", "momentum", "weight_decay", "nesterov"))
        dampening = group["dampening"] if "velocity" in state else 0
        if m and "velocity" not in state:
            state["velocity"] = zeros_like(parameter)
        w, g, v = parameter.data, parameter.grad, state.get("velocity")
        if on_gpu(w):
            kernels.sgd(w, g, v if m else None, lr, m, wd, dampening, nesterov)
            return

        def plain(w, g):
            w -= lr * (g + wd * w if wd else g)

        def with_velocity(w, g, v):
            if wd:
                g = g + wd * w
            v *= m
            v += (1 - dampening) * g if dampening else g
            w -= lr * (g + m * v if nesterov else v)

        update_elementwise(with_velocity, w, g, v) if m else update_elementwise(plain, w, g)


class PaperSGD(Optimizer):
    """v <- m * v - lr * wd * w - lr * g;   w <- w + v.   The learning rate is inside v.

    Krizhevsky et al., 2012, section 5; momentum and weight_decay are theirs by default, and their lr began at 0.01.

    params: a model's parameters(), of any shapes, or dicts {"params": ..., "lr": ...} with rates of their own.
    lr: the learning rate.
    momentum: m, what is kept of the velocity v per step.
    weight_decay: wd; times lr and the weight w, it is subtracted from v.

    Raises ValueError or TypeError for a number out of range, a wrong type, or no parameters.
    """

    def __init__(self, params, lr, momentum=0.9, weight_decay=0.0005):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    def check(self, group):
        super().check(group)
        group["momentum"] = number("PaperSGD", "momentum", group["momentum"])

    def update(self, parameter, group, state):
        lr, m, wd = group["lr"], group["momentum"], group["weight_decay"]
        if "velocity" not in state:
            state["velocity"] = zeros_like(parameter)

        w, g, v = parameter.data, parameter.grad, state["velocity"]
        if on_gpu(w):
            kernels.paper_sgd(w, g, v, lr, m, wd)
            return

        def body(w, g, v):
            v *= m
            v -= lr * (g + wd * w)
            w += v

        update_elementwise(body, w, g, v)
