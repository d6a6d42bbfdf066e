"""Reverse-mode automatic differentiation: tensors, and the graph that is recorded as they are computed.

Let y = f(x) somewhere inside a computation that ends in one number L. Write dx for dL/dx, an array
of x's shape, called the cotangent of x. If we know dy, the chain rule gives

    dx_i = sum_j  dy_j * J_ji         where J_ji is the slope of y_j in x_i

so each operation needs to know one thing: how to turn dy into dx. It never builds the Jacobian J, which has
y.size times x.size entries; it only multiplies by it from the left. `Function.backward` is that product.

Running operations records a graph: each result remembers the Function that made it, each Function
its inputs. `Tensor.backward` walks it from L to the leaves (backpropagation.py), every Function after all
users of its outputs. Where one tensor fed several operations, what they return for it is added up:

    L = f(x) + g(x)   means   dx = (what f.backward returns) + (what g.backward returns)

This file knows no operation; tinynet/ops/ holds them, one per file.
"""

import re

import numpy as np

from tinynet import anomaly, backend, in_place
from tinynet.backpropagation import backpropagate
from tinynet.modes import modes, no_grad  # noqa: F401 (no_grad is for others to import from here)

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


class Tensor:
    """An array that remembers how it was made.

    data: the plain array (NumPy or CuPy). requires_grad: whether backward() computes dL/dself for it. grad: after
    backward(), the plain array dL/dself (its cotangent), of data's shape, on leaves that require it, else None.
    """

    # NumPy must not multiply `array * tensor` element by element: leave it to Tensor.__rmul__.
    __array_ufunc__ = None
    __slots__ = ("data", "function", "grad", "output_index", "requires_grad")

    def __init__(self, data, requires_grad=False):
        self.data = data
        self.grad = None
        self.requires_grad = requires_grad
        self.function = None  # the Function whose output this is; None for a leaf
        self.output_index = 0  # which of its outputs
        if requires_grad and data.dtype not in FLOATS:
            raise TypeError(f"only float32 and float64 tensors have gradients, got {data.dtype}")

    shape = property(lambda self: self.data.shape)
    ndim = property(lambda self: self.data.ndim)
    size = property(lambda self: self.data.size)
    dtype = property(lambda self: self.data.dtype)
    device = property(lambda self: backend.device_of(self.data))

    def __len__(self):
        if not self.shape:
            raise TypeError("a tensor with no axes has no len()")
        return self.shape[0]

    def __repr__(self):
        text = np.array2string(self.numpy(), separator=", ", prefix="tensor(")
        grad = ", requires_grad=True" if self.requires_grad else ""
        where = "" if self.device == "cpu" else f", device={self.device!r}"
        shape = f", shape={self.shape}" if "..." in text else ""
        return f"tensor({text}{shape}, dtype={self.dtype}{where}{grad})"

    def __bool__(self):
        return bool(self.item())

    def __float__(self):
        return float(self.item())

    def numpy(self):
        """The data as a NumPy array: the very same memory on `cpu`, a copy from a GPU."""
        return backend.to_device(self.data, "cpu")

    def item(self):
        """The one element of a tensor of size 1, as a Python number."""
        if self.size != 1:
            raise ValueError(f"item() needs a tensor with one element, got shape {self.shape}")
        return self.data.item()

    def detach(self):
        """The same data without its history: no gradient flows back through the result."""
        return Tensor(self.data)

    def backward(self, gradient=None, on_grad_ready=None):
        """Add dL/dx to `.grad` of every leaf x that requires it, and free the graph on the way.

        gradient: dL/dself, an array or tensor of this tensor's shape. Without it this tensor must be L itself, one
        number, and dL/dL = 1. on_grad_ready(x): called for each leaf as soon as its .grad is complete.
        """
        if not self.requires_grad:
            raise RuntimeError("backward: this tensor does not require a gradient, nor did any input of its operations")
        backpropagate(Source(self), self._first_cotangent(gradient), on_grad_ready)

    def _first_cotangent(self, gradient):
        """dL/dself, where the walk starts: 1 if this tensor is L, else a copy of the caller's gradient."""
        xp = backend.array_module(self.data)
        with backend.use_device(self.device):
            if gradient is None:
                if self.size != 1:
                    raise ValueError(
                        f"backward: a tensor of shape {self.shape} needs gradient=, an array of the same shape; "
                        "only a single number goes without"
                    )
                return xp.ones_like(self.data)
            dy = xp.asarray(gradient.data if isinstance(gradient, Tensor) else gradient)
            if dy.shape != self.shape:
                raise ValueError(f"backward: gradient has shape {dy.shape}, the tensor {self.shape}")
            return dy.astype(self.dtype)


class _NeverSaved:
    """Stands where `saved` is looked for until `save` is called."""

    def __get__(self, function, owner):
        if function is None:
            return self
        raise RuntimeError(f"{function.name}.backward: forward saved nothing, so there is no self.saved")


