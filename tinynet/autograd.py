"""Reverse-mode automatic differentiation: the tensor, the graph, and the walk back through it.

Let y = f(x) somewhere inside a computation that ends in one number L. Write dx for dL/dx, an array
of x's shape, called the cotangent of x. If we know dy, the chain rule gives

    dx_i = sum_j  dy_j * J_ji         where J_ji is the slope of y_j in x_i

so each operation needs to know one thing: how to turn dy into dx. It never builds the Jacobian J, of
y.size times x.size numbers; it only multiplies by it from the left. `Function.backward` is that product.

Running operations records a graph: each result remembers the Function that made it, each Function
its inputs. `Tensor.backward` walks it from L to the leaves, every Function after all users of its
output, and where one tensor fed several operations it adds up what comes back:

    L = f(x) + g(x)   means   dx = (what f sends back) + (what g sends back)

This file knows no operation; tinynet/ops/ holds them, one a file.
"""

import contextlib
import re
import threading
from collections import Counter

import numpy as np

from tinynet import backend

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


class Tensor:
    """An array that remembers how it was made.

    data: the plain array (NumPy or CuPy). grad: after backward(), the plain array dL/dself (its
    cotangent) on leaves that require it, else None.
    """

    # NumPy must not take `array * tensor` apart element by element: leave it to Tensor.__rmul__.
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

    @property
    def shape(self):
        return self.data.shape

    @property
    def ndim(self):
        return self.data.ndim

    @property
    def size(self):
        return self.data.size

    @property
    def dtype(self):
        return self.data.dtype

    @property
    def device(self):
        return backend.device_of(self.data)

    def __len__(self):
        if not self.shape:
            raise TypeError("a tensor with no axes has no len()")
        return self.shape[0]

    def __repr__(self):
        text = np.array2string(self.numpy(), separator=", ", prefix="tensor(")
        grad = ", requires_grad=True" if self.requires_grad else ""
        where = "" if self.device == "cpu" else f", device={self.device!r}"
        return f"tensor({text}, dtype={self.dtype}{where}{grad})"

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
        """The same data without its history: nothing flows back through the result."""
        return Tensor(self.data)

    def backward(self, gradient=None, on_grad_ready=None):
        """Put dL/dx into `.grad` of every leaf x that requires it, adding to what is there.

        gradient: dL/dself, an array or tensor of this tensor's shape. Without it this tensor must
        be L itself, one number, and dL/dL = 1. The graph is freed on the way. on_grad_ready(x): called for each
        leaf as soon as nothing more will be added to its .grad, while the walk goes on.
        """
        if not self.requires_grad:
            raise RuntimeError(
                "backward: this tensor does not require a gradient, "
                "nor did any input of its operations"
            )
        xp = backend.array_module(self.data)
        with backend.use_device(self.device):
            if gradient is None:
                if self.size != 1:
                    raise ValueError(
                        f"backward: a tensor of shape {self.shape} needs gradient=, an array of "
                        "the same shape; only a single number goes without"
                    )
                dy = xp.ones_like(self.data)
            else:
                dy = xp.asarray(gradient.data if isinstance(gradient, Tensor) else gradient)
                if dy.shape != self.shape:
                    raise ValueError(
                        f"backward: gradient has shape {dy.shape}, the tensor {self.shape}"
                    )
                dy = dy.astype(self.dtype)  # a copy: the caller's array stays the caller's
            if self.function is None:
                _add_to_leaf(self, dy)
                if on_grad_ready:
                    on_grad_ready(self)
                return
        order = _topological_order(self.function)
        cotangents = {self.function: [None] * len(self.function.outputs)}
        cotangents[self.function][self.output_index] = dy
        uses = Counter(leaf for function in order for leaf in _leaves(function)) if on_grad_ready else {}
        for function in reversed(order):
            leaves = _leaves(function) if on_grad_ready else []
            _send_back(function, cotangents)
            for leaf in leaves:
                uses[leaf] -= 1
                if uses[leaf] == 0:
                    on_grad_ready(leaf)


