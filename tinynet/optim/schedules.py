"""Schedules: how the learning rate changes during training.

A schedule is a factor for each time t = 0, 1, 2, ..., the number of calls of step(): once per epoch, or
once per batch. At t = 0 the rate is initial rate * factor(0); step() multiplies it by
factor(t) / factor(t - 1).

Because schedules multiply, all groups keep the ratio of their rates (biases at twice the rate of the
weights stay so), and several schedules can drive one optimizer: LinearWarmup with StepLR, say.

state_dict() can be written as JSON; loaded into the same schedule of the same optimizer, it continues exactly.
"""

import math

from tinynet.optim.checks import choice, integer, number
from tinynet.optim.optimizer import Optimizer


class Schedule:
    """Base class: define factor(t). optimizer: the one whose rates to change. Raises TypeError if it is none."""

    def __init__(self, optimizer):
        self.optimizer, self.t = self.checked(optimizer), 0
        for group in optimizer.param_groups:
            group["lr"] *= self.factor(0)

    def checked(self, optimizer):
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(self).__name__}: optimizer must be an Optimizer, got {type(optimizer).__name__}")
        return optimizer

    def factor(self, t):
        """What the initial rate is multiplied by after t steps: a number. t: an int from 0 up."""
        raise NotImplementedError

    def step(self, metric=None):
        """Go on to the next t. metric: only ReduceLROnPlateau uses it; all take it, so that all are called alike."""
        self.t += 1
        before, now = self.factor(self.t - 1), self.factor(self.t)
        for group in self.optimizer.param_groups:
            if before == 0:  # 0 times anything stays 0
                group["lr"] = group["initial_lr"] * now
            else:
                group["lr"] *= now / before

    def state_dict(self):
        """{"t": steps taken, "rates": [each group's rate now]}; it can be written as JSON."""
        return {"t": self.t, "rates": [group["lr"] for group in self.optimizer.param_groups]}

    def load_state_dict(self, saved):
        """Raises ValueError, before anything changes, if it was saved by another schedule."""
        mine = self.state_dict()
        fits = isinstance(saved, dict) and saved.keys() == mine.keys() and isinstance(saved["rates"], list)
        if not fits or len(saved["rates"]) != len(mine["rates"]):
            raise ValueError(
                f"{type(self).__name__}: saved state {saved} does not fit, expected one like {mine}"
            )
        for name, value in saved.items():
            if name == "rates":
                for rate in value:
                    number(type(self).__name__, "a saved rate", rate)
            elif not (name == "best" and value is None):
                check = number if name == "best" else integer
                check(type(self).__name__, f"the saved {name}", value, -math.inf if name == "best" else 0)
        for name in saved.keys() - {"rates"}:
            setattr(self, name, saved[name])
        for group, rate in zip(self.optimizer.param_groups, saved["rates"], strict=True):
            group["lr"] = rate


class StepLR(Schedule):
    """Multiply the rate by gamma every step_size steps.

    optimizer: the one whose rates to change; all of its groups.
    step_size: in calls of step(), that is, in epochs or in batches; at least 1.
    gamma: the factor, 0 or more.

    Raises ValueError or TypeError for a number out of range or a wrong type.
    """

    def __init__(self, optimizer, step_size, gamma=0.1):
        self.step_size, self.gamma = integer("StepLR", "step_size", step_size, 1), number("StepLR", "gamma", gamma)
        super().__init__(optimizer)

    def factor(self, t):
        return self.gamma ** (t // self.step_size)


class MultiStepLR(Schedule):
    """Multiply the rate by gamma at each of the milestones.

    optimizer: the one whose rates to change; all of its groups.
    milestones: a list of integers, in calls of step(); one that comes twice counts twice.
    gamma: the factor, 0 or more.

    Raises ValueError or TypeError for a number out of range or a wrong type.
    """

    def __init__(self, optimizer, milestones, gamma=0.1):
        if not isinstance(milestones, list | tuple | range):
            raise TypeError(f"MultiStepLR: milestones must be a list of integers, got {milestones!r}")
        self.milestones = sorted(integer("MultiStepLR", "milestones", milestone) for milestone in milestones)
        self.gamma = number("MultiStepLR", "gamma", gamma)
        super().__init__(optimizer)

    def factor(self, t):
        return self.gamma ** sum(milestone <= t for milestone in self.milestones)


class CosineAnnealingLR(Schedule):
    """From the initial rate down to eta_min along half a cosine, in T_max steps, then up again.

    One descent of Loshchilov & Hutter (2017), equation 5, without its restarts.

    optimizer: the one whose rates to change; all of its groups.
    T_max: calls of step() from the top to the bottom, at least 1.
    eta_min: the first group's lowest rate; the others keep their ratio to it.

    Raises ValueError or TypeError for a number out of range or a wrong type.
    """

    def __init__(self, optimizer, T_max, eta_min=0.0):
        self.T_max = integer("CosineAnnealingLR", "T_max", T_max, 1)
        eta_min = number("CosineAnnealingLR", "eta_min", eta_min)
        lr = self.checked(optimizer).param_groups[0]["initial_lr"]
        if eta_min and not lr:
            raise ValueError(f"CosineAnnealingLR: eta_min={eta_min} needs an optimizer whose lr is above 0")
        self.floor = eta_min / lr if eta_min else 0.0
        super().__init__(optimizer)

    def factor(self, t):
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * t / self.T_max)) / 2