class Function:
    """One operation. Hyper-parameters and what backward needs live on `self`.

    forward(*arrays) takes and returns plain arrays (one, or a tuple). backward(*dys) takes the cotangents of the
    outputs, read-only, and returns those of the inputs, in order; None for an input that needs none (see
    needs_input_grad). It may return dy itself or a view of it. An instance runs once: `y = Relu()(x)`. That call
    sets whatever else it needs, so a subclass with an __init__ does not call super().__init__().
    """

    arguments = ()  # the inputs' names in the public function, for error messages
    crosses_devices = False  # True for the collectives, whose inputs may be on several devices
    runs_on = None  # the device, once it runs
    called_at = None  # the user's file and line, in detect_anomaly and record
    node = None  # what record keeps of it
    freed = False
    saved = _NeverSaved()  # `save` hides it behind an attribute of the instance

    def __call__(self, *inputs):
        if self.runs_on is not None:
            raise RuntimeError(f"{self.name}: this instance has already run; make a new one each time")
        self.runs_on = self._check(inputs)
        recording = modes.recording
        self.needs_input_grad = tuple([recording and x.requires_grad for x in inputs])
        self.needs_backward = True in self.needs_input_grad
        with backend.use_device(self.runs_on):
            arrays = self.forward(*[x.data for x in inputs])
        single = not isinstance(arrays, tuple)
        results = [Tensor(self._as_array(a, "forward")) for a in ((arrays,) if single else arrays)]
        if self.needs_backward:
            self.ran_at = in_place.draw_ticket()
            self.sources = [Source(x) if recording and x.requires_grad else None for x in inputs]
            # Enough to make a zero cotangent for an output that nobody used.
            self.outputs = [(y.data.shape, y.data.dtype, backend.device_of(y.data)) for y in results]
            for index, y in enumerate(results):
                if y.data.dtype in FLOATS:
                    y.requires_grad, y.function, y.output_index = True, self, index
        else:
            self.saved = ()
        if modes.detecting or modes.recorder:
            self.called_at = anomaly.line_of_call()
            if modes.recorder:
                modes.recorder.ran(self, inputs, results)
        return results[0] if single else tuple(results)

    def save(self, *arrays):
        """Keep arrays for backward. Whatever is saved takes up memory until then."""
        self.saved = arrays

    def forward(self, *arrays):
        raise NotImplementedError

    def backward(self, *dys):
        raise NotImplementedError

    def checked_backward(self, dys):
        """What backward returns for each input, as a list; raises unless it is what was asked for."""
        if in_place.latest > self.ran_at:
            self._check_unchanged()
        try:
            with backend.use_device(self.runs_on):
                dxs = self.backward(*[_read_only(dy) for dy in dys])
        except ValueError as error:
            if "read-only" not in str(error):
                raise
            raise RuntimeError(f"{self.name}.backward must not write into dy, others may use it: {error}") from error
        dxs = list(dxs) if isinstance(dxs, tuple) else [dxs]
        if len(dxs) != len(self.sources):
            raise RuntimeError(f"{self.name}.backward: {len(self.sources)} inputs, {len(dxs)} cotangents")
        for i, x in enumerate(self.sources):
            if x is not None:
                dx = dxs[i] = None if dxs[i] is None else self._as_array(dxs[i], "backward")
                if dx is None or dx.shape != x.shape or dx.dtype != x.dtype:
                    got = "is None" if dx is None else f"has shape {dx.shape} and is {dx.dtype}"
                    needed = f"input {i} has shape {x.shape} and is {x.dtype}"
                    raise RuntimeError(f"{self.name}.backward: {needed}, its cotangent {got}")
        return dxs

    def free(self):
        """Drop what backward needed, and the graph behind it: whoever keeps a result keeps neither."""
        self.freed, self.saved, self.sources = True, (), ()

    @property
    def name(self):
        """The public function's name: class MaxPool2d is `max_pool2d`."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(self).__name__).lower()

    def _check(self, inputs):
        """Raise unless all inputs are tensors on one device, the floating ones of one dtype. Returns the device."""
        floating, device = None, None
        for i, x in enumerate(inputs):
            if not isinstance(x, Tensor):
                what = f"{self.argument_name(i)} must be a tinynet.Tensor, got {type(x).__name__}"
                raise TypeError(f"{self.name}: {what}; tinynet.tensor(...) makes one")
            dtype = x.data.dtype
            if dtype in FLOATS:
                floating = i if floating is None else floating
                if dtype != inputs[floating].data.dtype:
                    what = f"{self.argument_name(i)} is {dtype} but {self.argument_name(floating)} is"
                    raise TypeError(f"{self.name}: {what} {inputs[floating].dtype}; convert one of them")
            here = backend.device_of(x.data)
            device = device or here
            if here != device and not self.crosses_devices:
                what = f"{self.argument_name(i)} is on {here} but {self.argument_name(0)} on {device}"
                raise ValueError(f"{self.name}: {what}; move one with .to(device)")
        return device

    def _check_unchanged(self):
        """Raise if what was saved has been changed since forward, or if a leaf has moved to another device."""
        for i, x in enumerate(self.sources):
            here = self.runs_on if x is None or x.leaf is None or self.crosses_devices else x.leaf.device
            if here != self.runs_on:
                what = f"{self.argument_name(i)} was moved from {self.runs_on} to {here} after the forward pass"
                raise RuntimeError(f"{self.name}.backward: {what}; run the forward pass again")
        for a in vars(self).get("saved", ()):
            if in_place.changed_since(a, self.ran_at):
                leaves = [None if x is None else x.first_leaf() for x in self.sources]
                same = [x is not None and in_place.owner(x.data) is in_place.owner(a) for x in leaves]
                saved = f"an array of shape {a.shape} that it saved"
                what = self.argument_name(same.index(True)) if any(same) else saved
                raise RuntimeError(
                    f"{self.name}.backward: {what} was changed in place after the forward pass (by an optimizer, "
                    "load_state_dict or an initializer); call backward before that, or run the forward pass again"
                )

    def argument_name(self, number):
        return self.arguments[number] if number < len(self.arguments) else f"input {number}"

    def _as_array(self, a, method):
        if type(a) is np.ndarray:
            return a
        try:
            return backend.as_array(a)
        except TypeError as error:
            raise TypeError(f"{self.name}.{method} must return arrays: {error}") from None


class Source:
    """Where an input came from, which is all that the walk back needs to know of it.

    Not the data of intermediate results (a leaf is kept, to receive its .grad): a Function that held
    its input tensors would keep every one of them alive until backward, saved or not.
    """

    __slots__ = ("dtype", "function", "leaf", "output_index", "shape")

    def __init__(self, x):
        self.leaf = x if x.function is None else None
        self.function, self.output_index = x.function, x.output_index
        self.shape, self.dtype = x.data.shape, x.data.dtype

    def first_leaf(self):
        """The leaf behind a chain of Functions of one input each, as w is behind w.T[0]; or None."""
        x = self
        while x is not None and x.leaf is None:
            x = x.function.sources[0] if len(x.function.sources) == 1 else None
        return None if x is None else x.leaf


def _read_only(dy):
    """A view of dy that cannot be written to; on a GPU dy itself, since CuPy's arrays can always be."""
    if isinstance(dy, np.ndarray):
        dy = dy.view()
        dy.setflags(False)
    return dy


