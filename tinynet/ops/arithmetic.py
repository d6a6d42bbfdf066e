"""Elementwise arithmetic with broadcasting: + - * / ** and the comparisons.

Forward.   y = x + z    x - z    x * z    x / z    x^z    -x

Backward.  The slopes are school calculus, one pair per operation:

    x + z:   dx = dy                 dz = dy
    x - z:   dx = dy                 dz = -dy
    x * z:   dx = dy * z             dz = dy * x
    x / z:   dx = dy / z             dz = -dy * x / z^2
    x^z:     dx = dy * z * x^(z-1)   dz = dy * x^z * log(x)

The step that is easy to forget is broadcasting. Where an axis of length 1 was stretched to length
n, one number x was used n times: y_i = x + z_i. It reaches the loss along n paths, and what comes
back along them adds up: dx = sum_i dy_i. So broadcasting forward is summing backward (`unbroadcast`).

Saved: an operand only if the *other* one's gradient needs it and is wanted: `x * 2` saves the
number 2, and not x.
"""

import operator

import numpy as np

from tinynet.autograd import FLOATS, Function, Tensor, plain_array, tensor
from tinynet.backend import array_module, use_device
from tinynet.ops.dims import check_fits, operand, refuse_bool, require_floating
from tinynet.ops.pairwise_sum import pairwise_sum


class Binary(Function):
    """y = value(x, z). Subclasses define it, and dx and dz as if nothing had been broadcast."""

    arguments = ("input", "other")

    def forward(self, x, z):
        check_broadcast(self, x.shape, z.shape, self.arguments)
        self.shapes = x.shape, z.shape
        return self.value(x, z)

    def backward(self, dy):
        x_shape, z_shape = self.shapes
        for_x, for_z = self.needs_input_grad
        dx = unbroadcast(self.dx(dy), x_shape) if for_x else None
        dz = unbroadcast(self.dz(dy), z_shape) if for_z else None
        return dx, dz

    def save_for(self, dx, dz):
        """Save what dx needs, if dx is wanted, and what dz needs, if dz is."""
        for_x, for_z = self.needs_input_grad
        self.save(dx if for_x else None, dz if for_z else None)


class Add(Binary):
    def value(self, x, z):
        return x + z

    def dx(self, dy):
        return dy

    def dz(self, dy):
        return dy


class Sub(Binary):
    def value(self, x, z):
        refuse_bool("sub", "input and other are", x, z)
        return x - z

    def dx(self, dy):
        return dy

    def dz(self, dy):
        return -dy


class Mul(Binary):
    def value(self, x, z):
        self.save_for(dx=z, dz=x)
        return x * z

    def dx(self, dy):
        return dy * self.saved[0]

    def dz(self, dy):
        return dy * self.saved[1]


class Div(Binary):
    def value(self, x, z):
        self.save_for(dx=z, dz=(x, z))
        return x / z

    def dx(self, dy):
        return dy / self.saved[0]

    def dz(self, dy):
        x, z = self.saved[1]
        return -dy * (x / z) / z  # z^2 alone could overflow


class Pow(Binary):
    """Two corner cases: x^0 = 1 for every x, so dx is 0 there; 0^z is 0 for all z > 0, so dz is 0."""

    arguments = ("input", "exponent")

    def value(self, x, z):
        require_floating("pow", "input", x)
        y = x**z
        self.save_for(dx=(x, z), dz=(x, z, y))
        return y

    def dx(self, dy):
        x, z = self.saved[0]
        xp = array_module(x)
        return dy * z * x ** xp.where(z == 0, z, z - 1)

    def dz(self, dy):
        x, z, y = self.saved[1]
        xp = array_module(x)
        return dy * y * xp.log(xp.where((x == 0) & (z >= 0), xp.ones_like(x), x))


class PowScalar(Function):
    """x^c for a number c, because NumPy has shortcuts for 2, 1, 0.5 and -1."""

    name = "pow"
    arguments = ("input",)

    def __init__(self, c):
        self.c = c

    def forward(self, x):
        require_floating("pow", "input", x)
        self.save(x)
        return x**self.c

    def backward(self, dy):
        (x,) = self.saved
        return dy * (self.c * x ** (self.c - 1)) if self.c != 0 else dy * 0


class Neg(Function):
    arguments = ("input",)

    def forward(self, x):
        refuse_bool("neg", "input is", x)
        return -x

    def backward(self, dy):
        return -dy


class Compare(Binary):
    """True or False for each element: it has no derivative, so no graph is recorded."""

    def __init__(self, relation):
        self.value = relation


# ---------------------------------------------------------------------------- broadcasting