class LinearWarmup(Schedule):
    """A straight line from start_factor to end_factor, in total_iters steps: PyTorch's LinearLR.

    For a rate that would be too large while the weights are still random (Goyal et al., 2017, section 2.2).

    optimizer: the one whose rates to change; all of its groups.
    start_factor, end_factor: of the initial rate; above 0, and 0 or more; both at most 1.
    total_iters: the length of the line in calls of step(), at least 1; after it, the factor stays.

    Raises ValueError or TypeError for a number out of range or a wrong type.
    """

    def __init__(self, optimizer, start_factor=1 / 3, end_factor=1.0, total_iters=5):
        start_factor = number("LinearWarmup", "start_factor", start_factor, -math.inf)
        end_factor = number("LinearWarmup", "end_factor", end_factor, -math.inf)
        if not 0 < start_factor <= 1 or not 0 <= end_factor <= 1:
            raise ValueError(
                "LinearWarmup: start_factor must be above 0, end_factor 0 or more, both at most 1; "
                f"got {start_factor} and {end_factor}"
            )
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = integer("LinearWarmup", "total_iters", total_iters, 1)
        super().__init__(optimizer)

    def factor(self, t):
        done = min(t / self.total_iters, 1)
        return self.start_factor + (self.end_factor - self.start_factor) * done


class ReduceLROnPlateau(Schedule):
    """Multiply the rate by `factor` when a metric has not improved for more than `patience` steps.

    What was done by hand in 2012, with a factor of 0.1 (Krizhevsky et al., section 5).

    optimizer: the one whose rates to change; all of its groups.
    mode: "min" for an error, "max" for an accuracy.
    factor: 0 or more, below 1.
    patience: how many calls of step() in a row may bring no improvement.
    threshold: the least improvement that counts, in threshold_mode "rel" as a fraction of the best so far, in
        threshold_mode "abs" as a difference.
    cooldown: how many steps after a reduction are not counted as bad.
    min_lr: the first group's lowest rate; the others keep their ratio to it.
    eps: a reduction by no more than this is not made.

    Raises ValueError or TypeError for a number out of range or a wrong type. The names are PyTorch's.
    """

    def __init__(self, optimizer, mode="min", factor=0.1, patience=10, threshold=1e-4, threshold_mode="rel",
                 cooldown=0, min_lr=0.0, eps=1e-8):
        me = type(self).__name__
        self.mode = choice(me, "mode", mode, ("min", "max"))
        self.threshold_mode = choice(me, "threshold_mode", threshold_mode, ("rel", "abs"))
        self.reduction, self.threshold = number(me, "factor", factor, below=1), number(me, "threshold", threshold)
        self.patience, self.cooldown = integer(me, "patience", patience), integer(me, "cooldown", cooldown)
        self.min_lr, self.eps = number(me, "min_lr", min_lr), number(me, "eps", eps)
        self.best, self.bad, self.cooling = None, 0, 0
        self.optimizer, self.t = self.checked(optimizer), 0

    def step(self, metric=None):
        """metric: the number to watch, such as an epoch's validation error. Raises ValueError if it is None."""
        if metric is None:
            raise ValueError("ReduceLROnPlateau: step needs the metric that it watches, as in schedule.step(metric)")
        try:
            value = None if isinstance(metric, bool | str) else float(getattr(metric, "item", lambda: metric)())
        except (TypeError, ValueError):
            value = None
        if value is None:
            raise TypeError(f"ReduceLROnPlateau: metric must be one number, got {metric!r}")
        self.t, metric = self.t + 1, value
        if self.is_better(metric):
            self.best, self.bad = metric, 0
        else:
            self.bad += 1
        if self.cooling > 0:
            self.cooling, self.bad = self.cooling - 1, 0
        if self.bad > self.patience:
            self.reduce()
            self.cooling, self.bad = self.cooldown, 0

    def is_better(self, metric):
        if self.best is None:
            return math.isfinite(metric)
        margin = -self.threshold if self.mode == "min" else self.threshold
        bar = self.best * (1 + margin) if self.threshold_mode == "rel" else self.best + margin
        return metric < bar if self.mode == "min" else metric > bar

    def reduce(self):
        groups = self.optimizer.param_groups
        lr = groups[0]["lr"]
        new = max(lr * self.reduction, self.min_lr)
        if lr - new > self.eps:
            for group in groups:
                group["lr"] *= new / lr

    def state_dict(self):
        return super().state_dict() | {"best": self.best, "bad": self.bad, "cooling": self.cooling}
