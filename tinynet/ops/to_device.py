"""Move a tensor to another device.

Forward.   y = x, on the other device

Backward.  dx = dy, back on x's device

Only the name of x's device is saved.
"""

from tinynet import backend
from tinynet.autograd import Function, Tensor
from tinynet.ops.dims import shown


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
    """input on `device`: `cpu`, `cuda:0`, ...; input itself if it is already there.

    Raises ValueError if no device has that name, RuntimeError if it is a GPU that is not available.
    """
    try:
        backend.check_device(device)
    except ValueError:
        raise ValueError(
            f"to_device: device must be 'cpu', 'cuda:<number>' or 'emu:<number>', got {shown(device)}"
        ) from None
    if isinstance(input, Tensor) and input.device == device:
        return input
    return ToDevice(device)(input)


Tensor.to = to_device