def check_broadcast(function, x_shape, z_shape, arguments):
    """Raise unless, counted from the last, axes have equal lengths or one of the two has length 1."""
    if x_shape == z_shape:
        return
    for n, m in zip(reversed(x_shape), reversed(z_shape), strict=False):
        if n != m and n != 1 and m != 1:
            raise ValueError(
                f"{function.name}: {arguments[0]} has shape {x_shape} and "
                f"{arguments[1]} {z_shape}: lengths {n} and {m} do not broadcast"
            )


def unbroadcast(dy, shape):
    """The transpose of broadcasting `shape` to dy.shape: sum dy over the stretched axes."""
    if dy.shape == shape:
        return dy
    new = dy.ndim - len(shape)  # how many axes broadcasting put in front
    stretched = [new + axis for axis, n in enumerate(shape) if n == 1]
    return pairwise_sum(dy, (*range(new), *stretched)).reshape(shape)


# ---------------------------------------------------------------------------- operands


def operands(op, input, other, argument="other"):
    """Both as tensors. A number becomes a 0-d tensor, which is never stretched in memory."""
    if not isinstance(other, Tensor):
        other = as_tensor(op, argument, other, like=input)
    elif not isinstance(input, Tensor):
        input = as_tensor(op, "input", input, like=other)
    if input.dtype != other.dtype:  # integers take the other operand's floating dtype
        if input.dtype in FLOATS and other.dtype not in FLOATS:
            other = Tensor(other.data.astype(input.dtype))
        elif other.dtype in FLOATS and input.dtype not in FLOATS:
            input = Tensor(input.data.astype(other.dtype))
    return input, other


def as_tensor(op, argument, value, like):
    """A number as a tensor with the dtype and device of the tensor `like`; an array as a tensor."""
    if not isinstance(like, Tensor):
        raise TypeError(
            f"{op}: input must be a tinynet.Tensor, got {type(like).__name__}; "
            "tinynet.tensor(...) makes one"
        )
    if hasattr(value, "dtype") and not isinstance(value, np.generic):
        return tensor(plain_array(f"{op}: {argument}", value))
    value = operand(op, argument, value)
    if like.dtype in FLOATS:
        dtype = like.dtype
    elif isinstance(value, float):
        dtype = FLOATS[0]  # NumPy would say float64
    else:
        dtype = np.result_type(like.dtype, value)
    check_fits(op, argument, value, np.dtype(dtype))
    with use_device(like.device):
        return Tensor(array_module(like.data).asarray(value, dtype))


# ---------------------------------------------------------------------------- public functions


def add(input, other):
    """input + other. Either may be a number or an array. Raises ValueError if shapes do not broadcast."""
    return Add()(*operands("add", input, other))


def sub(input, other):
    """input - other. Either may be a number or an array. Raises ValueError if shapes do not broadcast."""
    return Sub()(*operands("sub", input, other))


def mul(input, other):
    """input * other. Either may be a number or an array. Raises ValueError if shapes do not broadcast."""
    return Mul()(*operands("mul", input, other))


def div(input, other):
    """input / other. Either may be a number or an array. Raises ValueError if shapes do not broadcast.

    Integers divided by integers give float32.
    """
    input, other = operands("div", input, other)
    if input.dtype not in FLOATS and other.dtype not in FLOATS:
        input, other = (Tensor(x.data.astype(FLOATS[0])) for x in (input, other))
    return Div()(input, other)


def neg(input):
    """-input, elementwise. input: any shape."""
    return Neg()(input)


def pow(input, exponent):
    """input to the power of exponent: one is a floating tensor, the other another tensor or a number.

    Raises ValueError if shapes do not broadcast, TypeError if both hold integers.
    """
    if isinstance(exponent, int | float | np.generic) and isinstance(input, Tensor):
        return PowScalar(operand("pow", "exponent", exponent))(input)
    return Pow()(*operands("pow", input, exponent, "exponent"))


def compare(relation):
    """One of Python's comparisons as a Tensor method that returns a tensor of bool."""
    return lambda self, other: Compare(relation)(*operands("compare", self, other))


Tensor.__add__ = add
Tensor.__radd__ = lambda self, other: add(other, self)
Tensor.__sub__ = sub
Tensor.__rsub__ = lambda self, other: sub(other, self)
Tensor.__mul__ = mul
Tensor.__rmul__ = lambda self, other: mul(other, self)
Tensor.__truediv__ = div
Tensor.__rtruediv__ = lambda self, other: div(other, self)
Tensor.__pow__ = pow
Tensor.__rpow__ = lambda self, other: pow(other, self)
Tensor.__neg__ = neg
# == and != still compare identity, as for any Python object: tensors are keys of dicts and sets.
Tensor.__gt__ = compare(operator.gt)
Tensor.__ge__ = compare(operator.ge)
Tensor.__lt__ = compare(operator.lt)
Tensor.__le__ = compare(operator.le)
