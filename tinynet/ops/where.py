"""Choose between two arrays, elementwise.

Forward.   y = x where the condition holds, z elsewhere

Backward.  Each dy goes to the element that was chosen, and the other gets 0:

    dx = dy where the condition holds, 0 elsewhere
    dz = 0 where the condition holds, dy elsewhere

summed over the axes that broadcasting stretched. The condition is True or False: it cannot change by
a little, so it has no gradient. Saved: the condition alone.
"""

from tinynet.autograd import Function, Tensor, plain_array, tensor
from tinynet.backend import array_module
from tinynet.ops.arithmetic import check_broadcast, operands, unbroadcast


class Where(Function):
    arguments = ("condition", "input", "other")

    def forward(self, condition, x, z):
        if condition.dtype != bool:
            raise TypeError(f"where: condition must be bool, got {condition.dtype}")
        check_broadcast(self, x.shape, z.shape, ("input", "other"))
        check_broadcast(self, condition.shape, x.shape, ("condition", "input"))
        check_broadcast(self, condition.shape, z.shape, ("condition", "other"))
        self.shapes = x.shape, z.shape
        self.save(condition)
        return array_module(x).where(condition, x, z)

    def backward(self, dy):
        (condition,) = self.saved
        xp = array_module(dy)
        x_shape, z_shape = self.shapes
        _, for_x, for_z = self.needs_input_grad
        zero = xp.zeros((), dy.dtype)
        dx = unbroadcast(xp.where(condition, dy, zero), x_shape) if for_x else None
        dz = unbroadcast(xp.where(condition, zero, dy), z_shape) if for_z else None
        return None, dx, dz


def where(condition, input, other):
    """input where condition holds, other elsewhere. One of input and other may be a number.

    condition: a tensor or array of bool. Raises ValueError if the three shapes do not broadcast,
    TypeError if condition is not bool.
    """
    if not isinstance(condition, Tensor) and hasattr(condition, "dtype"):
        condition = tensor(plain_array("where: condition", condition))
    return Where()(condition, *operands("where", input, other))