# ---------------------------------------------------------------------------- tensor()


def tensor(data, requires_grad=False, dtype=None, device=None):
    """A tensor with a copy of `data`: a number, nested lists, or an array.

    Python floats become float32; arrays keep their dtype unless `dtype` is given. requires_grad: as Tensor's.
    device: `cpu`, `cuda:0`, ...; by default the one that the data is on.
    """
    if not isinstance(requires_grad, bool | np.bool_):
        raise TypeError(f"tensor: requires_grad must be True or False, got {type(requires_grad).__name__}")
    if isinstance(data, Tensor):
        data = data.data
    if not hasattr(data, "dtype"):  # Python numbers and lists
        try:
            data = np.array(data)
        except ValueError as error:
            raise ValueError(f"tensor: data is no array: {error}") from None
        if data.dtype == np.float64:
            data = data.astype(np.float32)
    data = plain_array("tensor: data", data)
    source = backend.device_of(data)
    try:
        dtype = data.dtype if dtype is None else np.dtype(dtype)
        device = backend.check_device(source if device is None else device)
    except TypeError:
        raise TypeError(f"tensor: dtype must be {DTYPES}, got {dtype!r}") from None
    except ValueError as error:
        raise ValueError(f"tensor: {error}") from None
    if not supported(dtype):
        raise TypeError(f"tensor: dtype must be {DTYPES}, got {dtype}")
    with backend.use_device(source):
        data = backend.as_array(data.astype(dtype.newbyteorder("=")))  # always a copy
    return Tensor(backend.to_device(data, device), requires_grad)


DTYPES = "float32, float64, integer or bool"


def supported(dtype):
    return dtype.kind in "iub" or (dtype.kind == "f" and dtype.itemsize in (4, 8))


def plain_array(what, a):
    """The array `a`, of a dtype that tensors have; one of a subclass of NumPy's as a plain one.

    What * means must not depend on what was passed in. So np.matrix, whose * is the matrix product, becomes an array,
    and a masked array, which cannot, is refused. what: the op and its argument, for the message.
    """
    if isinstance(a, np.ma.MaskedArray):
        raise TypeError(f"{what} is a MaskedArray, and tensors have no mask; fill its gaps with a.filled(value)")
    try:
        backend.array_module(a)
    except TypeError:
        kind = type(a).__name__
        raise TypeError(f"{what} must be a number, nested lists or an array, got {kind}") from None
    if not supported(a.dtype):
        raise TypeError(f"{what} must be {DTYPES}, got {a.dtype}")
    return np.asarray(a) if isinstance(a, np.ndarray) else a
