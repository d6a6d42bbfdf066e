"""Adam (Kingma & Ba, 2015): each weight's step is divided by the size of its recent gradients.

With g the gradient, plus weight_decay * w, and running means of it and of its square,

    mean   <- b1 * mean + (1 - b1) * g
    square <- b2 * square + (1 - b2) * g^2

    w <- w - lr * (mean / (1 - b1^t)) / (sqrt(square / (1 - b2^t)) + eps)

Both means start at 0 and are too small at first: after t steps the coefficients of all gradients so
far sum to (1 - b) * (1 + b + ... + b^(t-1)) = 1 - b^t, so dividing by that makes them true averages.
As long as a weight's gradient stays about the same, mean / sqrt(square) is about +-1 whatever the
gradient's size: lr is roughly how far the weight moves in one step.
"""

import math

from tinynet.backend import array_module, update_elementwise
from tinynet.optim.checks import number
from tinynet.optim.optimizer import Optimizer, zeros_like


class Adam(Optimizer):
    """Each weight's step is about lr, whatever the size of its gradients (Kingma & Ba, 2015, algorithm 1).

    params: a model's parameters(), of any shapes, or dicts {"params": ..., "lr": ...} with rates of their own.
    lr: about how far a weight moves in one step.
    betas: by how much the running means of the gradient and of its square decay per step, each from 0 to below 1.
    eps: is added to the root of the mean square, so that nothing is divided by 0.
    weight_decay: times the weight is added to the gradient, so it is scaled like it (AdamW's is not).

    Raises ValueError or TypeError for a number out of range, a wrong type, or no parameters. Arguments are PyTorch's,
    without amsgrad.
    """

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay))

    def check(self, group):
        super().check(group)
        if not isinstance(group["betas"], tuple | list) or len(group["betas"]) != 2:
            raise TypeError(f"Adam: betas must be a pair of numbers, got {group['betas']!r}")
        group["betas"] = tuple(number("Adam", "betas", beta, below=1) for beta in group["betas"])
        group["eps"] = number("Adam", "eps", group["eps"])

    def update(self, parameter, group, state):
        xp = array_module(parameter.data)
        lr, eps, wd, (b1, b2) = (group[k] for k in ("lr", "eps", "weight_decay", "betas"))
        if not state:
            state.update(t=0, mean=zeros_like(parameter), square=zeros_like(parameter))
        state["t"] += 1
        rate = lr / (1 - b1 ** state["t"])
        root = math.sqrt(1 - b2 ** state["t"])

        def body(w, g, mean, square):
            if wd:
                g = g + wd * w
            mean *= b1
            mean += (1 - b1) * g
            square *= b2
            square += (1 - b2) * (g * g)
            step = xp.sqrt(square)
            step /= root
            step += eps
            w -= rate * mean / step

        update_elementwise(body, parameter.data, parameter.grad, state["mean"], state["square"])