class Function:
    """One operation. Hyper-parameters and what backward needs live on `self`.

    forward(*arrays) takes and returns plain arrays (one, or a tuple). backward(*dys) takes the
    cotangents of the outputs and returns those of the inputs, in order; None for an input that
    needs none (see needs_input_grad). It may return dy itself or a view of it. An instance runs
    once: `y = Relu()(x)`. What else it holds is set by that call, so that
    a subclass whose hyper-parameters need an __init__ does not call super().__init__().
    """

    arguments = ()  # the inputs' names in the public function, for error messages
    crosses_devices = False  # True for the collectives, whose business that is
    freed = False
    saved = ()

    def __call__(self, *inputs):
        self.runs_on = self._check(inputs)
        on = _grad_mode.on
        self.needs_input_grad = tuple([on and x.requires_grad for x in inputs])
        self.needs_backward = True in self.needs_input_grad
        with backend.use_device(self.runs_on):
            arrays = self.forward(*[x.data for x in inputs])
        single = not isinstance(arrays, tuple)
        results = [Tensor(_as_array(a)) for a in ((arrays,) if single else arrays)]
        if self.needs_backward:
            self.sources = [Source(x) if on and x.requires_grad else None for x in inputs]
            # Enough to make a zero cotangent for an output that nobody used.
            self.outputs = [(y.data.shape, y.data.dtype, backend.device_of(y.data)) for y in results]
            for index, y in enumerate(results):
                if y.data.dtype in FLOATS:
                    y.requires_grad, y.function, y.output_index = True, self, index
        else:
            self.saved = ()
        return results[0] if single else tuple(results)

    def save(self, *arrays):
        """Keep arrays for backward. Everything saved is memory held until then."""
        self.saved = arrays

    def forward(self, *arrays):
        raise NotImplementedError

    def backward(self, *dys):
        raise NotImplementedError

    @property
    def name(self):
        """The public function's name: class MaxPool2d is `max_pool2d`."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(self).__name__).lower()

    def _check(self, inputs):
        """All inputs are tensors, on one device, and the floating ones of one dtype. Returns the device."""
        first, floating, device = inputs[0], None, None
        for x in inputs:
            if not isinstance(x, Tensor):
                raise TypeError(
                    f"{self.name}: {self._argument(inputs, x)} must be a tinynet.Tensor, got "
                    f"{type(x).__name__}; tinynet.tensor(...) makes one"
                )
            dtype = x.data.dtype
            if dtype in FLOATS:
                floating = x if floating is None else floating
                if dtype != floating.data.dtype:
                    raise TypeError(
                        f"{self.name}: {self._argument(inputs, x)} is {x.dtype} but "
                        f"{self._argument(inputs, floating)} is {floating.dtype}; convert one of them"
                    )
            here = backend.device_of(x.data)
            device = device or here
            if here != device and not self.crosses_devices:
                raise ValueError(
                    f"{self.name}: {self._argument(inputs, x)} is on {here} but "
                    f"{self._argument(inputs, first)} on {device}; move one with .to(device)"
                )
        return device

    def _argument(self, inputs, x):
        number = next(i for i, other in enumerate(inputs) if other is x)
        return self.arguments[number] if number < len(self.arguments) else f"input {number}"


class Source:
    """Where an input came from, which is all that the way back needs of it.

    Not the data of intermediate results (a leaf is kept, to receive its .grad): a Function that held
    its input tensors would keep every one of them alive until backward, saved or not.
    """

    __slots__ = ("dtype", "function", "leaf", "output_index", "shape")

    def __init__(self, x):
        self.leaf = x if x.function is None else None
        self.function, self.output_index = x.function, x.output_index
        self.shape, self.dtype = x.data.shape, x.data.dtype


def _as_array(a):
    """NumPy's 0-d results are scalars, which have no memory for a later += to change."""
    return np.asarray(a) if isinstance(a, np.generic) else a


def _topological_order(last):
    """Every Function that `last` depends on, each after all of its inputs' Functions.

    A depth-first walk with its own stack: a chain of 100,000 operations would not survive
    Python's recursion limit. Each stack entry keeps an iterator, which remembers how far it came.
    """
    order, seen = [], {last}
    stack = [(last, _parents(last))]
    while stack:
        function, parents = stack[-1]
        parent = next((p for p in parents if p not in seen), None)
        if parent is None:
            order.append(function)
            stack.pop()
        else:
            seen.add(parent)
            stack.append((parent, _parents(parent)))
    return order


