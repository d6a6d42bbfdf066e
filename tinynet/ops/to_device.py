"""Move a tensor to another device.

Forward.   y = x, over there

Backward.  dx = dy, back here

Nothing is saved but the name of the device that x was on.
"""

from tinynet import backend
from tinynet.autograd import Function, Tensor


class ToDevice(Function):
    arguments = ("input",)
    crosses_devices = True

    def __init__(self, device):
        self.there = device

    def forward(self, x):
        self.here = backend.device_of(x)
        return backend.to_device(x, self.there)

    def backward(self, dy):
        return backend.to_device(dy, self.here)


def to_device(input, device):
    """input on `device`: `cpu`, `cuda:0`, ... If it is there already, input itself.

    A device that does not exist: ValueError by its name, RuntimeError without a GPU.
    """
    backend.check_device(device)
    if isinstance(input, Tensor) and input.device == device:
        return input
    return ToDevice(device)(input)


Tensor.to = to_device
