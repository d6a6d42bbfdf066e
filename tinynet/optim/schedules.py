"""Schedules: how the learning rate changes during training.

A schedule is a factor for each time t = 0, 1, 2, ..., the number of calls of step(): once per epoch, or
once per batch. At t = 0 the rate is initial rate * factor(0); step() multiplies it by
factor(t) / factor(t - 1).

Because schedules multiply, all groups keep the ratio of their rates (biases at twice the rate of the
weights stay so), and several schedules can drive one optimizer: LinearWarmup with StepLR, say.

state_dict() can be written as JSON; loaded into the same schedule of the same optimizer, it continues exactly.
"""

import math


class Schedule:
    """Base class: define factor(t)."""

    def __init__(self, optimizer):
        self.optimizer, self.t = optimizer, 0
        for group in optimizer.param_groups:
            group["lr"] *= self.factor(0)

    def factor(self, t):
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
        return {"t": self.t, "rates": [group["lr"] for group in self.optimizer.param_groups]}

    def load_state_dict(self, saved):
        """Raises ValueError, before anything changes, if it was saved by another schedule."""
        mine = self.state_dict()
        if saved.keys() != mine.keys() or len(saved["rates"]) != len(mine["rates"]):
            raise ValueError(
                f"{type(self).__name__}: saved state {saved} does not fit, expected one like {mine}"
            )
        for name in saved.keys() - {"rates"}:
            setattr(self, name, saved[name])
        for group, rate in zip(self.optimizer.param_groups, saved["rates"], strict=True):
            group["lr"] = rate


class StepLR(Schedule):
    """Multiply the rate by gamma every step_size steps."""

    def __init__(self, optimizer, step_size, gamma=0.1):
        self.step_size, self.gamma = at_least("StepLR", "step_size", step_size, 1), gamma
        super().__init__(optimizer)

    def factor(self, t):
        return self.gamma ** (t // self.step_size)


class MultiStepLR(Schedule):
    """Multiply the rate by gamma at each of the milestones."""

    def __init__(self, optimizer, milestones, gamma=0.1):
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer)

    def factor(self, t):
        return self.gamma ** sum(milestone <= t for milestone in self.milestones)


class CosineAnnealingLR(Schedule):
    """From the initial rate down to eta_min along half a cosine, in T_max steps (then up again).

    eta_min is for the first group; the others keep their ratio to it.
    """

    def __init__(self, optimizer, T_max, eta_min=0.0):
        self.T_max = at_least("CosineAnnealingLR", "T_max", T_max, 1)
        self.floor = eta_min / optimizer.param_groups[0]["initial_lr"] if eta_min else 0.0
        super().__init__(optimizer)

    def factor(self, t):
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * t / self.T_max)) / 2


class LinearWarmup(Schedule):
    """A straight line from start_factor to end_factor, in total_iters steps (PyTorch's LinearLR)."""

    def __init__(self, optimizer, start_factor=1 / 3, end_factor=1.0, total_iters=5):
        if not 0 < start_factor <= 1 or not 0 <= end_factor <= 1:
            raise ValueError(
                "LinearWarmup: start_factor must be above 0, end_factor 0 or more, both at most 1; "
                f"got {start_factor} and {end_factor}"
            )
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = at_least("LinearWarmup", "total_iters", total_iters, 1)
        super().__init__(optimizer)

    def factor(self, t):
        done = min(t / self.total_iters, 1)
        return self.start_factor + (self.end_factor - self.start_factor) * done


class ReduceLROnPlateau(Schedule):
    """Multiply the rate by `factor` when a metric has not improved for more than `patience` steps.

    mode: "min" for an error, "max" for an accuracy. threshold: the least improvement that counts, as a
    fraction of the best so far (threshold_mode="rel") or as a difference ("abs"). cooldown: how many steps
    after a reduction are not counted as bad. min_lr: the first group's lowest rate; the others keep their
    ratio to it. eps: a reduction by no more than this is not made. The names are PyTorch's.
    """

    def __init__(self, optimizer, mode="min", factor=0.1, patience=10, threshold=1e-4, threshold_mode="rel",
                 cooldown=0, min_lr=0.0, eps=1e-8):
        if mode not in ("min", "max"):
            raise ValueError(f"ReduceLROnPlateau: mode must be 'min' or 'max', got {mode!r}")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(
                f"ReduceLROnPlateau: threshold_mode must be 'rel' or 'abs', got {threshold_mode!r}"
            )
        if not factor < 1:
            raise ValueError(f"ReduceLROnPlateau: factor must be below 1, got {factor}")
        self.mode, self.reduction, self.patience = mode, factor, patience
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.cooldown, self.min_lr, self.eps = cooldown, min_lr, eps
        self.best, self.bad, self.cooling = None, 0, 0
        self.optimizer, self.t = optimizer, 0

    def step(self, metric=None):
        """metric: the number to watch, such as an epoch's validation error. Raises ValueError if it is None."""
        if metric is None:
            raise ValueError("ReduceLROnPlateau: step needs the metric that it watches, as in schedule.step(metric)")
        self.t += 1
        metric = float(metric)
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


def at_least(schedule, argument, value, least):
    if not value >= least:
        raise ValueError(f"{schedule}: {argument} must be at least {least}, got {value}")
    return value