def _parents(function):
    if function.freed:
        raise RuntimeError(
            f"backward: {function.name} was already walked through and what it saved is freed; "
            "run the forward pass again for a second backward"
        )
    return iter([x.function for x in function.sources if x is not None and x.function])


def _leaves(function):
    """The leaves among its inputs that want a gradient; one that comes twice, twice."""
    return [x.leaf for x in function.sources if x is not None and x.leaf is not None]


def _send_back(function, cotangents):
    """Turn the cotangents of one Function's outputs into those of its inputs, then free it."""
    dys = cotangents.pop(function)
    for i, (shape, dtype, where) in enumerate(function.outputs):
        if dys[i] is None:
            with backend.use_device(where):
                dys[i] = backend.to_device(np.zeros(shape, dtype), where)
    with backend.use_device(function.runs_on):
        dxs = function.backward(*dys)
    dxs = dxs if isinstance(dxs, tuple) else (dxs,)
    if len(dxs) != len(function.sources):
        raise RuntimeError(
            f"{function.name}.backward: {len(function.sources)} inputs, {len(dxs)} cotangents"
        )
    for i, (x, dx) in enumerate(zip(function.sources, dxs, strict=True)):
        if x is None:
            continue
        if dx is None or dx.shape != x.shape or dx.dtype != x.dtype:
            got = "is None" if dx is None else f"has shape {dx.shape} and is {dx.dtype}"
            raise RuntimeError(
                f"{function.name}.backward: input {i} has shape {x.shape} and is {x.dtype}, "
                f"its cotangent {got}"
            )
        dx = _as_array(dx)
        with backend.use_device(backend.device_of(dx)):
            if x.function is None:
                # Is this memory ours alone? Not if backward handed out dy, a view, or one array twice;
                # then a leaf gets a copy: .grad is changed in place (by +=, by whoever clips it).
                shared = dx.base is not None or any(dx is a for a in (*dys, *dxs[:i], *dxs[i + 1 :]))
                _add_to_leaf(x.leaf, dx.copy() if shared else dx)
                continue
            slot = cotangents.get(x.function)
            if slot is None:
                slot = cotangents[x.function] = [None] * len(x.function.outputs)
            slot[x.output_index] = dx if slot[x.output_index] is None else _as_array(slot[x.output_index] + dx)
    function.freed, function.saved, function.sources = True, (), ()


def _add_to_leaf(x, dx):
    if x.grad is None:
        x.grad = dx
    else:
        x.grad += dx


# ---------------------------------------------------------------------------- switches and makers


class _GradMode(threading.local):
    on = True

    def __init__(self):  # runs once in each thread that looks: no_grad holds for its own thread
        self.before = []


_grad_mode = _GradMode()


class no_grad(contextlib.ContextDecorator):
    """Inside `with no_grad():` no graph is recorded: evaluation, and updates of weights."""

    def __enter__(self):
        _grad_mode.before.append(_grad_mode.on)
        _grad_mode.on = False

    def __exit__(self, *error):
        _grad_mode.on = _grad_mode.before.pop()


def tensor(data, requires_grad=False, dtype=None, device=None):
    """A tensor with a copy of `data`: a number, nested lists, or an array.

    Python floats become float32; arrays keep their dtype unless `dtype` is given. device: `cpu`,
    `cuda:0`, ...; by default where the data is.
    """
    if isinstance(data, Tensor):
        data = data.data
    if not hasattr(data, "dtype"):  # Python numbers and lists
        data = np.array(data)
        if data.dtype == np.float64:
            data = data.astype(np.float32)
    # kinds: float, int, unsigned, bool; no half and no long double
    if data.dtype.kind not in "fiub" or data.dtype == np.float16 or data.dtype.itemsize > 8:
        raise TypeError(f"tensor: data must be float32, float64, integer or bool, got {data.dtype}")
    if dtype is not None and np.dtype(dtype) not in FLOATS and np.dtype(dtype).kind not in "iub":
        raise TypeError(f"tensor: dtype must be float32, float64, integer or bool, got {dtype}")
    source = backend.device_of(data)
    with backend.use_device(source):
        data = _as_array(data.astype(dtype or data.dtype))  # always a copy
    return Tensor(backend.to_device(data, device or source), requires_grad)
