"""What all optimizers share: groups of parameters, the walk over them, saving and loading.

A group is a dict: its parameters under "params", and its own hyper-parameters, so that biases can
learn at twice the rate of weights. What an optimizer gathers about a parameter (a velocity, a mean)
is in `state[parameter]`, arrays on the parameter's device.
"""

import numpy as np

from tinynet.autograd import Tensor
from tinynet.backend import array_module, device_of, to_device, use_device
from tinynet.in_place import mark_changed
from tinynet.optim.checks import number


class Optimizer:
    """Base of all optimizers: define update(parameter, group, state).

    params: leaf tensors of any shapes, or dicts {"params": tensors, "lr": ..., ...}.
    defaults: {name: value}, the hyper-parameters of groups that do not say otherwise.

    Raises ValueError or TypeError for a parameter that comes twice, an unknown name, or a number out of range.
    """

    def __init__(self, params, defaults):
        params = self._listed(params)
        groups = params if params and isinstance(params[0], dict) else [{"params": params}]
        self.param_groups = [self._group(i, group, defaults) for i, group in enumerate(groups)]
        self.state = {}  # parameter -> what was gathered about it
        everyone = self.parameters()
        if not everyone:
            raise ValueError(f"{type(self).__name__}: there are no parameters to change")
        if len(set(everyone)) < len(everyone):
            raise ValueError(f"{type(self).__name__}: a parameter comes twice")

    def _listed(self, params):
        if isinstance(params, set | frozenset):
            raise TypeError(f"{type(self).__name__}: params must be in an order, got {type(params).__name__}")
        if isinstance(params, Tensor | str | bytes | dict) or not hasattr(params, "__iter__"):
            raise TypeError(
                f"{type(self).__name__}: params must be tensors, or dicts of them, got {type(params).__name__}"
            )
        return list(params)

    def _group(self, i, group, defaults):
        if not isinstance(group, dict):
            raise TypeError(f"{type(self).__name__}: group {i} must be a dict, got {type(group).__name__}")
        if "params" not in group:
            raise ValueError(f"{type(self).__name__}: group {i} has no 'params'")
        unknown = set(group) - set(defaults) - {"params"}
        if unknown:
            raise ValueError(
                f"{type(self).__name__}: a group has no {sorted(unknown)}; it may have params, "
                + ", ".join(defaults)
            )
        params = group["params"]
        params = [params] if isinstance(params, Tensor) else self._listed(params)
        for p in params:
            if not isinstance(p, Tensor) or not p.requires_grad or p.function is not None:
                raise TypeError(
                    f"{type(self).__name__}: params must be leaf tensors with requires_grad=True, "
                    f"got {type(p).__name__}"
                )
        group = {**defaults, **group, "params": params}
        self.check(group)
        group["initial_lr"] = group["lr"]  # what schedules start from
        return group

    def check(self, group):
        """Make the group's hyper-parameters Python's numbers. Raises TypeError or ValueError unless they make sense."""
        for name in ("lr", "weight_decay", "initial_lr"):
            if name in group:
                group[name] = number(type(self).__name__, name, group[name])

    def parameters(self):
        """The parameters of all groups, in order."""
        return [p for group in self.param_groups for p in group["params"]]

    def step(self):
        """Change every parameter that has a gradient, in place. Nothing changes unless all gradients fit."""
        self._check_gradients()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    with use_device(p.device):
                        self.update(p, group, self.state.setdefault(p, {}))
                    mark_changed(p.data)

    def _check_gradients(self):
        """A gradient of shape (1,) would be broadcast, one of another dtype rounded: without a word."""
        for i, p in enumerate(self.parameters()):
            g = p.grad
            if g is None:
                continue
            try:
                array_module(g)
            except TypeError:
                raise TypeError(f"{self._gradient(i)} must be an array, got {type(g).__name__}") from None
            if g.shape != p.shape:
                raise ValueError(f"{self._gradient(i)} has shape {g.shape}, expected {p.shape}")
            if g.dtype != p.dtype:
                raise TypeError(f"{self._gradient(i)} is {g.dtype}, expected {p.dtype}")
            if device_of(g) != p.device:
                raise ValueError(f"{self._gradient(i)} is on {device_of(g)}, expected {p.device}")

    def _gradient(self, i):
        group = [g for g, group in enumerate(self.param_groups) for _ in group["params"]][i]
        return f"{type(self).__name__}: the gradient of parameter {i} (group {group})"

    def update(self, parameter, group, state):
        """Change parameter.data in place, by parameter.grad, of the same shape. state: the parameter's own dict."""
        raise NotImplementedError

    def zero_grad(self):
        """Forget all gradients: backward adds to those that are there."""
        for p in self.parameters():
            p.grad = None

    # ---------------------------------------------------------------------- saving and loading

    def state_dict(self):
        """{"groups": [hyperparameters], "state": [{name: value} per parameter, in order]}.

        Arrays are NumPy copies; everything else can be written as JSON.
        """
        return {
            "groups": [
                {name: value for name, value in group.items() if name != "params"}
                for group in self.param_groups
            ],
            "state": [
                {name: _saved(value) for name, value in self.state.get(p, {}).items()}
                for p in self.parameters()
            ],
        }

    def load_state_dict(self, saved):
        """Take over what state_dict gave. Raises ValueError or TypeError, before anything changes, if it was
        made for other groups or parameters.
        """
        me, parameters = type(self).__name__, self.parameters()
        if not isinstance(saved, dict) or not all(_list_of_dicts(saved.get(name)) for name in ("groups", "state")):
            raise TypeError(f"{me}: a saved state has lists of dicts under 'groups' and 'state', got {saved!r:.80}")
        groups, states = saved["groups"], saved["state"]
        names = [sorted(set(group) - {"params"}) for group in self.param_groups]
        if [sorted(group) for group in groups] != names:
            raise ValueError(f"{me}: the saved groups have {[sorted(g) for g in groups]}, expected {names}")
        if len(states) != len(parameters):
            raise ValueError(f"{me}: saved for {len(states)} parameters, there are {len(parameters)}")
        for i, (p, state) in enumerate(zip(parameters, states, strict=True)):
            for name, value in state.items():
                if not hasattr(value, "shape"):
                    number(me, f"{name} of parameter {i}", value)
                elif value.shape != p.shape:
                    raise ValueError(f"{me}: {name} of parameter {i} has shape {value.shape}, expected {p.shape}")
        groups = [dict(group) for group in groups]
        for group in groups:
            self.check(group)
        for group, hyper in zip(self.param_groups, groups, strict=True):
            group.update(hyper)
        self.state = {
            p: {name: _loaded(value, p) for name, value in state.items()}
            for p, state in zip(parameters, states, strict=True)
            if state
        }


def _list_of_dicts(x):
    return isinstance(x, list | tuple) and all(isinstance(item, dict) for item in x)


def zeros_like(parameter):
    with use_device(parameter.device):
        return array_module(parameter.data).zeros_like(parameter.data)


def _saved(value):
    return np.array(to_device(value, "cpu")) if hasattr(value, "shape") else value


def _loaded(value, parameter):
    if not hasattr(value, "shape"):
        return value
    with use_device(parameter.device):
        return to_device(value, parameter.device).astype(parameter.dtype)  # a copy
