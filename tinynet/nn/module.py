"""Modules: objects that own parameters and find them by walking their own attributes.

    class Net(Module):
        def __init__(self):
            self.conv = Conv2d(3, 8, 3)     # assigning an attribute is all the registration there is
            self.fc = Linear(8, 10)

        def forward(self, x): ...

A parameter's name is the path to it, `conv.weight`, and parameters come in the order of assignment.
There is no other machinery: `vars(module)` is Python's own dictionary of the attributes. Only a parameter in it
cannot be replaced by a plain tensor, which no optimizer would know.
"""

import itertools

import numpy as np

from tinynet.autograd import Tensor
from tinynet.backend import to_device, use_device
from tinynet.in_place import mark_changed


class Parameter(Tensor):
    """A tensor that a module owns and an optimizer updates.

    data: a floating array of any shape, or a tensor whose array to use; it is not copied.
    requires_grad: False freezes it: backward leaves it out.
    """

    __slots__ = ()

    def __init__(self, data, requires_grad=True):
        super().__init__(data.data if isinstance(data, Tensor) else data, requires_grad)


class Module:
    """Base class of all layers and models: define forward, and assign parameters and modules to self.

    Calling a module runs forward. training: whether train() or eval() came last; at first, True.
    """

    training = True  # read by dropout, set by train() and eval()

    def forward(self, *inputs):
        """From tensors to tensors; a subclass says of which shapes. Raises NotImplementedError if it defines none."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def __call__(self, *inputs):
        return self.forward(*inputs)

    def __setattr__(self, name, value):
        """As Python's, but a parameter or a module is not lost by accident, as by `layer.weight *= 2`, a new Tensor."""
        held = vars(self).get(name)
        if isinstance(held, Parameter | Module) and value is not None:
            kind, allowed = ("parameter", Parameter) if isinstance(held, Parameter) else ("module", Parameter | Module)
            if not isinstance(value, allowed):
                got = f"assign a {kind.title()} or None, got {type(value).__name__}"
                raise TypeError(f"{type(self).__name__}.{name} is a {kind}: {got}")
        super().__setattr__(name, value)

    # -------------------------------------------------------------------- what a module holds

    def members(self):
        """(name, value) for each attribute that is a parameter or a module, in order of assignment."""
        for name, value in vars(self).items():
            if isinstance(value, Parameter | Module):
                yield name, value
            elif isinstance(value, list | tuple) and any(isinstance(v, Parameter | Module) for v in value):
                raise TypeError(
                    f"{type(self).__name__}.{name} is a {type(value).__name__} that holds "
                    "parameters or modules, where they would not be found; use a ModuleList"
                )

    def named_modules(self, prefix=""):
        """(path, module) for this module, whose path is `prefix`, and for all modules inside it."""
        yield prefix, self
        for name, value in self.members():
            if isinstance(value, Module):
                yield from value.named_modules(subpath(prefix, name))

    def modules(self):
        """This module and all inside it, without their paths."""
        return (module for _, module in self.named_modules())

    def named_parameters(self, prefix=""):
        """(path, parameter) for each parameter inside; a shared one comes once, under its first path."""
        seen = set()
        for path, parameter in self._all_parameters(prefix):
            if parameter not in seen:
                seen.add(parameter)
                yield path, parameter

    def _all_parameters(self, prefix):
        for name, value in self.members():
            if isinstance(value, Parameter):
                yield subpath(prefix, name), value
            else:
                yield from value._all_parameters(subpath(prefix, name))

    def parameters(self):
        """All parameters inside, each once, in order of assignment: what an optimizer takes."""
        return (parameter for _, parameter in self.named_parameters())

    def named_arrays(self, prefix=""):
        """(path, parameters): the parameters that, concatenated along axis 0, are the array of that name.

        By default there is one parameter per name. A module with parts on several devices overrides
        this, and is then saved and loaded as if it were whole.
        """
        for name, value in self.members():
            if isinstance(value, Parameter):
                yield subpath(prefix, name), [value]
            else:
                yield from value.named_arrays(subpath(prefix, name))

    # ------------------------------------------------------------------------- what it can do

    def train(self, mode=True):
        """Put this module and all modules inside it into training mode. Returns self."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self):
        """Put all of them into evaluation mode, in which dropout does nothing. Returns self."""
        return self.train(False)

    def zero_grad(self):
        """Forget all gradients: backward adds to those that are there."""
        for parameter in self.parameters():
            parameter.grad = None

    def to(self, device):
        """Move all parameters and their gradients to `device` (`cpu`, `cuda:0`, `emu:0`, ...). Returns self.

        The Parameter objects stay the same, so an existing optimizer still holds them, but its state
        (velocity) stays on the old device: make the optimizer after the move.
        """
        for parameter in self.parameters():
            if parameter.device != device:
                before, parameter.data = parameter.data, to_device(parameter.data, device)
                mark_changed(before)
            if parameter.grad is not None:
                parameter.grad = to_device(parameter.grad, device)
        return self

    # ---------------------------------------------------------------------- saving and loading

    def state_dict(self, of=lambda parameter: parameter.data):
        """{path: NumPy array}, copies.

        of: a function that returns the array to save for a parameter, or None to leave it out. For instance, an
        optimizer's velocity is saved under the same names by
        `of=lambda parameter: optimizer.state[parameter]["velocity"]`.
        """
        named = {path: [of(parameter) for parameter in parts] for path, parts in self.named_arrays()}
        return {
            path: whole([to_device(array, "cpu") for array in arrays])
            for path, arrays in named.items()
            if all(array is not None for array in arrays)
        }

    def load_state_dict(self, arrays, into=None, strict=True):
        """Load arrays that state_dict returned, by name. Nothing changes unless all of them fit.

        into: a function (parameter, array) that stores one array; by default it overwrites the parameter's data.
        strict=False: names may be missing. Raises ValueError that lists every name that is missing or unexpected, and
        every array of the wrong shape.
        """
        named = dict(self.named_arrays())
        wrong = [f"missing: {path}" for path in named if strict and path not in arrays]
        wrong += [f"unexpected: {path}" for path in arrays if path not in named]
        for path, parts in named.items():
            got, expected = arrays[path].shape if path in arrays else None, whole_shape(parts)
            if path in arrays and got != expected:
                wrong.append(f"{path}: got shape {got}, expected {expected}")
        if wrong:
            lines = [f"load_state_dict: these arrays do not fit {type(self).__name__}", *wrong]
            raise ValueError("\n  ".join(lines))
        for path, array in arrays.items():
            for parameter, piece in zip(named[path], cut(array, named[path]), strict=True):
                (into or overwrite)(parameter, piece)

    # -------------------------------------------------------------------------------- printing

    def extra_repr(self):
        """What repr shows between the parentheses of a module that contains no other modules."""
        return ""

    def __repr__(self):
        inside = [(name, value) for name, value in self.members() if isinstance(value, Module)]
        if not inside:
            return f"{type(self).__name__}({self.extra_repr()})"
        lines = []
        for text, group in itertools.groupby(inside, key=lambda member: repr(member[1])):
            names = [name for name, _ in group]
            alike = len(names) > 1 and type(self) is ModuleList  # PyTorch's: (0-2): 3 x ReLU()
            each = [f"({names[0]}-{names[-1]}): {len(names)} x {text}"] if alike else [f"({n}): {text}" for n in names]
            lines += [line.replace("\n", "\n  ") for line in each]
        return "\n  ".join([f"{type(self).__name__}(", *lines]) + "\n)"


class ModuleList(Module):
    """A list of modules, named 0, 1, 2, ...: iterate, index, len, append. It has no forward: its owner calls them.

    modules: any number of modules. Raises TypeError for anything else.
    """

    def __init__(self, modules=()):
        for module in modules:
            self.append(module)

    def append(self, module):
        """Put one more module at the end. Raises TypeError if it is none."""
        if not isinstance(module, Module):
            raise TypeError(f"{type(self).__name__} holds modules, got {type(module).__name__}")
        setattr(self, str(len(self)), module)

    def __iter__(self):
        return (value for _, value in self.members())

    def __len__(self):
        return sum(1 for _ in self)

    def __getitem__(self, index):
        return list(self)[index]


class Sequential(ModuleList):
    """Modules that run one after the other: Sequential(first, second, ...).

    Input: what the first module takes. Output: what the last one returns; with no modules, the input.
    """

    def __init__(self, *modules):
        super().__init__(modules)

    def forward(self, x):  # the first module's input -> the last one's output
        for module in self:
            x = module(x)
        return x


# ----------------------------------------------------------------------------- helpers


def subpath(prefix, name):
    return f"{prefix}.{name}" if prefix else name


def whole(parts):
    """The parts concatenated into one array, a copy."""
    return np.concatenate(parts) if len(parts) > 1 else np.array(parts[0])


def whole_shape(parts):
    if len(parts) == 1:
        return parts[0].shape
    return (sum(len(part) for part in parts), *parts[0].shape[1:])


def cut(array, parts):
    """The slice of `array` that belongs to each of `parts`: the inverse of `whole`."""
    if len(parts) == 1:
        return [array]
    ends = np.cumsum([len(part) for part in parts])
    return [array[end - len(part) : end] for end, part in zip(ends, parts, strict=True)]


def overwrite(parameter, array):
    with use_device(parameter.device):
        parameter.data[...] = to_device(array, parameter.device)
    mark_changed(parameter.data)
