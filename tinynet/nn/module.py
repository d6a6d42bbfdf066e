"""Modules: objects that own parameters, and find them again by walking their own attributes.

    class Net(Module):
        def __init__(self):
            self.conv = Conv2d(3, 8, 3)     # attributes are the only registration there is
            self.fc = Linear(8, 10)

        def forward(self, x): ...

A parameter's name is the path to it, `conv.weight`, and the order is the order of assignment.
There is no other machinery: `vars(module)` is Python's own dictionary of what was assigned.
"""

import numpy as np

from tinynet.autograd import Tensor
from tinynet.backend import to_device, use_device


class Parameter(Tensor):
    """A tensor that a module owns and an optimizer changes. data: an array, or a tensor's array."""

    __slots__ = ()

    def __init__(self, data, requires_grad=True):
        super().__init__(data.data if isinstance(data, Tensor) else data, requires_grad)


class Module:
    """Base of all layers and models: define forward, and assign parameters and modules to self."""

    training = True  # what dropout asks; train() and eval() set it

    def forward(self, *inputs):
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def __call__(self, *inputs):
        return self.forward(*inputs)

    # -------------------------------------------------------------------- what a module holds

    def members(self):
        """(name, value) of the attributes that are parameters or modules, in definition order."""
        for name, value in vars(self).items():
            if isinstance(value, Parameter | Module):
                yield name, value
            elif isinstance(value, list | tuple) and any(
                isinstance(v, Parameter | Module) for v in value
            ):
                raise TypeError(
                    f"{type(self).__name__}.{name} is a {type(value).__name__} that holds "
                    "parameters or modules, where they would not be found; use a ModuleList"
                )

    def named_modules(self, prefix=""):
        """(path, module) of this module, whose path is `prefix`, and of all modules inside it."""
        yield prefix, self
        for name, value in self.members():
            if isinstance(value, Module):
                yield from value.named_modules(join(prefix, name))

    def modules(self):
        return (module for _, module in self.named_modules())

    def named_parameters(self, prefix=""):
        """(path, parameter) of all parameters in here; one that is shared comes once."""
        seen = set()
        for path, parameter in self._all_parameters(prefix):
            if parameter not in seen:
                seen.add(parameter)
                yield path, parameter

    def _all_parameters(self, prefix):
        for name, value in self.members():
            if isinstance(value, Parameter):
                yield join(prefix, name), value
            else:
                yield from value._all_parameters(join(prefix, name))

    def parameters(self):
        return (parameter for _, parameter in self.named_parameters())

    def named_arrays(self, prefix=""):
        """(path, [parameters that, joined along axis 0, are the array of that name]).

        Here one parameter a name. A module whose parts lie on several devices overrides this and
        is then saved and loaded as if it were whole.
        """
        for name, value in self.members():
            if isinstance(value, Parameter):
                yield join(prefix, name), [value]
            else:
                yield from value.named_arrays(join(prefix, name))

    # ------------------------------------------------------------------------- what it can do

    def train(self, mode=True):
        """Training mode for this module and all inside it. Returns self."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self):
        """Evaluation mode: dropout lets everything pass. Returns self."""
        return self.train(False)

    def zero_grad(self):
        for parameter in self.parameters():
            parameter.grad = None

    def to(self, device):
        """Move all parameters, and their gradients, to `device`. Returns self.

        The Parameter objects stay the same, so an optimizer made before still holds them; but make
        it after: what it has gathered (velocity) does not move along.
        """
        for parameter in self.parameters():
            parameter.data = to_device(parameter.data, device)
            if parameter.grad is not None:
                parameter.grad = to_device(parameter.grad, device)
        return self

    # ---------------------------------------------------------------------- saving and loading

    def state_dict(self, of=lambda parameter: parameter.data):
        """{path: NumPy array}, copies.

        of: which array of a parameter, or None to leave it out. An optimizer's velocity is saved under the same names by
        the same walk: `of=lambda parameter: optimizer.state[parameter]["velocity"]`.
        """
        named = {path: [of(parameter) for parameter in parts] for path, parts in self.named_arrays()}
        return {
            path: whole([to_device(array, "cpu") for array in arrays])
            for path, arrays in named.items()
            if all(array is not None for array in arrays)
        }

    def load_state_dict(self, arrays, into=None, strict=True):
        """Take the arrays that state_dict gave, by name. Nothing changes unless all of them fit.

        into: a function (parameter, array) that stores one; by default it overwrites the parameter's data. strict=False:
        names may be missing. Raises ValueError with all names that are missing, unexpected, or of another shape.
        """
        named = dict(self.named_arrays())
        wrong = [f"missing: {path}" for path in named if strict and path not in arrays]
        wrong += [f"unexpected: {path}" for path in arrays if path not in named]
        for path, parts in named.items():
            got, expected = arrays[path].shape if path in arrays else None, whole_shape(parts)
            if path in arrays and got != expected:
                wrong.append(f"{path}: got shape {got}, expected {expected}")
        if wrong:
            raise ValueError(
                f"load_state_dict: these arrays do not fit {type(self).__name__}\n  "
                + "\n  ".join(wrong)
            )
        for path, array in arrays.items():
            for parameter, piece in zip(named[path], cut(array, named[path]), strict=True):
                (into or overwrite)(parameter, piece)

    # -------------------------------------------------------------------------------- printing

    def extra_repr(self):
        """What stands between the brackets of a module without modules inside."""
        return ""

    def __repr__(self):
        inside = [(name, value) for name, value in self.members() if isinstance(value, Module)]
        if not inside:
            return f"{type(self).__name__}({self.extra_repr()})"
        lines = [f"({name}): {value!r}".replace("\n", "\n  ") for name, value in inside]
        return "\n  ".join([f"{type(self).__name__}(", *lines]) + "\n)"


class ModuleList(Module):
    """Modules in a row, named 0, 1, 2, ...: iterate, index, len, append."""

    def __init__(self, modules=()):
        for module in modules:
            self.append(module)

    def append(self, module):
        if not isinstance(module, Module):
            raise TypeError(
                f"{type(self).__name__} holds modules, got {type(module).__name__}"
            )
        setattr(self, str(len(self)), module)

    def __iter__(self):
        return (value for _, value in self.members())

    def __len__(self):
        return sum(1 for _ in self)

    def __getitem__(self, index):
        return list(self)[index]


class Sequential(ModuleList):
    """Modules that run one after the other: Sequential(first, second, ...)."""

    def __init__(self, *modules):
        super().__init__(modules)

    def forward(self, x):
        for module in self:
            x = module(x)
        return x


# ----------------------------------------------------------------------------- helpers


def join(prefix, name):
    return f"{prefix}.{name}" if prefix else name


def whole(parts):
    """One array of the parts, a copy."""
    return np.concatenate(parts) if len(parts) > 1 else np.array(parts[0])


def whole_shape(parts):
    if len(parts) == 1:
        return parts[0].shape
    return (sum(len(part) for part in parts), *parts[0].shape[1:])


def cut(array, parts):
    """The pieces of `array` that belong to each of `parts`: the opposite of `whole`."""
    if len(parts) == 1:
        return [array]
    ends = np.cumsum([len(part) for part in parts])
    return [array[end - len(part) : end] for end, part in zip(ends, parts, strict=True)]


def overwrite(parameter, array):
    with use_device(parameter.device):
        parameter.data[...] = to_device(array, parameter.device)
